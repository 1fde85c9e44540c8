// What is to be signed in a ceremony, as one file that is the same to the byte on every computer that makes it from the
// same plan, keys and previous bundle. Nobody ever parses it to sign it: each computer makes its own and compares.
import { sha256Hex } from '../src/lib/bytes.ts';
import { canonicalJson, type Canonicalizable } from '../src/tuf/canonical-json.ts';
import type { Root, Targets } from '../src/tuf/metadata.ts';
import { serializeRoot, serializeTargets } from '../src/tuf/serialize.ts';
import { METADATA_DEPTH, parseStrictJson } from '../src/tuf/json.ts';
import { MAX_BYTES } from './ceremony-folder.ts';
import { wordPhrase } from './word-phrase.ts';

export const PAYLOAD_FORMAT = 'countersign-payload/1';

export const OFFLINE_ROLES = ['root', 'targets', 'bins'] as const;
export type OfflineRole = (typeof OFFLINE_ROLES)[number];

/** The roles that a ceremony makes anew; those that are absent stay as they are. */
export interface Proposal {
  readonly root?: Root;
  readonly targets?: Targets;
  readonly bins?: Targets;
}

/** SHA-256 of the files that the payload was made from. */
export interface PayloadOrigin {
  readonly plan: string;
  readonly previous?: string;
  readonly oneTime?: string;
}

export interface Payload {
  readonly proposal: Proposal;
  readonly origin: PayloadOrigin;
  /** What signatures cover, of each role that is made anew. */
  readonly signedBytes: ReadonlyMap<OfflineRole, Buffer>;
  /** The file. */
  readonly bytes: Buffer;
  readonly sha256: string;
  /** Eight words, the first 64 bits of the SHA-256. */
  readonly phrase: readonly string[];
}

/** Makes the payload. Deterministic: no time, no chance, no order of files enters. */
export function makePayload(proposal: Proposal, origin: PayloadOrigin): Payload {
  const signedBytes = new Map<OfflineRole, Buffer>();
  if (proposal.root !== undefined) signedBytes.set('root', serializeRoot(proposal.root));
  if (proposal.targets !== undefined) signedBytes.set('targets', serializeTargets(proposal.targets));
  if (proposal.bins !== undefined) signedBytes.set('bins', serializeTargets(proposal.bins));
  const { plan, previous, oneTime } = origin;
  const roles = [...signedBytes].map(([role, bytes]): [string, Canonicalizable] => [
    role,
    { signed: readCanonical(bytes) },
  ]);
  const bytes = canonicalFile({
    format: PAYLOAD_FORMAT,
    plan,
    previous,
    oneTime,
    ...Object.fromEntries(roles),
  });
  const sha256 = sha256Hex(bytes);
  return { proposal, origin, signedBytes, bytes, sha256, phrase: wordPhrase(sha256) };
}

/** A value as canonical JSON that JSON parsers read too, with a line end. */
export function canonicalFile(value: Canonicalizable): Buffer {
  return Buffer.from(`${escapeControls(canonicalJson(value))}\n`);
}

/** The value behind canonical bytes. */
export function readCanonical(bytes: Uint8Array): Canonicalizable {
  const json = Buffer.from(escapeControls(Buffer.from(bytes).toString('utf8')));
  return parseStrictJson(json, { maxBytes: MAX_BYTES.payload, maxDepth: METADATA_DEPTH });
}

/** Canonical JSON writes the line ends of a PEM key as they are; JSON does not allow them. */
function escapeControls(text: string): string {
  return text.replace(/[\0-\x1f]/g, (character) => JSON.stringify(character).slice(1, -1));
}
