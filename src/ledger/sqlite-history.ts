// What finished publications changed, for readers that follow along. Functions run in a transaction of the caller.
import type { TargetFile } from '../tuf/metadata.ts';
import { changeOf, changesExpired, formerTargetsOf, type ChangeRow } from './change-rows.ts';
import type { SnapshotChanges, TargetChange } from './ledger.ts';
import type { SqliteConnection } from './sqlite-connection.ts';
import { storedIntent } from './stored-json.ts';

interface PublicationRow {
  readonly snapshot: number;
  readonly at: number;
  readonly intent: string | null;
}

export type ChangeTable = ReturnType<typeof changeTable>;

export function changeTable(connection: SqliteConnection) {
  const insert = connection.prepare(
    `INSERT INTO changes (snapshot, item, op, path, target, previous, ended)
     VALUES (?1, ?2, ?3, ?4, ?5, ?6,
       ?6 IS NOT NULL OR EXISTS (SELECT 1 FROM changes INDEXED BY changes_ended WHERE path = ?4 AND ended = 1))`,
  );
  const forgotten = connection.prepare('SELECT forgotten FROM counters');
  const finished = connection.prepare(
    `SELECT snapshot, at, intent FROM publications
     WHERE snapshot > ? AND finished IS NOT NULL ORDER BY snapshot LIMIT ?`,
  );
  const ofSnapshot = connection.prepare(
    'SELECT snapshot, item, op, path, target, previous FROM changes WHERE snapshot = ? ORDER BY item',
  );
  const ofPath = connection.prepare(
    `SELECT snapshot, item, op, path, target, previous FROM changes INDEXED BY changes_ended
     WHERE path = ? AND ended = 1 ORDER BY snapshot DESC, item DESC`,
  );
  const finishedBy = connection.prepare(
    `SELECT snapshot FROM publications INDEXED BY publications_finished
     WHERE finished <= ? ORDER BY finished DESC, snapshot DESC LIMIT 1`,
  );

  return {
    record(snapshot: number, changes: readonly TargetChange[]): void {
      changes.forEach(({ op, path, target, previous }, item) => {
        insert.run(snapshot, item, op, path, jsonOrNull(target), jsonOrNull(previous));
      });
    },

    /** See `History.changes`. */
    after(after: number, limit: number): SnapshotChanges[] {
      const last = (forgotten.get() as { forgotten: number }).forgotten;
      if (after < last) throw changesExpired(after, last);
      return (finished.all(after, Math.max(0, limit)) as PublicationRow[]).map(
        ({ snapshot, at, intent }) => ({
          snapshot,
          at,
          bins: storedIntent(intent, `publication ${snapshot} in ledger ${connection.path}`).bins,
          changes: (ofSnapshot.all(snapshot) as ChangeRow[]).map((row) => changeOf(row, connection.path)),
        }),
      );
    },

    /** See `History.formerTargets`. */
    former(path: string, since: number): TargetFile[] {
      return formerTargetsOf(ofPath.all(path) as ChangeRow[], since, connection.path);
    },

    /** See `History.snapshotAt`. */
    snapshotAt(ms: number): number | undefined {
      return (finishedBy.get(ms) as { snapshot: number } | undefined)?.snapshot;
    },
  };
}

function jsonOrNull(target: TargetFile | undefined): string | null {
  return target === undefined ? null : JSON.stringify(target);
}
