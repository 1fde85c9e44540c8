// What goes into the next publication: the events that wait, and the bins they touch, read and verified. Events that
// touch an altered bin stay behind, and so does everything that depends on them.
//
// May assume: nothing about the store. Next: ./plan.ts
import { mapConcurrent } from '../lib/concurrency.ts';
import { CountersignError, hasCode } from '../lib/errors.ts';
import type { Logger } from '../lib/log.ts';
import type { AcceptedEvent, Ledger } from '../ledger/ledger.ts';
import { parsePagePath } from '../simple/page-path.ts';
import type { ProjectPage } from '../simple/project-page.ts';
import type { ObjectStore } from '../storage/store.ts';
import type { SnapshotDocument } from '../tuf/snapshot-document.ts';
import type { AlteredBins } from './altered-bins.ts';
import type { Statement } from './apply-events.ts';
import type { BinLook, BinSession } from './bin-desk.ts';
import { loadPage, pagesFor } from './simple-pages.ts';
import { publicBin } from './verified-reads.ts';

/** Pages read at once. */
const PAGES_IN_FLIGHT = 16;

export interface BatchSource {
  readonly ledger: Ledger;
  readonly store: ObjectStore;
  readonly snapshot: SnapshotDocument;
  /** SHA-256 of each bin's file, as the ledger has them. */
  readonly digests: readonly string[];
  readonly bins: BinSession;
  readonly altered: AlteredBins;
  readonly log: Logger;
  /** Whether events change simple index pages too. */
  readonly renderPages?: boolean;
}

export interface Batch {
  readonly events: readonly AcceptedEvent[];
  readonly renewals: readonly number[];
  /** What the snapshot says about a path that one of the events names. */
  lookup(path: string): Statement;
  /** Bytes of the signed part of a bin that the batch touches. */
  sizeOf(bin: number): number;
  /** Pages of the projects that the events touch; absent where none are rendered. */
  readonly pages?: ReadonlyMap<string, ProjectPage>;
}

/** Reads the ledger: events that may be published now, at most `limit`. */
export async function waitingEvents(
  source: BatchSource,
  limit: number,
  now: number,
): Promise<AcceptedEvent[]> {
  const { ledger, altered } = source;
  const events: AcceptedEvent[] = [];
  const line = new WaitingLine(source, (bin) => altered.isHeld(bin, now));
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
  for (const path of events.flatMap((event) => touchedPaths(event, source))) {
    const bin = layout.indexOf(path);
    paths.set(bin, (paths.get(bin) ?? new Set()).add(path));
  }
  const questions = [...paths].map(([bin, wanted]) => ({ ...publicBin(source, bin), paths: [...wanted] }));
  const looks = await source.bins.look(questions);
  const pages = new Map<string, ProjectPage>();
  const seen =
    source.renderPages === true
      ? await mapConcurrent(looks, PAGES_IN_FLIGHT, (look, i) =>
          lookAtPages(source.store, questions[i]?.paths ?? [], look, pages),
        )
      : looks;
  const statements = new Map<string, Statement>();
  const sizes = new Map<number, number>();
  const lost = new Set<number>();
  questions.forEach(({ bin, paths: wanted }, i) => {
    const look = seen[i];
    if (look === undefined || !noteLook(source, bin, look, now)) {
      lost.add(bin);
      return;
    }
    wanted.forEach((path, n) => statements.set(path, look.statements[n]));
    sizes.set(bin, look.size);
  });
  const line = new WaitingLine(source, (bin) => lost.has(bin));
  return {
    events: lost.size === 0 ? events : events.filter((event) => line.admits(event)),
    renewals: renewals.filter((bin) => !lost.has(bin)),
    lookup: (path) => statements.get(path),
    sizeOf: (bin) => sizes.get(bin) ?? 0,
    ...(source.renderPages === true ? { pages } : {}),
  };
}

/** Every path whose statement an event needs or changes. */
function touchedPaths({ changes }: AcceptedEvent, { renderPages = false }: BatchSource): string[] {
  return changes.flatMap(({ path }) => (renderPages ? [path, ...pagesFor(path)] : [path]));
}

/** A look at the pages too that a bin names, into `pages`: one that is not what was published makes the bin altered. */
async function lookAtPages(
  store: ObjectStore,
  paths: readonly string[],
  look: BinLook,
  pages: Map<string, ProjectPage>,
): Promise<BinLook> {
  if ('altered' in look) return look;
  try {
    for (const [n, path] of paths.entries()) {
      const target = parsePagePath(path)?.form === 'json' ? look.statements[n] : undefined;
      if (target === undefined) continue;
      const page = await loadPage(store, path, target);
      pages.set(page.name, page);
    }
    return look;
  } catch (error) {
    if (!hasCode(error, 'bin-altered')) throw error;
    return { altered: error.message };
  }
}

/** Keeps account of altered bins; true when this one is as it was published. */
function noteLook(
  { snapshot, altered, log }: BatchSource,
  bin: number,
  look: BinLook,
  now: number,
): look is Exclude<BinLook, { altered: string }> {
  const name = snapshot.layout.name(bin);
  if ('altered' in look) {
    const error = new CountersignError('bin-altered', look.altered);
    if (altered.note(bin, name, error, now)) log.error({ code: error.code, bin: name }, error.message);
    return false;
  }
  if (altered.clear(bin)) log.warn({ bin: name }, 'altered bin is restored');
  return true;
}

/** Lets events pass in their order, except those that touch a lost bin or a path for which an earlier one waits. */
class WaitingLine {
  readonly #source: BatchSource;
  readonly #isLost: (bin: number) => boolean;
  readonly #waitingPaths = new Set<string>();

  constructor(source: BatchSource, isLost: (bin: number) => boolean) {
    this.#source = source;
    this.#isLost = isLost;
  }

  admits(event: AcceptedEvent): boolean {
    const { layout } = this.#source.snapshot;
    const paths = touchedPaths(event, this.#source);
    const waits = paths.some((path) => this.#waitingPaths.has(path) || this.#isLost(layout.indexOf(path)));
    // Its pages wait too: later events of the project come after it.
    if (waits) for (const path of paths) this.#waitingPaths.add(path);
    return !waits;
  }
}
