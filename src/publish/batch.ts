// What goes into the next publication: the events that wait, and the bins they touch, read and verified. Events that
// touch an altered bin stay behind, and so does everything that depends on them.
//
// May assume: nothing about the store. Next: ./plan.ts
import { mapConcurrent } from '../lib/concurrency.ts';
import { hasCode } from '../lib/errors.ts';
import type { Logger } from '../lib/log.ts';
import type { AcceptedEvent, Ledger } from '../ledger/ledger.ts';
import type { BinDocument } from '../tuf/bin-document.ts';
import type { SnapshotDocument } from '../tuf/snapshot-document.ts';
import type { AlteredBins } from './altered-bins.ts';
import type { Statement } from './apply-events.ts';
import { loadBin, type PublishedBins } from './verified-reads.ts';

/** Bins read at once. */
export const READS_IN_FLIGHT = 16;

/** Bytes of bins kept from reading to sealing; the others of a large batch are read, and verified, a second time. */
const KEPT_BYTES = 128 * 1024 * 1024;

export interface BatchSource extends PublishedBins {
  readonly ledger: Ledger;
  readonly altered: AlteredBins;
  readonly log: Logger;
}

export interface Batch {
  readonly events: readonly AcceptedEvent[];
  readonly renewals: readonly number[];
  /** What the snapshot says about a path that one of the events names. */
  lookup(path: string): Statement;
  /** Bytes of the signed part of a bin that the batch touches. */
  sizeOf(bin: number): number;
  /** A bin as the snapshot has it, verified. */
  document(bin: number): Promise<BinDocument>;
}

/** Reads the ledger: events that may be published now, at most `limit`. */
export async function waitingEvents(
  { ledger, snapshot, altered }: BatchSource,
  limit: number,
  now: number,
): Promise<AcceptedEvent[]> {
  const events: AcceptedEvent[] = [];
  const line = new WaitingLine(snapshot, (bin) => altered.isHeld(bin, now));
  for (let position = 0; events.length < limit;) {
    const page = await ledger.read(position, limit);
    events.push(...page.filter((event) => line.admits(event)).slice(0, limit - events.length));
    const last = page.at(-1);
    if (last === undefined || page.length < limit) break;
    position = last.position;
  }
  return events;
}

/** Reads and verifies the bins that events and renewals touch; drops what touches an altered one. */
export async function gatherBatch(
  source: BatchSource,
  events: readonly AcceptedEvent[],
  renewals: readonly number[],
  now: number,
): Promise<Batch> {
  const { layout } = source.snapshot;
  const paths = new Map<number, Set<string>>(renewals.map((bin) => [bin, new Set()]));
  for (const { path } of events.flatMap(({ changes }) => changes)) {
    const bin = layout.indexOf(path);
    paths.set(bin, (paths.get(bin) ?? new Set()).add(path));
  }
  const statements = new Map<string, Statement>();
  const kept = new Map<number, BinDocument>();
  const sizes = new Map<number, number>();
  const lost = new Set<number>();
  let keptBytes = 0;
  await mapConcurrent([...paths], READS_IN_FLIGHT, async ([bin, wanted]) => {
    const document = await loadOrNote(source, bin, now);
    if (document === undefined) {
      lost.add(bin);
      return;
    }
    for (const path of wanted) statements.set(path, document.get(path));
    sizes.set(bin, document.signed.length);
    keptBytes += document.signed.length;
    if (keptBytes <= KEPT_BYTES) kept.set(bin, document);
  });
  const line = new WaitingLine(source.snapshot, (bin) => lost.has(bin));
  return {
    events: lost.size === 0 ? events : events.filter((event) => line.admits(event)),
    renewals: renewals.filter((bin) => !lost.has(bin)),
    lookup: (path) => statements.get(path),
    sizeOf: (bin) => sizes.get(bin) ?? 0,
    document: async (bin) => kept.get(bin) ?? loadBin(source, bin),
  };
}

async function loadOrNote(source: BatchSource, bin: number, now: number): Promise<BinDocument | undefined> {
  const { snapshot, altered, log } = source;
  const name = snapshot.layout.name(bin);
  try {
    const document = await loadBin(source, bin);
    if (altered.clear(bin)) log.warn({ bin: name }, 'altered bin is restored');
    return document;
  } catch (error) {
    if (!hasCode(error, 'bin-altered')) throw error;
    if (altered.note(bin, name, error, now)) log.error({ code: error.code, bin: name }, error.message);
    return undefined;
  }
}

/** Lets events pass in their order, except those that touch a lost bin or a path for which an earlier one waits. */
class WaitingLine {
  readonly #snapshot: SnapshotDocument;
  readonly #isLost: (bin: number) => boolean;
  readonly #waitingPaths = new Set<string>();

  constructor(snapshot: SnapshotDocument, isLost: (bin: number) => boolean) {
    this.#snapshot = snapshot;
    this.#isLost = isLost;
  }

  admits({ changes }: AcceptedEvent): boolean {
    const { layout } = this.#snapshot;
    const waits = changes.some(
      ({ path }) => this.#waitingPaths.has(path) || this.#isLost(layout.indexOf(path)),
    );
    if (waits) for (const { path } of changes) this.#waitingPaths.add(path);
    return !waits;
  }
}
