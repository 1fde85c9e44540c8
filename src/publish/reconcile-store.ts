// Where a store stands, seen from a ledger that may be older: every check of a client that was there when the ledger's
// backup was made, and comes back now.
import { CountersignError, hasCode, messageOf } from '../lib/errors.ts';
import { sha256Hex } from '../lib/bytes.ts';
import type { Head, SignedFile } from '../ledger/ledger.ts';
import type { ObjectStore } from '../storage/store.ts';
import { generationOf } from '../tuf/bins.ts';
import { METADATA_PREFIX, parseVersionedName, TIMESTAMP_NAME, versionedName } from '../tuf/layout.ts';
import { MAX_METADATA_BYTES } from '../tuf/metadata-limits.ts';
import type { SnapshotReference } from '../tuf/metadata.ts';
import { parseRoot } from '../tuf/parse-root.ts';
import type { SnapshotDocument } from '../tuf/snapshot-document.ts';
import {
  checkNoRollback,
  checkSnapshotBytes,
  checkSnapshotOrder,
  checkVersion,
  topLevelTrust,
  verifySnapshotFile,
} from '../tuf/verify-roles.ts';
import { storedFile } from './key-use.ts';
import { readRootChain, type RootInStore } from './root-chain.ts';
import {
  loadOfflineRoles,
  loadTimestamp,
  type OfflineRoles,
  type PublicTimestamp,
} from './verified-reads.ts';

/** A store that is ahead of its ledger. */
export interface StoreHead {
  /** The newest snapshot: the public one, or the one that was about to be. */
  readonly snapshot: SnapshotDocument;
  readonly snapshotFile: SignedFile;
  /** The timestamp that names it, or will. */
  readonly timestamp: { readonly version: number; readonly expires: string };
  /** What timestamp.json says at this moment. */
  readonly published: PublicTimestamp;
  readonly roles: OfflineRoles;
  /** The newest root file, as text. */
  readonly trustedRoot: string;
  /** Set when the newest snapshot is not public yet: its publication was interrupted before the last step. */
  readonly unpublished?: SnapshotReference;
  /** Names of bins written for a publication that never got its snapshot. Nobody was ever told of them. */
  readonly writtenAhead: readonly string[];
  /** Snapshots that the ledger lacks, the newest included, and those of them that are still there. */
  readonly lacking: number;
  readonly retained: number;
}

/**
 * Reads where the store stands. Undefined: at the ledger's own publication, or at the one before an unfinished one.
 * @throws CountersignError `reconcile-refused`; what a client would find wrong.
 */
export async function readStoreHead(
  store: ObjectStore,
  head: Head,
  atLeast: number | undefined,
): Promise<StoreHead | undefined> {
  const roots = await readRootChain(store, parseRoot(Buffer.from(head.trustedRoot)));
  const newestRoot = roots.at(-1);
  if (newestRoot === undefined) throw refuse('the store holds no root');
  const { root } = newestRoot;
  const timestampTrust = topLevelTrust(root, 'timestamp');
  const published = await loadTimestamp(store, { timestampTrust }).catch((error: unknown) => {
    throw refuse(`${messageOf(error)}; restore it from a mirror`);
  });
  const public_ = published?.envelope.signed;
  const lowest = head.timestamp - (head.unfinished === undefined ? 0 : 1);
  if (published === undefined || public_ === undefined || public_.version < lowest) {
    const found = public_ === undefined ? `no ${TIMESTAMP_NAME}` : `timestamp version ${public_.version}`;
    throw refuse(
      `the store has ${found}, the ledger published version ${lowest}: the store was rolled back, or restored from an ` +
        'older backup; bring it forward from a backup or a mirror ("countersign copy")',
    );
  }
  const reference = public_.meta['snapshot.json'];
  if (atLeast !== undefined && reference.version < atLeast) {
    throw refuse(
      `the store shows snapshot ${reference.version}, at least ${atLeast} was public: it was rolled back`,
    );
  }
  if (public_.version <= head.timestamp) {
    const wanted = head.snapshot - (head.timestamp - public_.version);
    if (reference.version === wanted) return undefined;
    throw refuse(
      `timestamp ${public_.version} names snapshot ${reference.version}, the ledger says ${wanted}: they have forked`,
    );
  }
  if (reference.version <= head.snapshot) {
    throw refuse(
      `timestamp ${public_.version} names snapshot ${reference.version}, the ledger is at ${head.snapshot} already`,
    );
  }
  const shown = await readSnapshot(store, roots, reference.version);
  checkSnapshotBytes(shown.bytes, reference);
  const versions = await snapshotsAfter(store, head.snapshot);
  const newest = await newestSnapshot(store, roots, versions, shown);
  await checkChain(store, roots, versions, newest.snapshot);
  const { snapshot } = newest;
  checkNoRollback('targets', snapshot.targetsVersion, head.roles.targets);
  checkNoRollback('bins', snapshot.binsVersion, head.roles.bins);
  const trustedRoot = Buffer.from(newestRoot.bytes).toString('utf8');
  const isPublic = newest === shown;
  return {
    snapshot,
    snapshotFile: storedFile(newest.bytes),
    // The next version may have been public and taken back; the one after it was never signed.
    timestamp: { version: public_.version + (isPublic ? 0 : 2), expires: public_.expires },
    published,
    roles: await offlineRolesOf(store, snapshot, head, { version: root.version, trustedRoot }),
    trustedRoot,
    ...(isPublic ? {} : { unpublished: referenceTo(newest) }),
    writtenAhead: await writtenAhead(store, snapshot),
    lacking: snapshot.version - head.snapshot,
    retained: versions.length,
  };
}

interface ReadSnapshot {
  readonly bytes: Uint8Array;
  readonly snapshot: SnapshotDocument;
}

/** A snapshot that one of the roots lets be signed so: older ones are from the time of older roots. */
async function readSnapshot(
  store: ObjectStore,
  roots: readonly RootInStore[],
  version: number,
): Promise<ReadSnapshot> {
  const name = versionedName('snapshot', version);
  const object = await store.get(name, MAX_METADATA_BYTES.snapshot);
  if (object === undefined) throw new CountersignError('metadata-missing', `${name} is not in the store`);
  let newest: unknown;
  for (const { root } of roots.toReversed()) {
    try {
      const snapshot = await verifySnapshotFile(object.bytes, topLevelTrust(root, 'snapshot'));
      checkVersion('snapshot', snapshot.version, version);
      return { bytes: object.bytes, snapshot };
    } catch (error) {
      if (!hasCode(error, 'signature-invalid')) throw error;
      newest ??= error;
    }
  }
  throw newest;
}

function offlineRolesOf(
  store: ObjectStore,
  { targetsVersion, binsVersion }: SnapshotDocument,
  { snapshot, timestamp, at }: Head,
  root: { readonly version: number; readonly trustedRoot: string },
): Promise<OfflineRoles> {
  const roles = { root: root.version, targets: targetsVersion, bins: binsVersion };
  return loadOfflineRoles(store, { snapshot, timestamp, at, roles, trustedRoot: root.trustedRoot });
}

/** Versions of the snapshots in the store that follow `after`, ascending. */
async function snapshotsAfter(store: ObjectStore, after: number): Promise<number[]> {
  const versions: number[] = [];
  for await (const { name } of store.list(METADATA_PREFIX)) {
    const parsed = parseVersionedName(name);
    if (parsed?.role === 'snapshot' && parsed.version > after) versions.push(parsed.version);
  }
  return versions.sort((a, b) => a - b);
}

/** The snapshot that is shown, or the one whose publication was interrupted before it was. */
async function newestSnapshot(
  store: ObjectStore,
  roots: readonly RootInStore[],
  versions: readonly number[],
  shown: ReadSnapshot,
): Promise<ReadSnapshot> {
  const current = shown.snapshot.version;
  const last = versions.at(-1) ?? current;
  if (last > current + 1) {
    throw refuse(
      `the store shows snapshot ${current} and holds snapshot ${last}: ${TIMESTAMP_NAME} was rolled back; restore the ` +
        'newest one from a mirror',
    );
  }
  return last === current ? shown : readSnapshot(store, roots, last);
}

/** Every snapshot after the ledger's that is still there: signed, and no role ever going back. */
async function checkChain(
  store: ObjectStore,
  roots: readonly RootInStore[],
  versions: readonly number[],
  newest: SnapshotDocument,
): Promise<void> {
  let previous: SnapshotDocument | undefined;
  for (const version of versions) {
    const snapshot =
      version === newest.version ? newest : (await readSnapshot(store, roots, version)).snapshot;
    if (previous !== undefined) checkSnapshotOrder(snapshot, previous);
    previous = snapshot;
  }
}

/** Names of bins in versions that the newest snapshot does not know yet. */
async function writtenAhead(store: ObjectStore, newest: SnapshotDocument): Promise<string[]> {
  const names: string[] = [];
  for await (const { name } of store.list(METADATA_PREFIX)) {
    const parsed = parseVersionedName(name);
    if (parsed === undefined || generationOf(parsed.role) === undefined) continue;
    const bin = newest.parseName(parsed.role);
    // A bin that no snapshot lists yet was written ahead too.
    if (bin === undefined || parsed.version > newest.versionOf(bin)) names.push(name);
  }
  return names.sort();
}

function referenceTo({ bytes, snapshot: { version } }: ReadSnapshot): SnapshotReference {
  return { version, length: bytes.length, hashes: { sha256: sha256Hex(bytes) } };
}

function refuse(reason: string): CountersignError {
  return new CountersignError('reconcile-refused', reason);
}
