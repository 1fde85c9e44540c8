// One pass over a simple index: ask for the pages that may have changed, remember what they say, send what follows from
// it. Whatever interrupts it, the next pass goes on: a page counts as read only in the transaction that holds its events.
//
// Next: ./deliver.ts
import { mapConcurrent } from '../lib/concurrency.ts';
import type { Clock } from '../lib/clock.ts';
import { CountersignError, hasCode } from '../lib/errors.ts';
import { comparePage, type CompareOptions, type FollowedFile, type PageFile } from './compare-page.ts';
import type { FollowState, ProjectState } from './follow-state.ts';

/** The index, as src/backsign/sources reads it. */
export interface IndexReader {
  /** Every project, with the state of its page where the index says it. */
  projects(): Promise<ReadonlyMap<string, number | undefined>>;
  /** A page; `unchanged` against the etag in `known`, or `absent`. `files`: what need not be asked for again. */
  page(
    project: string,
    known: ProjectState | undefined,
    files: ReadonlyMap<string, FollowedFile>,
  ): Promise<ReadPage | 'unchanged' | 'absent'>;
}

export interface ReadPage extends ProjectState {
  readonly files: readonly PageFile[];
}

export interface PassOptions extends CompareOptions {
  readonly index: IndexReader;
  readonly state: FollowState;
  readonly clock: Clock;
  /** How long a file must have been gone before it is removed, milliseconds. */
  readonly removeAfterMs: number;
  /** More removals in one pass than this look like a broken index, and are refused. */
  readonly maxRemovals: number;
  /** Sends what is queued. */
  readonly deliver: () => Promise<void>;
  readonly signal: AbortSignal;
  readonly progress: (done: number, total: number) => void;
}

export interface PassResult {
  /** Projects that the index lists. */
  readonly projects: number;
  /** Pages that were asked for. */
  readonly asked: number;
  /** Of these, those that had changed. */
  readonly changed: number;
}

/** Unreadable pages after which it is the index that is away. */
const MAX_UNREADABLE = 16;

const REQUESTS_IN_FLIGHT = 8;

/** Pages between two looks at the queue: bounds what waits there on a first pass over a large index. */
const PAGES_AT_ONCE = 512;

/** Events that are worth a request of their own while pages are still being read. */
const SEND_FROM = 1000;

/**
 * Brings the signed targets up to what the index says.
 * @throws CountersignError `manifest-invalid` or `service-unavailable` when the index cannot be read, or after everything
 *   else of the pass was done when a page of it cannot; what `deliver` throws; `too-many-removals`, likewise at the end.
 */
export async function followOnce(options: PassOptions): Promise<PassResult> {
  const { index, state, clock, deliver, signal } = options;
  // What an earlier run left waiting goes first, so that changes of one path keep their order.
  await deliver();
  const projects = await index.projects();
  for (const project of state.projectsBeside(new Set(projects.keys())))
    state.recordGone(project, clock.now());
  const due = [...projects].filter(([project, serial]) => mayHaveChanged(state.project(project), serial));
  let changed = 0;
  const unreadable: CountersignError[] = [];
  for (let start = 0; start < due.length && !signal.aborted; start += PAGES_AT_ONCE) {
    await mapConcurrent(
      due.slice(start, start + PAGES_AT_ONCE),
      REQUESTS_IN_FLIGHT,
      async ([project, serial], i) => {
        if (signal.aborted) return;
        try {
          if (await readProject(options, project, serial)) changed += 1;
        } catch (error) {
          // One page that is broken for months must not keep the others unsigned.
          if (!isUnreadable(error) || unreadable.push(error) >= MAX_UNREADABLE) throw error;
        }
        options.progress(start + i + 1, due.length);
      },
    );
    if (state.queued() >= SEND_FROM) await deliver();
  }
  const result = { projects: projects.size, asked: due.length, changed };
  if (signal.aborted) return result;
  await deliver();
  await removeMissing(options);
  const [first] = unreadable;
  if (first === undefined) return result;
  throw new CountersignError(
    first.code,
    `${first.message}; ${unreadable.length} of ${due.length} pages could not be read, what the others say is done`,
    { cause: first },
  );
}

function isUnreadable(error: unknown): error is CountersignError {
  return hasCode(error, 'manifest-invalid', 'service-unavailable');
}

/**
 * An index without serials is asked for every page; most answer that nothing has changed. A serial that went back is one of
 * an index that was restored, or of a cache: in both cases it is asked.
 */
function mayHaveChanged(known: ProjectState | undefined, serial: number | undefined): boolean {
  return serial === undefined || known?.serial !== serial;
}

async function readProject(
  options: PassOptions,
  project: string,
  serial: number | undefined,
): Promise<boolean> {
  const { index, state, clock } = options;
  const before = state.filesOf(project);
  const page = await index.page(project, state.project(project), before);
  // Not a word about its serial: a cache may still answer with an older state than the list named.
  if (page === 'unchanged') return false;
  if (page === 'absent') {
    state.recordGone(project, clock.now());
    return before.size > 0;
  }
  const shown = page.serial ?? serial;
  // A file that was not there yet when its page named it is asked for again: the page itself will not change for it.
  const isSettled = !page.files.some(({ mayPass }) => mayPass === true);
  const now = {
    ...(page.etag !== undefined && isSettled && { etag: page.etag }),
    ...(shown !== undefined && isSettled && { serial: shown }),
  };
  state.record(project, now, comparePage(before, page.files, options), clock.now());
  return true;
}

async function removeMissing({
  state,
  clock,
  removeAfterMs,
  maxRemovals,
  deliver,
}: PassOptions): Promise<void> {
  const since = clock.now() - removeAfterMs;
  const missing = state.missing(since);
  if (missing > maxRemovals) {
    throw new CountersignError(
      'too-many-removals',
      `the index no longer names ${missing} files that it named before; at most ${maxRemovals} are removed in one pass`,
    );
  }
  state.queueRemovals(since);
  await deliver();
}
