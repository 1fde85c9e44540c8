// Forgetting what is older than the retention, a slice at a time. Its function runs inside a transaction of the caller.
import type { SqliteConnection } from './sqlite-connection.ts';
import { storedIntent } from './stored-json.ts';

/** Rows that one transaction takes out: some milliseconds, then others have their turn. */
const SLICE_ROWS = 2_000;
/** What a publication costs besides its rows: its intent is read, and may name all 16,384 bins. */
const PUBLICATION_ROWS = 50;

export interface PruneSlice {
  /** Events that went. */
  readonly events: number;
  /** False when there is more to forget. */
  readonly done: boolean;
}

export type Pruning = ReturnType<typeof pruning>;

export function pruning(connection: SqliteConnection) {
  const next = connection.prepare(
    'SELECT snapshot, intent, finished FROM publications WHERE intent IS NOT NULL ORDER BY snapshot LIMIT 1',
  );
  const forget = connection.prepare('UPDATE counters SET forgotten = max(forgotten, ?)');
  const deleteChanges = connection.prepare(
    `DELETE FROM changes WHERE snapshot = ?1 AND item IN
       (SELECT item FROM changes WHERE snapshot = ?1 ORDER BY item LIMIT ?2)`,
  );
  const deleteEvents = connection.prepare(
    `DELETE FROM events WHERE position IN
       (SELECT e.position FROM json_each(?1) AS settled JOIN events AS e ON e.position = settled.value
        WHERE e.snapshot = ?2 LIMIT ?3)`,
  );
  const clearIntent = connection.prepare('UPDATE publications SET intent = NULL WHERE snapshot = ?');
  const deleteOlder = connection.prepare('DELETE FROM publications WHERE snapshot < ?');

  return {
    /** Forgets some of what was finished before `ms`. The row of the last one stays: `snapshotAt` needs it, and the head. */
    slice(ms: number): PruneSlice {
      let rows = 0;
      let events = 0;
      while (rows < SLICE_ROWS) {
        const oldest = next.get() as
          { snapshot: number; intent: string; finished: number | null } | undefined;
        if (oldest === undefined || oldest.finished === null || oldest.finished >= ms)
          return { events, done: true };
        const { snapshot } = oldest;
        const intent = storedIntent(oldest.intent, `publication ${snapshot} in ledger ${connection.path}`);
        // Recorded with the first row that goes: no reader is shown half of a publication's changes.
        forget.run(snapshot);
        rows += PUBLICATION_ROWS + deleteChanges.run(snapshot, Math.max(0, SLICE_ROWS - rows)).changes;
        const left = Math.max(0, SLICE_ROWS - rows);
        const gone = deleteEvents.run(JSON.stringify(intent.events), snapshot, left).changes;
        events += gone;
        rows += gone;
        if (rows >= SLICE_ROWS) break;
        clearIntent.run(snapshot);
        deleteOlder.run(snapshot);
      }
      return { events, done: false };
    },
  };
}
