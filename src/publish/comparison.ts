// What changed since a snapshot that is known to be good, and whether the ledger can account for it (PEP 458 "In the event
// of a key compromise", step 3). Reads what clients read; whoever had the online key may have signed it.
import { mapConcurrent } from '../lib/concurrency.ts';
import { CountersignError } from '../lib/errors.ts';
import type { Head, History } from '../ledger/ledger.ts';
import type { ObjectStore } from '../storage/store.ts';
import { alignedBins, type BinLayout } from '../tuf/bins.ts';
import { versionedName } from '../tuf/layout.ts';
import { MAX_METADATA_BYTES } from '../tuf/metadata-limits.ts';
import type { TargetFile } from '../tuf/metadata.ts';
import type { SnapshotDocument } from '../tuf/snapshot-document.ts';
import { verifyBinFile } from '../tuf/verify-roles.ts';
import { sameTarget } from './apply-events.ts';
import { READS_IN_FLIGHT } from './bin-desk.ts';
import { foreignObjects } from './foreign-objects.ts';
import { loadOfflineRoles, loadSnapshot, loadTimestamp, type OfflineRoles } from './verified-reads.ts';

/** Publications whose changes are read at once. */
const PAGE = 500;

/** One target path that clients are told something else about than in the last good snapshot, or should be. */
export interface Difference {
  readonly path: string;
  readonly op: 'added' | 'replaced' | 'removed' | 'missing';
  readonly lastGood?: TargetFile;
  readonly current?: TargetFile;
  /** The publication, and its time (milliseconds), whose accepted events say the same; absent: nobody sent this. */
  readonly accepted?: { readonly snapshot: number; readonly at: number };
}

export interface Comparison {
  readonly lastGood: number;
  /** The snapshot that clients are shown. */
  readonly current: number;
  /** The snapshot of the ledger. */
  readonly ledger: number;
  /** Ascending by path. */
  readonly differences: readonly Difference[];
  /** Bins, by object name, that cannot be read as what they should be, and why. */
  readonly unreadable: readonly { readonly name: string; readonly reason: string }[];
  /** Objects in the store that this service has not published. */
  readonly foreign: readonly string[];
}

export interface ComparisonPorts {
  readonly history: History;
  readonly store: ObjectStore;
  readonly progress?: (done: number, total: number) => void;
}

interface Accepted {
  readonly target: TargetFile | undefined;
  readonly snapshot: number;
  readonly at: number;
}

/**
 * Compares every target.
 * @throws CountersignError `not-bootstrapped`; `metadata-missing` when snapshot `lastGood` or a bin of it is gone;
 *   `changes-expired` when the ledger has forgotten what followed it; errors of store and ledger.
 */
export async function compareWith(lastGood: number, ports: ComparisonPorts): Promise<Comparison> {
  const { history, store } = ports;
  const head = await history.head();
  if (head === undefined) throw new CountersignError('not-bootstrapped', 'the ledger holds no repository');
  if (head.unfinished !== undefined) {
    throw new CountersignError(
      'head-moved',
      `publication ${head.snapshot} is being carried out: let the service finish it first`,
    );
  }
  if (lastGood > head.snapshot) {
    throw new CountersignError(
      'usage',
      `snapshot ${lastGood} does not exist yet, the ledger is at ${head.snapshot}`,
    );
  }
  const roles = await loadOfflineRoles(store, head);
  const good = await loadSnapshot(store, roles, lastGood).catch(explainRetention);
  const shown = await shownSnapshot(store, roles, head);
  const accepted = await acceptedSince(history, lastGood);
  const states = await history.bins();
  const differences: Difference[] = [];
  const unreadable: { name: string; reason: string }[] = [];
  let done = 0;
  const coarse = good.layout.count <= shown.layout.count ? good.layout : shown.layout;
  const said = groupByBin(accepted, coarse);
  await mapConcurrent(coarse.bins, READS_IN_FLIGHT, async (bin) => {
    const before = new Map<string, TargetFile>();
    for (const each of alignedBins(coarse, bin, good.layout)) {
      const entries = await entriesOf(store, roles, good, each).catch(explainRetention);
      for (const [path, target] of entries) before.set(path, target);
    }
    const after = new Map<string, TargetFile>();
    for (const each of alignedBins(coarse, bin, shown.layout)) {
      try {
        for (const [path, target] of await entriesOf(store, roles, shown, each)) after.set(path, target);
      } catch (error) {
        if (!(error instanceof CountersignError) || error.code === 'store-unavailable') throw error;
        const name = versionedName(shown.nameOf(each), shown.versionOf(each));
        unreadable.push({ name, reason: error.message });
        return;
      }
    }
    differences.push(...compareBin(before, after, said.get(bin) ?? new Map<string, Accepted>()));
    ports.progress?.(++done, coarse.count);
  });
  return {
    lastGood,
    current: shown.version,
    ledger: head.snapshot,
    differences: differences.sort((a, b) => (a.path < b.path ? -1 : 1)),
    unreadable: unreadable.sort((a, b) => (a.name < b.name ? -1 : 1)),
    foreign: await foreignObjects(store, head, states, shown),
  };
}

/** The snapshot that timestamp.json names, whoever signed it; the ledger's when it names none that verifies. */
async function shownSnapshot(store: ObjectStore, roles: OfflineRoles, head: Head): Promise<SnapshotDocument> {
  try {
    const timestamp = await loadTimestamp(store, roles);
    const version = timestamp?.envelope.signed.meta['snapshot.json'].version ?? head.snapshot;
    return await loadSnapshot(store, roles, version);
  } catch (error) {
    if (!(error instanceof CountersignError) || error.code === 'store-unavailable') throw error;
    return loadSnapshot(store, roles, head.snapshot);
  }
}

/** What finished publications after `snapshot` say about each path, the last word of each. */
async function acceptedSince(history: History, snapshot: number): Promise<Map<string, Accepted>> {
  const accepted = new Map<string, Accepted>();
  for (let after = snapshot; ;) {
    const page = await history.changes(after, PAGE);
    for (const { snapshot: version, at, changes } of page) {
      for (const { path, target } of changes) accepted.set(path, { target, snapshot: version, at });
      after = version;
    }
    if (page.length < PAGE) return accepted;
  }
}

function groupByBin(
  accepted: ReadonlyMap<string, Accepted>,
  layout: BinLayout,
): Map<number, Map<string, Accepted>> {
  const bins = new Map<number, Map<string, Accepted>>();
  for (const [path, said] of accepted) {
    const bin = layout.indexOf(path);
    bins.set(bin, (bins.get(bin) ?? new Map<string, Accepted>()).set(path, said));
  }
  return bins;
}

async function entriesOf(
  store: ObjectStore,
  roles: OfflineRoles,
  snapshot: SnapshotDocument,
  bin: number,
): Promise<Map<string, TargetFile>> {
  const version = snapshot.versionOf(bin);
  const binTrust = { ...roles.binTrust, layout: snapshot.layoutOf(bin) };
  const name = versionedName(binTrust.layout.name(bin), version);
  const object = await store.get(name, MAX_METADATA_BYTES.targets);
  if (object === undefined) throw new CountersignError('metadata-missing', `${name} is not in the store`);
  const document = await verifyBinFile(object.bytes, binTrust, bin, version, { now: 0, expiry: 'ignored' });
  return new Map(document.entries());
}

function compareBin(
  before: ReadonlyMap<string, TargetFile>,
  after: ReadonlyMap<string, TargetFile>,
  accepted: ReadonlyMap<string, Accepted>,
): Difference[] {
  const differences: Difference[] = [];
  for (const path of new Set([...before.keys(), ...after.keys(), ...accepted.keys()])) {
    const [lastGood, current, said] = [before.get(path), after.get(path), accepted.get(path)];
    const expected = said === undefined ? lastGood : said.target;
    const isAccepted = same(current, expected);
    if (isAccepted && same(current, lastGood)) continue;
    differences.push({
      path,
      op: opOf(lastGood, current, isAccepted),
      ...(lastGood && { lastGood }),
      ...(current && { current }),
      ...(isAccepted && said && { accepted: { snapshot: said.snapshot, at: said.at } }),
    });
  }
  return differences;
}

function opOf(
  lastGood: TargetFile | undefined,
  current: TargetFile | undefined,
  isAccepted: boolean,
): Difference['op'] {
  if (!isAccepted && same(lastGood, current)) return 'missing';
  if (lastGood === undefined) return 'added';
  return current === undefined ? 'removed' : 'replaced';
}

function same(a: TargetFile | undefined, b: TargetFile | undefined): boolean {
  if (a === undefined || b === undefined) return a === b;
  return sameTarget(a, b);
}

function explainRetention(error: unknown): never {
  if (!(error instanceof CountersignError) || error.code !== 'metadata-missing') throw error;
  throw new CountersignError(
    'metadata-missing',
    `${error.message}: it is older than retention.snapshots, or was collected; name a later snapshot, or bring the ` +
      'objects of that snapshot back from a backup or a mirror',
    { cause: error },
  );
}
