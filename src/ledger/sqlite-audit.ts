// The log of uses of the online key. Its functions run inside a transaction of the caller; nothing here changes or
// removes a record.
import { markOf, nextLine, snapshotOf, type AuditBody } from './audit-record.ts';
import type { AuditLine, AuditMark } from './ledger.ts';
import type { SqliteConnection } from './sqlite-connection.ts';

export type AuditTable = ReturnType<typeof auditTable>;

export function auditTable(connection: SqliteConnection) {
  const last = connection.prepare('SELECT number, hash FROM audit ORDER BY number DESC LIMIT 1');
  const insert = connection.prepare(
    'INSERT INTO audit (number, kind, snapshot, hash, record) VALUES (?, ?, ?, ?, ?)',
  );
  const announced = connection.prepare(
    `SELECT number FROM audit WHERE snapshot = ? AND kind IN ('announced', 'resumed') ORDER BY number DESC LIMIT 1`,
  );
  const page = connection.prepare(
    'SELECT number, hash, record AS text FROM audit WHERE number > ? ORDER BY number LIMIT ?',
  );

  function head(): Pick<AuditLine, 'number' | 'hash'> | undefined {
    const row = last.get() as Pick<AuditLine, 'number' | 'hash'> | undefined;
    return row === undefined ? undefined : { number: row.number, hash: row.hash };
  }

  function add(body: AuditBody, now: number): AuditMark {
    const { number, hash, text } = nextLine(head(), body, now);
    insert.run(number, body.kind, snapshotOf(body), hash, text);
    return markOf({ number, hash }, body);
  }

  return {
    head,

    /** Adds a record; the first one of all says what came before it. `known`: the newest snapshot without a record. */
    append(body: AuditBody, known: number, now: number): AuditMark {
      if (head() === undefined) add({ kind: 'began', after: known }, now);
      return add(body, now);
    },

    /** Number of the last announcement of a publication; 0 when there is none. */
    announcementOf(snapshot: number): number {
      return (announced.get(snapshot) as { number: number } | undefined)?.number ?? 0;
    },

    /** See `History.auditLines`. */
    lines(after: number, limit: number): AuditLine[] {
      const rows = page.all(after, Math.max(0, limit)) as AuditLine[];
      return rows.map(({ number, hash, text }) => ({ number, hash, text }));
    },
  };
}
