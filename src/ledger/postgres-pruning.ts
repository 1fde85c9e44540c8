// Forgetting what is older than the retention, a slice at a time. Its function runs inside a transaction of the caller.
import type { Query, Rows } from './postgres-connection.ts';

/** Rows that one transaction takes out: some milliseconds, then a publication that waits has its turn. */
const SLICE_ROWS = 2_000;
/** Publications that one transaction looks at; the intent of each may name 16,384 bins. */
const SLICE_PUBLICATIONS = 100;

export interface PruneSlice {
  /** Events that went. */
  readonly events: number;
  /** False when there is more to forget. */
  readonly done: boolean;
}

/** Forgets some of what was finished before `ms`. The row of the last one stays: `snapshotAt` needs it, and the head. */
export async function pruneSlice(query: Query, ms: number): Promise<PruneSlice> {
  await query('SELECT one FROM countersign.head FOR UPDATE');
  const oldest = (await query(
    `SELECT max(snapshot) AS last FROM (
       SELECT snapshot, finished FROM countersign.publications WHERE intent IS NOT NULL
       ORDER BY snapshot LIMIT ${SLICE_PUBLICATIONS}
     ) AS kept WHERE finished < $1`,
    [ms],
  )) as Rows<{ last: number | null }>;
  const last = oldest.rows[0]?.last ?? null;
  if (last === null) return { events: 0, done: true };
  // Recorded with the first row that goes: no reader is shown half of a publication's changes.
  await query('UPDATE countersign.head SET forgotten = greatest(forgotten, $1)', [last]);
  const changes = await deleteUpTo(query, 'changes', last, SLICE_ROWS);
  const events = await deleteUpTo(query, 'events', last, SLICE_ROWS - changes);
  if (changes + events < SLICE_ROWS) {
    await query('UPDATE countersign.publications SET intent = NULL WHERE snapshot = $1', [last]);
    await query('DELETE FROM countersign.publications WHERE snapshot < $1', [last]);
  }
  return { events, done: false };
}

async function deleteUpTo(
  query: Query,
  table: 'changes' | 'events',
  last: number,
  limit: number,
): Promise<number> {
  const { count } = await query(
    `DELETE FROM countersign.${table} WHERE ctid = ANY(ARRAY(
       SELECT ctid FROM countersign.${table} WHERE snapshot <= $1 LIMIT $2))`,
    [last, limit],
  );
  return count;
}
