// Makes what was taken public, in the order in which the copy is right at every moment: target files and roles are there
// already; then the snapshot, then the roots, and the timestamp last, by compare-and-swap. Roots that refuse what is shown
// come after it (./root-order.ts).
import { equalBytes } from '../../lib/bytes.ts';
import type { Clock } from '../../lib/clock.ts';
import { CountersignError, hasCode } from '../../lib/errors.ts';
import type { ObjectStore, StoredObject } from '../../storage/store.ts';
import { TIMESTAMP_NAME, versionedName } from '../../tuf/layout.ts';
import { MAX_METADATA_BYTES, MAX_STATED_BYTES } from '../../tuf/metadata-limits.ts';
import { readTimestamp } from '../roles/timestamp-file.ts';
import { readSnapshot } from '../roles/snapshot-file.ts';
import { isNewer, verifyTimestamp } from '../verified-roles.ts';
import type { MirrorJournal } from '../../storage/mirror-journal.ts';
import { contentOf, putVerified } from './put-verified.ts';
import { rootsBeforeTimestamp, type SignedByRoot } from './root-order.ts';
import type { TrustedState } from './trusted-state.ts';

export interface PublicationPorts {
  readonly store: ObjectStore;
  readonly journal: MirrorJournal;
  readonly clock: Pick<Clock, 'now'>;
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
    const snapshot = await store.get(name, MAX_STATED_BYTES);
    if (snapshot !== undefined) files.push(['snapshot.json', snapshot.bytes]);
  } catch (error) {
    if (!hasCode(error, 'metadata-invalid', 'metadata-too-large')) throw error;
  }
  return files;
}

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
  ports: PublicationPorts,
  trusted: TrustedState,
  roots: readonly RootBytes[],
): Promise<boolean> {
  const { store, journal } = ports;
  const { timestampBytes, snapshot, snapshotBytes } = trusted;
  const shown = await shownTimestamp(store);
  const isShown = shown !== undefined && equalBytes(shown.bytes, timestampBytes);
  if (shown !== undefined && !isShown) await checkFollows(trusted, shown.bytes);
  if (!isShown) {
    const name = versionedName('snapshot', snapshot.version);
    // Doomed until the timestamp names it: if that never happens, the next publication takes it away.
    journal.record([{ superseded: [name] }]);
    await putVerified(store, name, snapshotBytes);
  }
  const { first, then } = await inOrder(ports, trusted, roots, isShown ? undefined : shown?.bytes);
  for (const { version, bytes } of first) await putVerified(store, versionedName('root', version), bytes);
  if (!isShown) await store.replace(TIMESTAMP_NAME, timestampBytes, shown?.token);
  for (const { version, bytes } of then) await putVerified(store, versionedName('root', version), bytes);
  return !isShown || first.length > 0;
}

/** The roots that the store lacks, those before and those after the timestamp; `shown`: what it is to replace. */
async function inOrder(
  { store, clock }: PublicationPorts,
  trusted: TrustedState,
  roots: readonly RootBytes[],
  shown: Uint8Array | undefined,
): Promise<{ first: readonly RootBytes[]; then: readonly RootBytes[] }> {
  const lacking: RootBytes[] = [];
  let newest: RootBytes | undefined;
  for (const root of roots) {
    const there = await contentOf(store, versionedName('root', root.version), root.bytes.length);
    if (there !== undefined && equalBytes(there.bytes, root.bytes)) newest = root;
    else lacking.push(root);
  }
  const everything = { first: lacking, then: [] };
  if (newest === undefined || shown === undefined) return everything;
  const { version } = newest;
  const following = lacking.filter((root) => root.version > version);
  if (following.length === 0) return everything;
  const before = await signedByRoot(store, shown);
  const after = await signedByRoot(store, trusted.timestampBytes);
  if (before === undefined || after === undefined) return everything;
  const count = await rootsBeforeTimestamp({
    root: newest.bytes,
    newRoots: following.map(({ bytes }) => bytes),
    before,
    after,
    now: clock.now(),
  });
  const at = lacking.length - following.length + count;
  return { first: lacking.slice(0, at), then: lacking.slice(at) };
}

/** What a timestamp leads to, as it is in the store; undefined when some of it is not. Nothing is verified. */
async function signedByRoot(
  store: Pick<ObjectStore, 'get'>,
  timestamp: Uint8Array,
): Promise<SignedByRoot | undefined> {
  try {
    const { version } = readTimestamp(timestamp).snapshot;
    const snapshot = await store.get(versionedName('snapshot', version), MAX_STATED_BYTES);
    const reference = snapshot && readSnapshot(snapshot.bytes).reference('targets');
    const targets =
      reference && (await store.get(versionedName('targets', reference.version), MAX_STATED_BYTES));
    return targets && { timestamp, snapshot: snapshot.bytes, targets: targets.bytes };
  } catch (error) {
    if (hasCode(error, 'metadata-invalid', 'metadata-too-large')) return undefined;
    throw error;
  }
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
