// Removing what runs of back-signing have left in the store that were given up (./staging.ts). What an open order names is
// needed, however old it is. What none names may belong to a run that is about to place its order: it is kept for as long as
// superseded metadata are, and for a day at least, since the newest of its objects was written. A run that stood still for
// longer finds out, and stages again (./kept-staging.ts).
import type { Clock } from '../lib/clock.ts';
import type { History, Ledger } from '../ledger/ledger.ts';
import type { ObjectInfo, ObjectStore } from '../storage/store.ts';
import { parseStagedName, stagedName, STAGING_PREFIX } from '../tuf/layout.ts';
import { parseOrder } from './order.ts';
import { removeStaged } from './staging.ts';

/** From the first object to the order are minutes; a day forgives clocks, and a run that is resumed in the morning. */
const SHORTEST_MS = 24 * 3_600_000;

/** Objects removed between two looks at the orders. */
const PORTION = 1024;

/** Runs looked at in one collection: memory. The others have their turn when these are gone. */
const RUNS_AT_ONCE = 1024;

/** Objects of one run removed in one collection: the bins of the largest repository, and some. */
const OBJECTS_AT_ONCE = 100_000;

export interface StagingGarbagePorts {
  readonly ledger: Pick<Ledger & History, 'head' | 'openOrders' | 'orderContent'>;
  readonly store: Pick<ObjectStore, 'list' | 'remove'>;
  readonly clock: Clock;
  /** Milliseconds for which a superseded snapshot stays readable. */
  readonly snapshotsMs: number;
  /** Counts what would be removed, removes nothing. */
  readonly dryRun?: boolean;
  /** Ends the collection early. */
  readonly signal?: AbortSignal;
}

export interface StagingGarbageReport {
  /** Objects of runs that were given up. */
  readonly stagedRemoved: number;
  /** Bytes. */
  readonly stagedRemovedBytes: number;
  /** Objects of runs that are under way, or may be. */
  readonly stagedKept: number;
}

interface StagedRun {
  objects: number;
  bytes: number;
  /** When the newest of them was written; -Infinity: nobody can tell. */
  newest: number;
}

/** @throws CountersignError `store-unavailable`, `ledger-unavailable`; `backsign-state`: an order names no files. */
export async function collectStaging(ports: StagingGarbagePorts): Promise<StagingGarbageReport> {
  const { store, clock, snapshotsMs, dryRun = false, signal } = ports;
  const runs = await stagedRuns(store);
  const oldEnough = clock.now() - Math.max(snapshotsMs, SHORTEST_MS);
  const report = { stagedRemoved: 0, stagedRemovedBytes: 0, stagedKept: 0 };
  for (const [digest, run] of runs) {
    const isOld = Number.isFinite(run.newest) && run.newest <= oldEnough;
    // The orders are read after the objects: whoever staged something has not ordered it before.
    if (!isOld || signal?.aborted === true || (await isOrdered(ports.ledger, digest))) {
      report.stagedKept += run.objects;
      continue;
    }
    const removed = dryRun ? run : await removeRun(ports, digest, oldEnough);
    report.stagedRemoved += removed.objects;
    report.stagedRemovedBytes += removed.bytes;
    report.stagedKept += run.objects - removed.objects;
  }
  return report;
}

/** By digest, what lies below it. */
async function stagedRuns(store: StagingGarbagePorts['store']): Promise<Map<string, StagedRun>> {
  const runs = new Map<string, StagedRun>();
  for await (const object of store.list(STAGING_PREFIX)) {
    const { digest } = parseStagedName(object.name) ?? {};
    if (digest === undefined || (runs.size >= RUNS_AT_ONCE && !runs.has(digest))) continue;
    const run = runs.get(digest) ?? { objects: 0, bytes: 0, newest: Number.NEGATIVE_INFINITY };
    run.objects += 1;
    run.bytes += object.size;
    run.newest = Math.max(run.newest, timeOf(object));
    runs.set(digest, run);
  }
  return runs;
}

/** When an object was written: as the store says, or as its own name does, where that is later. */
function timeOf({ name, writtenAt = Number.NEGATIVE_INFINITY }: ObjectInfo): number {
  return Math.max(writtenAt, parseStagedName(name)?.begunAt ?? Number.NEGATIVE_INFINITY);
}

async function removeRun(
  { ledger, store, signal }: StagingGarbagePorts,
  digest: string,
  oldEnough: number,
): Promise<{ objects: number; bytes: number }> {
  const removed = { objects: 0, bytes: 0 };
  const found: ObjectInfo[] = [];
  for await (const object of store.list(stagedName(digest, ''))) {
    if (parseStagedName(object.name) === undefined) continue;
    // Somebody has come back to it meanwhile.
    if (timeOf(object) > oldEnough) return removed;
    if (found.length < OBJECTS_AT_ONCE) found.push(object);
  }
  for (let start = 0; start < found.length; start += PORTION) {
    if (signal?.aborted === true || (await isOrdered(ledger, digest))) break;
    const portion = found.slice(start, start + PORTION);
    await removeStaged(
      store,
      digest,
      portion.map(({ name }) => name),
    );
    removed.objects += portion.length;
    removed.bytes += portion.reduce((sum, { size }) => sum + size, 0);
  }
  return removed;
}

/** Whether an order that is not settled names these files, or may. */
async function isOrdered(ledger: StagingGarbagePorts['ledger'], digest: string): Promise<boolean> {
  for (const order of await ledger.openOrders()) {
    if (order.kind !== 'backsign') continue;
    const content = await ledger.orderContent(order.digest);
    // Undefined: it was settled at this moment.
    if (content !== undefined && parseOrder(content).digest === digest) return true;
  }
  const backsign = (await ledger.head())?.unfinished?.backsign;
  // A publication that is not finished, and nobody can say what it adds.
  return backsign !== undefined && (await ledger.orderContent(backsign.order)) === undefined;
}
