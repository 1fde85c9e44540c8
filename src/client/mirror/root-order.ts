// In which order new roots and a new timestamp become public. A client asks for roots first and for the timestamp next, so
// what a mirror shows is right when the newest root that it has accepts the timestamp that it has. Both are objects of
// their own: each write must leave a pair that fits (docs/adr/0022-mirror.md).
import { hasCode } from '../../lib/errors.ts';
import { readRoot, type RootFile } from '../roles/root-file.ts';
import { checkNotExpired, verifySnapshot, verifyTargets, verifyTimestamp } from '../verified-roles.ts';

/** What a root has to accept: the files that are signed by the keys in it. */
export interface SignedByRoot {
  readonly timestamp: Uint8Array;
  readonly snapshot: Uint8Array;
  readonly targets: Uint8Array;
}

export interface Change {
  /** The newest root that is public. */
  readonly root: Uint8Array;
  /** Those that follow it, ascending; the last one accepts `after`. */
  readonly newRoots: readonly Uint8Array[];
  readonly before: SignedByRoot;
  readonly after: SignedByRoot;
  /** Milliseconds since the epoch. */
  readonly now: number;
}

/**
 * How many of the new roots are written before the timestamp, so that a client is content at every moment: as many as
 * accept what is shown, if the last of them, and all that come later, accept what comes. All of them when there is no
 * such number: a key was taken away without an overlap, and clients should learn that first.
 */
export async function rootsBeforeTimestamp({ root, newRoots, before, after, now }: Change): Promise<number> {
  const all = [root, ...newRoots].map(readRoot);
  let last = 0;
  for (const next of all.slice(1)) {
    if (!(await accepts(next, before, now))) break;
    last += 1;
  }
  for (const next of all.slice(last, -1)) {
    if (!(await accepts(next, after, now))) return newRoots.length;
  }
  return last;
}

async function accepts(root: RootFile, files: SignedByRoot, now: number): Promise<boolean> {
  try {
    checkNotExpired('root', root, now);
    const timestamp = await verifyTimestamp(root, files.timestamp);
    const snapshot = await verifySnapshot(root, timestamp.snapshot, files.snapshot, undefined);
    const targets = snapshot.reference('targets');
    if (targets === undefined) return false;
    await verifyTargets('targets', root.trust.targets, targets, files.targets);
    return true;
  } catch (error) {
    const refusals = [
      'metadata-expired',
      'metadata-invalid',
      'signature-invalid',
      'length-or-hash-mismatch',
    ] as const;
    if (hasCode(error, ...refusals)) return false;
    throw error;
  }
}
