// Bytes in, verified roles out: every check of the client workflow (TUF 5.2 to 5.6) for one role, without I/O. updater.ts
// puts them in order and keeps what passed.
import { CountersignError } from '../lib/errors.ts';
import type { TopLevelRole } from '../tuf/metadata.ts';
import { checkReferencedBytes, type FileReference } from './roles/file-reference.ts';
import { placeOf, type RoleFile } from './roles/role-file.ts';
import { checkThreshold, type RoleTrust } from './roles/role-keys.ts';
import { readRoot, type RootFile } from './roles/root-file.ts';
import {
  checkNotBelow,
  checkSnapshotFollows,
  ownSignedPart,
  readSnapshot,
  type SnapshotFile,
} from './roles/snapshot-file.ts';
import { readOwnBin, readTargets, type TargetsFile } from './roles/targets-file.ts';
import { readTimestamp, type TimestampFile } from './roles/timestamp-file.ts';

/**
 * TUF 5.2: the root that the client was given, or has trusted before. It may have expired.
 * @throws CountersignError `metadata-invalid`, `signature-invalid` when it is not signed by its own keys.
 */
export async function verifyTrustedRoot(bytes: Uint8Array): Promise<RootFile> {
  const root = readRoot(bytes);
  await checkThreshold('root', root.trust.root, root);
  return root;
}

/**
 * TUF 5.3.4 and 5.3.5: signed by a threshold of the old root's keys and of its own, and exactly one version further.
 * @throws CountersignError `metadata-invalid`, `signature-invalid`, `version-rollback`.
 */
export async function verifyNextRoot(trusted: RootFile, bytes: Uint8Array): Promise<RootFile> {
  const next = readRoot(bytes);
  await checkThreshold('root', trusted.trust.root, next);
  await checkThreshold('root', next.trust.root, next);
  checkNotBelow('root', next.version, trusted.version);
  checkVersion('root', next.version, trusted.version + 1);
  return next;
}

/**
 * TUF 5.3.11: whether a key of timestamp or snapshot was taken away. Whoever held it may have raised versions beyond
 * reach ("fast-forward attack"). A key that was only added gives no reason to forget anything.
 */
export function revokesOnlineKeys(before: RootFile, after: RootFile): boolean {
  return (['timestamp', 'snapshot'] as const).some((role) =>
    [...before.trust[role].keyids].some((keyid) => !after.trust[role].keyids.has(keyid)),
  );
}

/** A top-level role, with its signatures verified and nothing else. */
async function signed<T extends RoleFile>(root: RootFile, role: TopLevelRole, file: T): Promise<T> {
  await checkThreshold(role, root.trust[role], file);
  return file;
}

/**
 * TUF 5.4.2. Also what an earlier update left, however old: the measure for rollbacks.
 * @throws CountersignError `metadata-invalid`, `signature-invalid`.
 */
export function verifyTimestamp(root: RootFile, bytes: Uint8Array): Promise<TimestampFile> {
  return signed(root, 'timestamp', readTimestamp(bytes));
}

/**
 * TUF 5.4.3: whether a timestamp is newer than the trusted one. With the same version the trusted one stays, whatever
 * the new one says.
 * @throws CountersignError `version-rollback`.
 */
export function isNewer(next: TimestampFile, trusted: TimestampFile | undefined): boolean {
  if (trusted === undefined) return true;
  if (next.version === trusted.version) return false;
  checkNotBelow('timestamp', next.version, trusted.version); // TUF 5.4.3.1
  checkNotBelow('snapshot in timestamp', next.snapshot.version, trusted.snapshot.version); // TUF 5.4.3.2
  return true;
}

/**
 * A snapshot with its signatures verified (TUF 5.5.3) and nothing else: what an earlier update left.
 * @throws CountersignError `metadata-invalid`, `signature-invalid`.
 */
export async function verifyStoredSnapshot(root: RootFile, bytes: Uint8Array): Promise<SnapshotFile> {
  const trust = root.trust.snapshot;
  // A thread of the pool takes as long to verify half a megabyte as this one takes to read it: both at once.
  const own = ownSignedPart(bytes);
  const verified = own && checkThreshold('snapshot', trust, { ...own, signedBytes: own.signed });
  // Whether it matters is known below, if anything is.
  verified?.catch(() => undefined);
  const file = readSnapshot(bytes, own);
  if (verified !== undefined && file.signedBytes === own?.signed) await verified;
  else await checkThreshold('snapshot', trust, file);
  return file;
}

/**
 * The snapshot that timestamp names: TUF 5.5.2 to 5.5.5.
 * @throws CountersignError `length-or-hash-mismatch`, `metadata-invalid`, `signature-invalid`, `version-rollback`.
 */
export async function verifySnapshot(
  root: RootFile,
  reference: FileReference,
  bytes: Uint8Array,
  trusted: SnapshotFile | undefined,
): Promise<SnapshotFile> {
  checkReferencedBytes('snapshot', bytes, reference); // TUF 5.5.2
  const next = await verifyStoredSnapshot(root, bytes); // TUF 5.5.3
  checkVersion('snapshot', next.version, reference.version); // TUF 5.5.4
  if (trusted !== undefined) {
    // Timestamp says so already (5.4.3.2), unless its own file was lost.
    checkNotBelow('snapshot', next.version, trusted.version);
    checkSnapshotFollows(next, trusted); // TUF 5.5.5
  }
  return next;
}

/**
 * A targets role that snapshot names, delegated or not: TUF 5.6.2 to 5.6.4.
 * @throws CountersignError `length-or-hash-mismatch`, `metadata-invalid`, `signature-invalid`.
 */
export async function verifyTargets(
  role: string,
  trust: RoleTrust,
  reference: FileReference,
  bytes: Uint8Array,
): Promise<TargetsFile> {
  checkReferencedBytes(placeOf(role), bytes, reference); // TUF 5.6.2
  const file = await verifiedTargetsFile(role, trust, bytes); // TUF 5.6.3
  checkVersion(role, file.version, reference.version); // TUF 5.6.4
  return file;
}

/**
 * A bin of the own form is taken as it stands when its bytes verify. All other files are, as the specification has it,
 * verified over the canonical form of what they say.
 */
async function verifiedTargetsFile(role: string, trust: RoleTrust, bytes: Uint8Array): Promise<TargetsFile> {
  const bin = readOwnBin(bytes);
  if (bin !== undefined) {
    try {
      await checkThreshold(role, trust, bin);
      return bin;
    } catch (error) {
      if (!(error instanceof CountersignError) || error.code !== 'signature-invalid') throw error;
    }
  }
  const file = readTargets(role, bytes);
  await checkThreshold(role, trust, file);
  return file;
}

/** @throws CountersignError `metadata-invalid` when a role has not the one version that was asked for. */
export function checkVersion(role: string, actual: number, expected: number): void {
  if (actual === expected) return;
  throw new CountersignError(
    'metadata-invalid',
    `role ${placeOf(role)} has version ${actual}, expected version ${expected}`,
  );
}

/**
 * TUF 5.3.10, 5.4.4, 5.5.6, 5.6.5: valid before its expiry, not at it. `now` is the start of the update (TUF 5.1).
 * @throws CountersignError `metadata-expired` that names the role and both times.
 */
export function checkNotExpired(role: string, { expires }: Pick<RoleFile, 'expires'>, now: number): void {
  if (now < expires) return;
  const [end, time] = [expires, now].map((ms) => new Date(ms).toISOString());
  throw new CountersignError('metadata-expired', `role ${placeOf(role)} expired at ${end}, it is ${time}`);
}
