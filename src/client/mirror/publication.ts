// Makes what was taken public, in the order in which the copy is right at every moment: target files and roles are there
// already; then the snapshot, then the roots, and the timestamp last, by compare-and-swap.
import { equalBytes } from '../../lib/bytes.ts';
import { CountersignError, hasCode } from '../../lib/errors.ts';
import type { ObjectStore, StoredObject } from '../../storage/store.ts';
import { TIMESTAMP_NAME, versionedName } from '../../tuf/layout.ts';
import { MAX_METADATA_BYTES } from '../../tuf/metadata-limits.ts';
import { readTimestamp } from '../roles/timestamp-file.ts';
import { isNewer, verifyTimestamp } from '../verified-roles.ts';
import type { MirrorJournal } from '../../storage/mirror-journal.ts';
import { putVerified } from './put-verified.ts';
import type { TrustedState } from './trusted-state.ts';

export interface PublicationPorts {
  readonly store: ObjectStore;
  readonly journal: MirrorJournal;
}

export interface RootBytes {
  readonly version: number;
  readonly bytes: Uint8Array;
}

/** Timestamp and snapshot as the mirror shows them, by the names that clients keep them under; nothing is verified. */
export async function shownFiles(
  store: Pick<ObjectStore, 'get'>,
): Promise<[name: string, bytes: Uint8Array][]> {
  const shown = await shownTimestamp(store);
  if (shown === undefined) return [];
  const files: [string, Uint8Array][] = [['timestamp.json', shown.bytes]];
  try {
    const name = versionedName('snapshot', readTimestamp(shown.bytes).snapshot.version);
    const snapshot = await store.get(name, MAX_SNAPSHOT_BYTES);
    if (snapshot !== undefined) files.push(['snapshot.json', snapshot.bytes]);
  } catch (error) {
    if (!hasCode(error, 'metadata-invalid', 'metadata-too-large')) throw error;
  }
  return files;
}

/** Bytes; above the length of anything that was ever accepted. */
const MAX_SNAPSHOT_BYTES = 50_000_000;

async function shownTimestamp(store: Pick<ObjectStore, 'get'>): Promise<StoredObject | undefined> {
  try {
    return await store.get(TIMESTAMP_NAME, MAX_METADATA_BYTES.timestamp);
  } catch (error) {
    if (!hasCode(error, 'metadata-too-large')) throw error;
    throw new CountersignError(
      'mirror-refused',
      `${TIMESTAMP_NAME} in the mirror is no timestamp: remove it`,
    );
  }
}

/**
 * Shows the trusted state; every role in its snapshot is in the store. False when it was shown already.
 * @throws CountersignError `version-rollback` when the mirror shows something newer; `store-conflict` when somebody
 *   else changed the timestamp meanwhile; `store-unavailable`.
 */
export async function publish(
  { store, journal }: PublicationPorts,
  trusted: TrustedState,
  roots: readonly RootBytes[],
): Promise<boolean> {
  const { timestampBytes, snapshot, snapshotBytes } = trusted;
  const shown = await shownTimestamp(store);
  if (shown !== undefined && equalBytes(shown.bytes, timestampBytes)) return false;
  if (shown !== undefined) await checkFollows(trusted, shown.bytes);
  const name = versionedName('snapshot', snapshot.version);
  // Doomed until the timestamp names it: if that never happens, the next publication takes it away.
  journal.record([{ superseded: [name] }]);
  await putVerified(store, name, snapshotBytes);
  // A client asks for roots first and for the timestamp next: between these two writes it may see a new root with an old
  // timestamp, so nothing else stands between them.
  for (const { version, bytes } of roots) await putVerified(store, versionedName('root', version), bytes);
  await store.replace(TIMESTAMP_NAME, timestampBytes, shown?.token);
  return true;
}

/** A mirror does not go back, even if the state that it trusts did (restored from a backup). */
async function checkFollows({ root, timestamp }: TrustedState, shown: Uint8Array): Promise<void> {
  let before;
  try {
    before = await verifyTimestamp(root, shown);
  } catch (error) {
    // Signed by keys that were revoked (TUF 5.3.11), or no timestamp at all: no measure for anything.
    if (hasCode(error, 'metadata-invalid', 'signature-invalid')) return;
    throw error;
  }
  isNewer(timestamp, before);
}
