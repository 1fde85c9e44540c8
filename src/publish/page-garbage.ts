// Removing rendered pages that were replaced. The ledger says which: no listing of a bucket with a million pages. No two
// snapshots render the same bytes (src/simple/index-page.ts), so what is replaced now is never needed again.
import { mapConcurrent } from '../lib/concurrency.ts';
import { CountersignError } from '../lib/errors.ts';
import type { History, SnapshotChanges } from '../ledger/ledger.ts';
import { parsePagePath } from '../simple/page-path.ts';
import type { ObjectStore } from '../storage/store.ts';
import { targetObjectName } from '../tuf/layout.ts';

const REMOVALS_IN_FLIGHT = 16;

/** Publications read at once. */
const PORTION = 100;

/** Names held in memory, about: 20 MB. */
const MOST_AT_ONCE = 100_000;

export interface PageGarbagePorts {
  readonly history: Pick<History, 'changes'>;
  readonly store: Pick<ObjectStore, 'remove'>;
  readonly dryRun?: boolean;
  readonly signal?: AbortSignal;
}

/**
 * Removes pages that no snapshot from `oldest` on names. Answers how many, counting those that were removed before.
 * @param after the publications up to this one were looked at before.
 */
export async function removeFormerPages(
  { history, store, dryRun = false, signal }: PageGarbagePorts,
  after: number,
  oldest: number,
): Promise<number> {
  let removed = 0;
  for (let position = after; position < oldest && signal?.aborted !== true;) {
    const { names, upTo } = await formerPages(history, position, oldest);
    if (!dryRun) await mapConcurrent([...names], REMOVALS_IN_FLIGHT, (name) => store.remove(name));
    removed += names.size;
    position = upTo;
  }
  return removed;
}

/**
 * Pages that publications after `after` took away, up to `upTo` (at most `oldest`), and none brought back: what an index
 * brought itself, before this service rendered, may have had the same bytes twice. What publication N took away was last
 * named by N - 1.
 */
async function formerPages(
  history: Pick<History, 'changes'>,
  after: number,
  oldest: number,
): Promise<{ readonly names: ReadonlySet<string>; readonly upTo: number }> {
  const names = new Set<string>();
  let upTo = oldest;
  for (let position = after; ;) {
    const portion = await changesAfter(history, position);
    for (const { snapshot, changes } of portion) {
      if (names.size >= MOST_AT_ONCE) upTo = Math.min(upTo, snapshot - 1);
      for (const { path, target, previous } of changes) {
        if (parsePagePath(path) === undefined) continue;
        if (previous !== undefined && snapshot <= upTo) {
          names.add(targetObjectName(path, previous.hashes.sha256));
        }
        if (target !== undefined) names.delete(targetObjectName(path, target.hashes.sha256));
      }
    }
    const last = portion.at(-1);
    if (last === undefined) return { names, upTo };
    position = last.snapshot;
  }
}

/** From the oldest that the ledger still knows. */
async function changesAfter(history: Pick<History, 'changes'>, after: number): Promise<SnapshotChanges[]> {
  try {
    return await history.changes(after, PORTION);
  } catch (error) {
    if (!(error instanceof CountersignError) || error.code !== 'changes-expired') throw error;
    const { oldest } = error.details as { readonly oldest: number };
    return history.changes(oldest - 1, PORTION);
  }
}
