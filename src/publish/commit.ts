// The commit protocol: one ledger transaction decides, everything after it can be repeated. A crash at any line below
// the commit point is finished by `complete`, called by ./recover.ts at start-up with the same arguments.
//
// May assume: the plan was made for the head and the lease that the caller holds. Next: ./bin-desk.ts, ./seal.ts, ./write.ts
import type { Clock } from '../lib/clock.ts';
import { sha256Hex } from '../lib/bytes.ts';
import type { BinVersion, Intent, Ledger, Lease, TargetChange } from '../ledger/ledger.ts';
import type { ObjectStore } from '../storage/store.ts';
import type { BinEdits } from '../tuf/bin-document.ts';
import type { TargetFile } from '../tuf/metadata.ts';
import type { SnapshotDocument } from '../tuf/snapshot-document.ts';
import type { BinSession, BinsToWrite } from './bin-desk.ts';
import { publicFile, storedFile, told, type KeyUse } from './key-use.ts';
import type { Plan } from './plan.ts';
import { isShared, writeShared, type SharePorts } from './shared-bins.ts';
import { sealSnapshot, sealTimestamp, type SealedFile } from './seal.ts';
import { signersNamedBy, type Signers } from './signers.ts';
import { writePages } from './simple-pages.ts';
import { snapshotEditOf } from './snapshot-edit.ts';
import { publicBin, type OfflineRoles, type PublicTimestamp } from './verified-reads.ts';
import { replaceTimestamp, writeOnce } from './write.ts';

export interface CommitPorts extends Signers, KeyUse {
  /** Where bins are offered to other nodes; without it this process signs all of them. */
  readonly sharing?: SharePorts;
  readonly ledger: Ledger;
  readonly store: ObjectStore;
  readonly clock: Clock;
}

/** What is public before a publication. */
export interface Published {
  readonly roles: OfflineRoles;
  readonly snapshot: SnapshotDocument;
  readonly timestamp: PublicTimestamp | undefined;
  /** SHA-256 of each bin's file, from the first bin of the snapshot's layout on. */
  readonly digests: readonly string[];
}

/**
 * Publishes a plan.
 * @throws CountersignError `head-moved`, `lease-lost` before anything is written; any error of `complete` after.
 */
export async function commit(
  ports: CommitPorts,
  lease: Lease,
  published: Published,
  plan: Plan,
  bins: BinSession,
): Promise<Published> {
  told(ports, await ports.ledger.advance(lease.epoch, plan.intent)); // COMMIT POINT
  return complete(ports, published, plan, bins);
}

/** Carries out what was committed, in an order in which every moment is consistent. Idempotent. */
export async function complete(
  ports: CommitPorts,
  before: Published,
  { intent, changes, pages }: Plan,
  bins: BinSession,
): Promise<Published> {
  const { roles, snapshot, timestamp } = before;
  const next = snapshot.edit(snapshotEditOf(intent));
  const own = (members: readonly BinVersion[]): Promise<readonly string[]> =>
    bins.write(roles, binsToWrite(before, { intent: { ...intent, bins: members }, changes }));
  const plan = { intent, changes, ...(pages === undefined ? {} : { pages }) };
  const { published, written } = await writeAndPublish(ports, roles, plan, next, own, timestamp);
  return { roles, snapshot: next, timestamp: published, digests: digestsAfter(before, intent.bins, written) };
}

/** The digests of all bins once `written[i]` is that of `bins[i]`. */
export function digestsAfter(
  { digests, snapshot }: Pick<Published, 'digests' | 'snapshot'>,
  bins: readonly BinVersion[],
  written: readonly string[],
): readonly string[] {
  const after = digests.slice();
  bins.forEach(({ bin }, i) => (after[bin - snapshot.layout.first] = written[i] ?? ''));
  return after;
}

/** Writes the bins of a publication by `own`, or with the help of others, and makes `next` public after all of them. */
export async function writeAndPublish(
  ports: CommitPorts,
  roles: OfflineRoles,
  plan: Plan,
  next: SnapshotDocument,
  own: (bins: readonly BinVersion[]) => Promise<readonly string[]>,
  timestamp: PublicTimestamp | undefined,
): Promise<{ published: PublicTimestamp; written: readonly string[] }> {
  const { intent, pages } = plan;
  const { sharing } = ports;
  const [head, written] = await Promise.all([
    sealHead(ports, roles, intent, next),
    sharing !== undefined && isShared(intent) ? writeShared(sharing, intent, own) : own(intent.bins),
    writePages(ports.store, pages),
  ]);
  return { published: await publishHead(ports, roles, plan, written, head, timestamp), written };
}

/** The snapshot of a publication and the timestamp that names it. */
export interface SealedHead {
  readonly snapshot: SealedFile;
  readonly timestamp: SealedFile;
}

/**
 * Seals the head of a publication, and stages it where the store can. Both depend on the plan alone, not on what the
 * bins become: so it is done beside them, and what remains after the last bin are two names (ADR 25).
 */
export async function sealHead(
  ports: Signers & Pick<CommitPorts, 'store'>,
  roles: OfflineRoles,
  intent: Intent,
  next: SnapshotDocument,
): Promise<SealedHead> {
  const { store } = ports;
  const snapshot = await sealSnapshot(signersNamedBy(ports, roles.snapshotTrust), roles, next);
  const [timestamp] = await Promise.all([
    sealTimestampOf(ports, roles, intent, snapshot.bytes).then(async (sealed) => {
      await store.stage?.(sealed.name, sealed.bytes);
      return sealed;
    }),
    store.stage?.(snapshot.name, snapshot.bytes),
  ]);
  return { snapshot, timestamp };
}

/**
 * The snapshot of a publication under its name, and the timestamp that names it, sealed. What the snapshot names must
 * be in the store.
 */
export async function writeSnapshot(
  ports: Signers & Pick<CommitPorts, 'store'>,
  roles: OfflineRoles,
  intent: Intent,
  { snapshot, timestamp }: SealedHead,
): Promise<{ readonly snapshotBytes: Uint8Array; readonly timestamp: SealedFile }> {
  const snapshotBytes = await writeOnce(ports.store, snapshot, roles.snapshotTrust);
  if (snapshotBytes === snapshot.bytes) return { snapshotBytes, timestamp };
  // Another process wrote it, with other signatures: the timestamp has to give the hash of that file.
  return { snapshotBytes, timestamp: await sealTimestampOf(ports, roles, intent, snapshotBytes) };
}

function sealTimestampOf(
  ports: Signers,
  roles: OfflineRoles,
  intent: Intent,
  snapshotBytes: Uint8Array,
): Promise<SealedFile> {
  const signers = signersNamedBy(ports, roles.timestampTrust);
  return sealTimestamp(signers, roles, intent.timestamp, intent.expires.timestamp, {
    version: intent.snapshot,
    length: snapshotBytes.length,
    hashes: { sha256: sha256Hex(snapshotBytes) },
  });
}

/** The last steps: snapshot, timestamp, ledger. Every bin that the snapshot names must be in the store. */
export async function publishHead(
  ports: CommitPorts,
  roles: OfflineRoles,
  { intent, changes }: Plan,
  digests: readonly string[],
  head: SealedHead,
  before: PublicTimestamp | undefined,
): Promise<PublicTimestamp> {
  const { ledger, store, clock } = ports;
  const { snapshotBytes, timestamp } = await writeSnapshot(ports, roles, intent, head);
  const published = await replaceTimestamp(store, roles, timestamp, before);
  const signed = { snapshot: storedFile(snapshotBytes), timestamp: publicFile(published), bins: digests };
  told(ports, await ledger.finish(intent, changes, signed, clock.now()));
  return published;
}

/** What a publication writes, bin by bin. */
export function binsToWrite(
  before: Pick<Published, 'snapshot' | 'digests'>,
  { intent, changes }: Plan,
): BinsToWrite {
  const edits = editsByBin(changes, before.snapshot);
  return {
    bins: intent.bins.map(({ bin, version }) => ({
      ...publicBin(before, bin),
      next: version,
      edits: edits.get(bin) ?? new Map(),
    })),
    at: intent.at,
    expires: intent.expires.bin,
    ...(intent.keyids === undefined ? {} : { keyids: intent.keyids }),
  };
}

function editsByBin(
  changes: readonly TargetChange[],
  { layout }: SnapshotDocument,
): ReadonlyMap<number, BinEdits> {
  const edits = new Map<number, Map<string, TargetFile | undefined>>();
  for (const { path, target } of changes) {
    const bin = layout.indexOf(path);
    edits.set(bin, (edits.get(bin) ?? new Map<string, TargetFile | undefined>()).set(path, target));
  }
  return edits;
}
