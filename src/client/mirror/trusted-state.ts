// What the client workflow has left in the mirror's state, read back and verified again: the files themselves, because
// a mirror hands on bytes.
import { sha256Hex } from '../../lib/bytes.ts';
import { CountersignError } from '../../lib/errors.ts';
import type { MetadataStore } from '../metadata-store.ts';
import type { RootFile } from '../roles/root-file.ts';
import type { SnapshotFile } from '../roles/snapshot-file.ts';
import type { TimestampFile } from '../roles/timestamp-file.ts';
import { verifySnapshot, verifyTimestamp, verifyTrustedRoot } from '../verified-roles.ts';

export interface TrustedState {
  readonly root: RootFile;
  readonly timestamp: TimestampFile;
  readonly timestampBytes: Uint8Array;
  /** SHA-256 of timestampBytes. */
  readonly timestampDigest: string;
  readonly snapshot: SnapshotFile;
  readonly snapshotBytes: Uint8Array;
  readonly snapshotDigest: string;
}

/**
 * @throws CountersignError `metadata-missing` when an update was never finished; what verification throws;
 *   `mirror-refused` when the repository has no consistent snapshots.
 */
export async function readTrustedState(store: MetadataStore): Promise<TrustedState> {
  const root = await verifyTrustedRoot(await need(store, 'root.json'));
  if (!root.consistentSnapshot) {
    throw new CountersignError(
      'mirror-refused',
      'the repository has no consistent snapshots (TUF 6.2): no copy of it could be consistent at every moment',
    );
  }
  const timestampBytes = await need(store, 'timestamp.json');
  const timestamp = await verifyTimestamp(root, timestampBytes);
  const snapshotBytes = await need(store, 'snapshot.json');
  const snapshot = await verifySnapshot(root, timestamp.snapshot, snapshotBytes, undefined);
  return {
    root,
    timestamp,
    timestampBytes,
    timestampDigest: sha256Hex(timestampBytes),
    snapshot,
    snapshotBytes,
    snapshotDigest: sha256Hex(snapshotBytes),
  };
}

async function need(store: MetadataStore, name: string): Promise<Uint8Array> {
  const bytes = await store.read(name);
  if (bytes !== undefined) return bytes;
  throw new CountersignError('metadata-missing', `the state of the mirror has no ${name}`);
}
