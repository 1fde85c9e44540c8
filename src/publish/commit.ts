// The commit protocol: one ledger transaction decides, everything after it can be repeated. A crash at any line below
// the commit point is finished by `complete`, called by ./recover.ts at start-up with the same arguments.
//
// May assume: the plan was made for the head and the lease that the caller holds. Next: ./seal.ts, ./write.ts
import type { Clock } from '../lib/clock.ts';
import { mapConcurrent } from '../lib/concurrency.ts';
import { sha256Hex } from '../lib/bytes.ts';
import type { BinVersion, Intent, Ledger, Lease, TargetChange } from '../ledger/ledger.ts';
import type { ObjectStore } from '../storage/store.ts';
import type { BinDocument, BinEdits } from '../tuf/bin-document.ts';
import type { TargetFile } from '../tuf/metadata.ts';
import type { SnapshotDocument } from '../tuf/snapshot-document.ts';
import { publicFile, storedFile, told, type KeyUse } from './key-use.ts';
import type { Plan } from './plan.ts';
import { isShared, writeShared, type SharePorts } from './shared-bins.ts';
import { sealBins, sealSnapshot, sealTimestamp, signedByAll, type SealedFile } from './seal.ts';
import { signersNamedBy, signersOf, type Signers } from './signers.ts';
import type { OfflineRoles, PublicTimestamp } from './verified-reads.ts';
import { replaceTimestamp, writeOnce } from './write.ts';

/** Bins signed in one call of the signer, and held in memory at once. */
const SLICE = 16;

/** Slices in hand at once: while one is written, the next is signed. */
const SLICES_IN_FLIGHT = 2;

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

/** Where the bins of a publication come from, as they were before it. */
export type BaseDocument = (bin: number) => Promise<BinDocument>;

/**
 * Publishes a plan.
 * @throws CountersignError `head-moved`, `lease-lost` before anything is written; any error of `complete` after.
 */
export async function commit(
  ports: CommitPorts,
  lease: Lease,
  published: Published,
  plan: Plan,
  base: BaseDocument,
): Promise<Published> {
  told(ports, await ports.ledger.advance(lease.epoch, plan.intent)); // COMMIT POINT
  return complete(ports, published, plan, base);
}

/** Carries out what was committed, in an order in which every moment is consistent. Idempotent. */
export async function complete(
  ports: CommitPorts,
  { roles, snapshot, timestamp, digests }: Published,
  { intent, changes }: Plan,
  base: BaseDocument,
): Promise<Published> {
  const next = snapshot.edit({
    version: intent.snapshot,
    expires: intent.expires.snapshot,
    targetsVersion: intent.roles.targets,
    binsVersion: intent.roles.bins,
    bins: intent.bins,
  });
  const edits = editsByBin(changes, snapshot);
  const own = (bins: readonly BinVersion[]): Promise<string[]> =>
    writeBins(ports, roles, { ...intent, bins }, async ({ bin, version }) =>
      (await base(bin)).edit(edits.get(bin) ?? new Map(), version, intent.expires.bin),
    );
  const plan = { intent, changes };
  const { published, written } = await writeAndPublish(ports, roles, plan, next, own, timestamp);
  const nextDigests = digests.slice();
  const { first } = snapshot.layout;
  intent.bins.forEach(({ bin }, i) => (nextDigests[bin - first] = written[i] ?? ''));
  return { roles, snapshot: next, timestamp: published, digests: nextDigests };
}

/** Writes the bins of a publication by `own`, or with the help of others, and makes `next` public after all of them. */
export async function writeAndPublish(
  ports: CommitPorts,
  roles: OfflineRoles,
  plan: Plan,
  next: SnapshotDocument,
  own: (bins: readonly BinVersion[]) => Promise<string[]>,
  timestamp: PublicTimestamp | undefined,
): Promise<{ published: PublicTimestamp; written: readonly string[] }> {
  const { intent } = plan;
  const { sharing } = ports;
  // The snapshot is signed beside the bins, and written after all of them.
  const [sealed, written] = await Promise.all([
    sealSnapshot(signersNamedBy(ports, roles.snapshotTrust), roles, next),
    sharing !== undefined && isShared(intent) ? writeShared(sharing, intent, own) : own(intent.bins),
  ]);
  return { published: await publishSnapshot(ports, roles, plan, written, sealed, timestamp), written };
}

/**
 * Signs and writes the bins of a publication, with memory bounded whatever their number. Answers the SHA-256 of each
 * file, in the order of `bins`.
 */
export async function writeBins(
  ports: Pick<CommitPorts, 'store'> & Signers,
  roles: OfflineRoles,
  { bins, at, keyids }: Pick<Intent, 'bins' | 'at' | 'keyids'>,
  edited: (bin: BinVersion) => Promise<BinDocument>,
  progress?: (written: number) => void,
): Promise<string[]> {
  const slices = Array.from({ length: Math.ceil(bins.length / SLICE) }, (_, i) =>
    bins.slice(i * SLICE, (i + 1) * SLICE),
  );
  const signers = signersOf(ports, keyids);
  const trust = signedByAll(roles.binTrust, signers);
  let written = 0;
  const digests = await mapConcurrent(slices, SLICES_IN_FLIGHT, async (slice) => {
    const documents = await Promise.all(
      slice.map(async (bin) => ({ index: bin.bin, document: await edited(bin) })),
    );
    const files = await sealBins(signers, roles, documents, at);
    const stored = await Promise.all(files.map((file) => writeOnce(ports.store, file, trust)));
    written += slice.length;
    progress?.(written);
    return stored.map(sha256Hex);
  });
  return digests.flat();
}

/** The last steps: snapshot, timestamp, ledger. Every bin that the snapshot names must be in the store. */
export async function publishSnapshot(
  ports: CommitPorts,
  roles: OfflineRoles,
  { intent, changes }: Plan,
  digests: readonly string[],
  sealedSnapshot: SealedFile,
  timestamp: PublicTimestamp | undefined,
): Promise<PublicTimestamp> {
  const { ledger, store, clock } = ports;
  const snapshotBytes = await writeOnce(store, sealedSnapshot, roles.snapshotTrust);
  const signers = signersNamedBy(ports, roles.timestampTrust);
  const sealedTimestamp = await sealTimestamp(signers, roles, intent.timestamp, intent.expires.timestamp, {
    version: intent.snapshot,
    length: snapshotBytes.length,
    hashes: { sha256: sha256Hex(snapshotBytes) },
  });
  const published = await replaceTimestamp(store, roles, sealedTimestamp, timestamp);
  const signed = { snapshot: storedFile(snapshotBytes), timestamp: publicFile(published), bins: digests };
  told(ports, await ledger.finish(intent, changes, signed, clock.now()));
  return published;
}

/** What a publication changes in each bin. */
export function editsByBin(
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
