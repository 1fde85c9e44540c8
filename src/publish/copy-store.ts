// Moving house: a whole repository from one store to another. Everything is verified as a client would verify it before
// it is written, and read back afterwards. Nothing names an object before the object is there: bins, then their
// snapshot, and timestamp.json last of all, so that the destination is empty or consistent at every moment.
//
// Snapshots are copied from the newest to the oldest: garbage collection takes the oldest first, so what it takes away
// meanwhile leaves no gap. Two snapshots and some bins are in memory at any time.
import { equalBytes } from '../lib/bytes.ts';
import type { Clock } from '../lib/clock.ts';
import { mapConcurrent } from '../lib/concurrency.ts';
import { CountersignError, hasCode } from '../lib/errors.ts';
import type { ObjectStore } from '../storage/store.ts';
import { METADATA_PREFIX, parseVersionedName, versionedName } from '../tuf/layout.ts';
import { parsePagePath } from '../simple/page-path.ts';
import type { BinDocument } from '../tuf/bin-document.ts';
import type { SnapshotDocument } from '../tuf/snapshot-document.ts';
import { checkSnapshotOrder } from '../tuf/verify-roles.ts';
import { CopySource, readTimestamp, type CopySourcePorts } from './copy-source.ts';
import { CopyTarget } from './copy-target.ts';

/** Bins read, verified, written and read back at once: at most 80 MB, if all were as large as clients allow. */
const IN_FLIGHT = 16;

/** Milliseconds: a copy this young has caught up with a service that goes on publishing. */
const CAUGHT_UP_MS = 3000;

/** Rounds after which a copy of a running service ends, at the snapshot that it has. */
const MAX_ROUNDS = 20;

export interface CopyPorts extends CopySourcePorts {
  /** Undefined: a destination that does not exist yet, and is not to be made (`dryRun`). */
  readonly to: ObjectStore | undefined;
  readonly clock: Clock;
  /** Verify and compare, write nothing. */
  readonly dryRun?: boolean;
  /** Goes on until the copy has caught up with a source that is being published to, in place of refusing it. */
  readonly live?: boolean;
  /** Objects done, and about how many there are. */
  readonly progress?: (done: number, total: number) => void;
}

export interface CopyReport {
  /** What the destination shows now. */
  readonly snapshot: number;
  readonly timestamp: number;
  readonly oldestSnapshot: number;
  readonly copied: number;
  /** Bytes. */
  readonly copiedBytes: number;
  /** Objects that were there already, with the same bytes. */
  readonly present: number;
  /** Pages of the simple index among them. */
  readonly pages: number;
  /** False: the source has published more meanwhile. */
  readonly caughtUp: boolean;
}

/**
 * Copies what the retained snapshots of `from` reach. May be run again after it failed: what is there is compared, and
 * not written again.
 * @throws CountersignError `copy-refused` when the destination holds something else, is ahead, or the source is being
 *   published to; the errors of a client for a source that does not verify; `metadata-missing`, `store-unavailable`.
 */
export async function copyStore(ports: CopyPorts): Promise<CopyReport> {
  const { from, clock, live = false, dryRun = false } = ports;
  const target = new CopyTarget(ports.to, dryRun);
  const pages = new Set<string>();
  const { snapshots, total } = await survey(from);
  const progress = (): void => ports.progress?.(target.done, Math.max(total, target.done));
  let oldest = snapshots;
  let copiedUpTo: number | undefined;
  for (let round = 1; ; round++) {
    const startedAt = clock.now();
    const source = await CopySource.read(ports);
    const { timestamp, reference } = source;
    await target.checkTimestamp(timestamp, source.timestampTrusts);
    for (const { name, bytes } of source.roots) await target.put(name, bytes);
    const lowest = copiedUpTo === undefined ? oldest : copiedUpTo + 1;
    const reached = await copySnapshots({ source, target, pages, progress }, lowest, live);
    if (copiedUpTo === undefined) oldest = reached;
    copiedUpTo = reference.version;
    const now = await readTimestamp(from);
    const unchanged = now !== undefined && equalBytes(now.signedBytes, timestamp.envelope.signedBytes);
    if (!unchanged && !live) {
      throw new CountersignError(
        'copy-refused',
        'the source was published to while it was copied: stop its service and copy again, or copy with --live',
      );
    }
    const caughtUp = unchanged || clock.now() - startedAt < CAUGHT_UP_MS;
    if (!caughtUp && round < MAX_ROUNDS) continue;
    await target.replaceTimestamp(timestamp.bytes);
    progress();
    const { copied, copiedBytes, present } = target;
    const { version } = timestamp.envelope.signed;
    return {
      snapshot: copiedUpTo,
      timestamp: version,
      oldestSnapshot: oldest,
      copied,
      copiedBytes,
      present,
      pages: pages.size,
      caughtUp,
    };
  }
}

/** The oldest snapshot, and how many objects of a repository there are: names alone. */
async function survey(from: CopyPorts['from']): Promise<{ snapshots: number; total: number }> {
  let total = 1;
  let snapshots = Number.POSITIVE_INFINITY;
  for await (const { name } of from.list(METADATA_PREFIX)) {
    const parsed = parseVersionedName(name);
    if (parsed === undefined) continue;
    total += 1;
    if (parsed.role === 'snapshot') snapshots = Math.min(snapshots, parsed.version);
  }
  return { snapshots, total };
}

interface CopyWork {
  readonly source: CopySource;
  readonly target: CopyTarget;
  /** Names of page objects that are done: bins of several snapshots name the same. 0.1 GB for a million. */
  readonly pages: Set<string>;
  readonly progress: () => void;
}

/** The pages of the simple index that a bin names and that were rendered into the store (ADR 23). */
async function copyPages({ source, target, pages, progress }: CopyWork, bin: BinDocument): Promise<void> {
  for (const [path, file] of bin.entries()) {
    if (parsePagePath(path) === undefined || pages.has(file.hashes.sha256)) continue;
    const page = await source.page(path, file);
    if (page === undefined) continue;
    await target.put(page.name, page.bytes);
    pages.add(file.hashes.sha256);
    progress();
  }
}

/** Copies the snapshots from the current one down to `lowest`; answers the oldest that was there. */
async function copySnapshots(work: CopyWork, lowest: number, live: boolean): Promise<number> {
  const { source } = work;
  const withPages = await source.hasPages();
  let newer: SnapshotDocument | undefined;
  for (let { version } = source.reference; version >= lowest; version--) {
    try {
      newer = await copySnapshot(work, withPages, version, newer);
    } catch (error) {
      // Collected meanwhile, and everything older with it; only a service that runs collects.
      if (live && newer !== undefined && hasCode(error, 'metadata-missing') && !(await source.holds(version)))
        break;
      throw error;
    }
  }
  return newer?.version ?? lowest;
}

async function copySnapshot(
  work: CopyWork,
  withPages: boolean,
  version: number,
  newer: SnapshotDocument | undefined,
): Promise<SnapshotDocument> {
  const { source, target, progress } = work;
  const { bytes, snapshot } = await source.snapshot(version);
  if (newer !== undefined) checkSnapshotOrder(newer, snapshot);
  const offline = await source.offlineRoles(snapshot);
  if (newer?.targetsVersion !== snapshot.targetsVersion || newer.binsVersion !== snapshot.binsVersion) {
    for (const { name, bytes: file } of offline.files) await target.put(name, file);
  }
  const bins = snapshot.kept.filter((bin) => newer?.keptVersion(bin) !== snapshot.versionOf(bin));
  await mapConcurrent(bins, IN_FLIGHT, async (bin) => {
    const file = await source.bin(snapshot, offline.trust, bin);
    if (withPages) await copyPages(work, file.bin);
    await target.put(file.name, file.bytes);
    progress();
  });
  await target.put(versionedName('snapshot', version), bytes);
  return snapshot;
}
