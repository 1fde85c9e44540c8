// The log of uses of the online key. The functions run inside a transaction of the caller, which holds the row of the
// head; nothing here changes or removes a record.
import { markOf, nextLine, snapshotOf, type AuditBody } from './audit-record.ts';
import type { AuditLine, AuditMark } from './ledger.ts';
import type { Query, Rows } from './postgres-connection.ts';

/** See `History.auditHead`. */
export async function auditHead(query: Query): Promise<Pick<AuditLine, 'number' | 'hash'> | undefined> {
  const { rows } = (await query(
    'SELECT number, hash FROM countersign.audit ORDER BY number DESC LIMIT 1',
  )) as Rows<Pick<AuditLine, 'number' | 'hash'>>;
  return rows[0];
}

/** Adds a record; the first one of all says what came before it. `known`: the newest snapshot without a record. */
export async function appendAudit(
  query: Query,
  body: AuditBody,
  known: number,
  now: number,
): Promise<AuditMark> {
  const last = await auditHead(query);
  const first = last ?? (await add(query, undefined, { kind: 'began', after: known }, now));
  return add(query, first, body, now);
}

/** Number of the last announcement of a publication; 0 when there is none. */
export async function announcementOf(query: Query, snapshot: number): Promise<number> {
  const { rows } = (await query(
    `SELECT number FROM countersign.audit WHERE snapshot = $1 AND kind IN ('announced', 'resumed')
     ORDER BY number DESC LIMIT 1`,
    [snapshot],
  )) as Rows<{ number: number }>;
  return rows[0]?.number ?? 0;
}

/** See `History.auditLines`. */
export async function auditLines(query: Query, after: number, limit: number): Promise<AuditLine[]> {
  const { rows } = (await query(
    'SELECT number, hash, record AS text FROM countersign.audit WHERE number > $1 ORDER BY number LIMIT $2',
    [after, Math.max(0, limit)],
  )) as Rows<AuditLine>;
  return [...rows];
}

async function add(
  query: Query,
  last: Pick<AuditLine, 'number' | 'hash'> | undefined,
  body: AuditBody,
  now: number,
): Promise<AuditMark> {
  const { number, hash, text } = nextLine(last, body, now);
  await query(
    'INSERT INTO countersign.audit (number, kind, snapshot, hash, record) VALUES ($1, $2, $3, $4, $5)',
    [number, body.kind, snapshotOf(body), hash, text],
  );
  return markOf({ number, hash }, body);
}
