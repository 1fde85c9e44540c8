// Removing what no client can still need: mark and sweep. Versions only grow, so one snapshot marks everything: what it
// names, and all later versions, stay. Memory does not grow with the number of objects, and a publisher that writes
// meanwhile only adds what is kept.
import type { Clock } from '../lib/clock.ts';
import { mapConcurrent } from '../lib/concurrency.ts';
import { CountersignError } from '../lib/errors.ts';
import type { History } from '../ledger/ledger.ts';
import type { ObjectStore } from '../storage/store.ts';
import { METADATA_PREFIX, parseVersionedName, RETENTION_NAME, TIMESTAMP_NAME } from '../tuf/layout.ts';
import { generationOf } from '../tuf/bins.ts';
import type { SnapshotDocument } from '../tuf/snapshot-document.ts';
import { removeFormerPages } from './page-garbage.ts';
import { owedRetention, promiseRetention } from './promise-retention.ts';
import { loadOfflineRoles, loadSnapshot } from './verified-reads.ts';

/** Objects removed at once. */
const REMOVALS_IN_FLIGHT = 16;

/** Objects collected before they are removed. */
const PORTION = 1024;

export interface RetentionPorts {
  readonly history: History;
  readonly store: ObjectStore;
  readonly clock: Clock;
  /** Milliseconds for which a snapshot stays readable after another one replaced it. */
  readonly snapshotsMs: number;
  /** Milliseconds for which settled events are remembered. */
  readonly eventsMs: number;
  /** Whether this service renders pages and removes those that were replaced: what an index brings itself is its own. */
  readonly rendersPages?: boolean;
  /** Rendered pages that were replaced up to this snapshot are gone already: an earlier collection's oldestSnapshot. */
  readonly pagesSweptUpTo?: number;
  /** Counts what would be removed, removes nothing. */
  readonly dryRun?: boolean;
  /** Ends the sweep early; what was removed until then was not needed. */
  readonly signal?: AbortSignal;
  readonly progress?: (looked: number, removed: number) => void;
}

export interface RetentionReport {
  /** Everything that this snapshot names, and everything later, was kept. Absent: no snapshot is old enough yet. */
  readonly oldestSnapshot?: number;
  readonly kept: number;
  readonly removed: number;
  /** Bytes. */
  readonly removedBytes: number;
  /** Objects under `metadata/` whose names mean nothing here; left alone. */
  readonly unknown: number;
  /** Rendered simple index pages, removed because they were replaced. */
  readonly pages: number;
  readonly forgottenEvents: number;
}

/**
 * Removes superseded metadata, never a root (interop rule 9), and forgets old events.
 * @throws CountersignError `not-bootstrapped`; the errors of reading and verifying a snapshot; nothing is removed then.
 */
export async function collectGarbage(ports: RetentionPorts): Promise<RetentionReport> {
  const { history, store, clock, dryRun = false } = ports;
  const head = await history.head();
  if (head === undefined) throw new CountersignError('not-bootstrapped', 'the ledger holds no repository');
  const now = clock.now();
  // Mirrors were told how long they have: less is kept only when that time is over.
  const keptMs = await (dryRun ? owedRetention : promiseRetention)(store, ports.snapshotsMs, now);
  const oldest = await oldestKept(ports, now - keptMs);
  const report = { kept: 0, removed: 0, removedBytes: 0, unknown: 0 };
  if (oldest !== undefined) {
    const snapshot = await loadSnapshot(store, await loadOfflineRoles(store, head), oldest);
    // Snapshots go first: one that is left behind by an interrupted sweep still has all of its bins.
    await sweep(ports, snapshot, report, (name) => isSnapshot(name));
    await sweep(ports, snapshot, report, (name) => !isSnapshot(name));
  }
  const pages =
    oldest === undefined || ports.rendersPages !== true
      ? 0
      : await removeFormerPages(ports, ports.pagesSweptUpTo ?? 0, oldest);
  const forgottenEvents = dryRun ? 0 : await history.prune(now - ports.eventsMs);
  return { ...(oldest === undefined ? {} : { oldestSnapshot: oldest }), ...report, pages, forgottenEvents };
}

type Counts = Record<'kept' | 'removed' | 'removedBytes' | 'unknown', number>;

async function sweep(
  { store, dryRun = false, progress, signal }: RetentionPorts,
  oldest: SnapshotDocument,
  counts: Counts,
  isTurn: (name: string) => boolean,
): Promise<void> {
  let portion: string[] = [];
  const remove = async (): Promise<void> => {
    if (!dryRun) await mapConcurrent(portion, REMOVALS_IN_FLIGHT, (name) => store.remove(name));
    portion = [];
    progress?.(counts.kept + counts.removed, counts.removed);
  };
  for await (const { name, size } of store.list(METADATA_PREFIX)) {
    if (signal?.aborted === true) break;
    if (!isTurn(name)) continue;
    const use = useOf(name, oldest);
    if (use === 'unknown') counts.unknown += 1;
    if (use !== 'superseded') {
      counts.kept += 1;
      continue;
    }
    counts.removed += 1;
    counts.removedBytes += size;
    portion.push(name);
    if (portion.length >= PORTION) await remove();
  }
  await remove();
}

function isSnapshot(name: string): boolean {
  return parseVersionedName(name)?.role === 'snapshot';
}

/** What an object is to a client that begins with `oldest` or a later snapshot. */
function useOf(name: string, oldest: SnapshotDocument): 'needed' | 'superseded' | 'unknown' {
  if (name === TIMESTAMP_NAME || name === RETENTION_NAME) return 'needed';
  const parsed = parseVersionedName(name);
  if (parsed === undefined) return 'unknown';
  const needed = oldestNeeded(parsed.role, oldest);
  if (needed === undefined) return 'unknown';
  return parsed.version < needed ? 'superseded' : 'needed';
}

function oldestNeeded(role: string, oldest: SnapshotDocument): number | undefined {
  switch (role) {
    case 'root':
      return 1; // Every root, for ever: interop rule 9.
    case 'snapshot':
      return oldest.version;
    case 'targets':
      return oldest.targetsVersion;
    case 'bins':
      return oldest.binsVersion;
    default: {
      const generation = generationOf(role);
      if (generation === undefined) return undefined;
      // The snapshot goes on naming the bins of layouts that came before its own, and nobody reads them (ADR 20).
      if (generation < oldest.layout.generation) return Number.POSITIVE_INFINITY;
      const bin = oldest.parseName(role);
      if (bin !== undefined) return oldest.versionOf(bin);
      // A bin that was written later; or, in the current layout, no bin at all.
      return generation > oldest.layout.generation ? 1 : undefined;
    }
  }
}

/** The snapshot that was current at time `ms`, or the next one that is still there; undefined: none is that old. */
async function oldestKept({ history, store }: RetentionPorts, ms: number): Promise<number | undefined> {
  const current = await history.snapshotAt(ms);
  if (current === undefined) return undefined;
  let oldest: number | undefined;
  for await (const { name } of store.list(METADATA_PREFIX)) {
    const parsed = parseVersionedName(name);
    if (parsed?.role !== 'snapshot' || parsed.version < current) continue;
    if (oldest === undefined || parsed.version < oldest) oldest = parsed.version;
    if (oldest === current) break;
  }
  return oldest;
}
