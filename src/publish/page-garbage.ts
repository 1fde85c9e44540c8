// Removing rendered pages that were replaced. The ledger says which: no listing of a bucket with a million pages. No two
// snapshots render the same bytes (src/simple/index-page.ts), so what was replaced once is never needed again.
import { mapConcurrent } from '../lib/concurrency.ts';
import { CountersignError } from '../lib/errors.ts';
import type { History, SnapshotChanges } from '../ledger/ledger.ts';
import { parsePagePath } from '../simple/page-path.ts';
import type { ObjectStore } from '../storage/store.ts';
import { targetObjectName } from '../tuf/layout.ts';

const REMOVALS_IN_FLIGHT = 16;

/** Publications read at once. */
const PORTION = 100;

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
    const portion = await changesAfter(history, position);
    const last = portion.at(-1);
    if (last === undefined) break;
    // What publication N took away was last named by N - 1.
    const former = portion
      .filter(({ snapshot }) => snapshot <= oldest)
      .flatMap(({ changes }) => changes)
      .flatMap(({ path, previous }) =>
        previous === undefined || parsePagePath(path) === undefined
          ? []
          : [targetObjectName(path, previous.hashes.sha256)],
      );
    if (!dryRun) await mapConcurrent(former, REMOVALS_IN_FLIGHT, (name) => store.remove(name));
    removed += former.length;
    position = last.snapshot;
  }
  return removed;
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
