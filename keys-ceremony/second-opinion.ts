// A second opinion on what was just signed: @tufjs/models, written by other people, reads the files and verifies each
// role by its delegator. Our own verification may share a mistake with our own signing; theirs does not.
import { Metadata, MetadataKind } from '@tufjs/models';
import { CountersignError, messageOf } from '../src/lib/errors.ts';
import type { VerifiedBundle } from '../src/tuf/bundle.ts';
import { clientsThatCannotRead } from './client-support.ts';

const AGREES = '@tufjs/models agrees';

type Json = Parameters<typeof Metadata.fromJSON>[1];

/**
 * Verifies the newest root, targets and bins of a bundle with @tufjs/models. Of a bins role in the prefixes form only
 * the signatures of root and targets are verified: that library needs minutes for it.
 * @returns what it said, in words: that it agrees, or that it cannot be asked, because the plan allows a key that it
 *   cannot read (rule `algorithm`).
 * @throws CountersignError `bundle-invalid` when it refuses a role.
 */
export function secondOpinion({ roots, targets, bins, format, trusted }: VerifiedBundle): string {
  const rootFile = roots.at(-1);
  if (rootFile === undefined) throw new CountersignError('bundle-invalid', 'bundle has no root');
  const keys = [
    ...trusted.root.signed.keys.values(),
    ...(trusted.targets.signed.delegations?.keys.values() ?? []),
  ];
  const unread = keys.find((key) => clientsThatCannotRead(key).includes('tuf-js'));
  if (unread !== undefined) return `@tufjs/models was not asked: it cannot verify ${unread.scheme}`;
  let role = 'root';
  try {
    const root = Metadata.fromJSON(MetadataKind.Root, parse(rootFile.bytes));
    root.verifyDelegate('root', root);
    role = 'targets';
    const top = Metadata.fromJSON(MetadataKind.Targets, parse(targets.bytes));
    root.verifyDelegate('targets', top);
    if (format === 'prefixes') return AGREES;
    role = 'bins';
    const delegated = Metadata.fromJSON(MetadataKind.Targets, parse(bins.bytes));
    top.verifyDelegate('bins', delegated);
    return AGREES;
  } catch (cause) {
    throw new CountersignError('bundle-invalid', `@tufjs/models refuses ${role}: ${messageOf(cause)}`, {
      cause,
    });
  }
}

function parse(bytes: Buffer): Json {
  return JSON.parse(bytes.toString('utf8')) as Json;
}
