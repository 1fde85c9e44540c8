// What finished publications changed, for readers that follow along. Functions run in a transaction of the caller.
import { CountersignError } from '../lib/errors.ts';
import { canonicalJson, type Canonicalizable } from '../tuf/canonical-json.ts';
import type { TargetFile } from '../tuf/metadata.ts';
import type { SnapshotChanges, TargetChange } from './ledger.ts';
import type { SqliteConnection } from './sqlite-connection.ts';
import { storedIntent, storedTarget } from './stored-json.ts';

interface PublicationRow {
  readonly snapshot: number;
  readonly at: number;
  readonly intent: string | null;
}

interface ChangeRow {
  readonly snapshot: number;
  readonly item: number;
  readonly op: TargetChange['op'];
  readonly path: string;
  readonly target: string | null;
  readonly previous: string | null;
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

  function targetOf(json: string, row: ChangeRow): TargetFile {
    return storedTarget(json, `change ${row.item} of snapshot ${row.snapshot} in ledger ${connection.path}`);
  }

  function changeOf(row: ChangeRow): TargetChange {
    return {
      op: row.op,
      path: row.path,
      ...(row.target === null ? {} : { target: targetOf(row.target, row) }),
      ...(row.previous === null ? {} : { previous: targetOf(row.previous, row) }),
    };
  }

  return {
    record(snapshot: number, changes: readonly TargetChange[]): void {
      changes.forEach(({ op, path, target, previous }, item) => {
        insert.run(snapshot, item, op, path, jsonOrNull(target), jsonOrNull(previous));
      });
    },

    /** See `History.changes`. */
    after(after: number, limit: number): SnapshotChanges[] {
      const last = (forgotten.get() as { forgotten: number }).forgotten;
      if (after < last) {
        throw new CountersignError(
          'changes-expired',
          `changes after snapshot ${after} are no longer kept, the oldest kept are those of snapshot ${last + 1}`,
          { details: { oldest: last + 1 } },
        );
      }
      return (finished.all(after, Math.max(0, limit)) as PublicationRow[]).map(
        ({ snapshot, at, intent }) => ({
          snapshot,
          at,
          bins: storedIntent(intent, `publication ${snapshot} in ledger ${connection.path}`).bins,
          changes: (ofSnapshot.all(snapshot) as ChangeRow[]).map(changeOf),
        }),
      );
    },

    /** See `History.formerTargets`. */
    former(path: string, since: number): TargetFile[] {
      const rows = ofPath.all(path) as ChangeRow[];
      const [latest] = rows;
      const seen = new Set<string>();
      if (latest !== undefined && latest.target !== null) seen.add(identity(targetOf(latest.target, latest)));
      const former: TargetFile[] = [];
      for (const row of rows) {
        // What version N took away was last named by N - 1.
        if (row.previous === null || row.snapshot - 1 <= since) continue;
        const target = targetOf(row.previous, row);
        if (seen.has(identity(target))) continue;
        seen.add(identity(target));
        former.push(target);
      }
      return former;
    },

    /** See `History.snapshotAt`. */
    snapshotAt(ms: number): number | undefined {
      return (finishedBy.get(ms) as { snapshot: number } | undefined)?.snapshot;
    },
  };
}

function identity(target: TargetFile): string {
  return canonicalJson(target as unknown as Canonicalizable);
}

function jsonOrNull(target: TargetFile | undefined): string | null {
  return target === undefined ? null : JSON.stringify(target);
}
