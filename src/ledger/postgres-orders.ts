// What operators ask of the publisher. Functions run in a transaction of the caller.
import { sha256Hex } from '../lib/bytes.ts';
import { CountersignError } from '../lib/errors.ts';
import type { Order, OrderKind, OrderOutcome, OrderState } from './ledger.ts';
import type { Query, Rows } from './postgres-connection.ts';

/** See `Ledger.placeOrder`. */
export async function placeOrder(
  query: Query,
  kind: OrderKind,
  content: string,
  now: number,
  notice: string,
): Promise<number> {
  // One at a time, so that the same order from two places is one.
  await query('LOCK TABLE countersign.orders IN SHARE ROW EXCLUSIVE MODE');
  const digest = sha256Hex(content);
  const same = (await query(
    `SELECT number FROM countersign.orders WHERE outcome IS NULL AND kind = $1 AND digest = $2
     ORDER BY number LIMIT 1`,
    [kind, digest],
  )) as Rows<{ number: number }>;
  if (same.rows[0] !== undefined) return same.rows[0].number;
  const placed = (await query(
    `INSERT INTO countersign.orders (kind, digest, content, placed_at) VALUES ($1, $2, $3, $4)
     RETURNING number, pg_notify('countersign', $5)`,
    [kind, digest, content, now, notice],
  )) as Rows<{ number: number }>;
  return placed.rows[0]?.number ?? NaN;
}

export async function openOrders(query: Query): Promise<Order[]> {
  const { rows } = (await query(
    `SELECT number, kind, digest, placed_at AS "placedAt" FROM countersign.orders
     WHERE outcome IS NULL ORDER BY number`,
  )) as Rows<Order>;
  return rows;
}

export async function orderContent(query: Query, digest: string): Promise<string | undefined> {
  const { rows } = (await query(
    'SELECT content FROM countersign.orders WHERE outcome IS NULL AND digest = $1 ORDER BY number LIMIT 1',
    [digest],
  )) as Rows<{ content: string }>;
  return rows[0]?.content;
}

/** See `Ledger.settleOrder`. */
export async function settleOrder(
  query: Query,
  number: number,
  outcome: OrderOutcome,
  now: number,
): Promise<void> {
  await query(
    `UPDATE countersign.orders SET outcome = $1, settled_at = $2, content = NULL
     WHERE number = $3 AND outcome IS NULL`,
    [JSON.stringify(outcome), now, number],
  );
}

export async function orderState(query: Query, number: number, uri: string): Promise<OrderState | undefined> {
  const { rows } = (await query('SELECT outcome FROM countersign.orders WHERE number = $1', [
    number,
  ])) as Rows<{ outcome: string | null }>;
  const [row] = rows;
  if (row === undefined) return undefined;
  if (row.outcome === null) return { state: 'open' };
  try {
    return JSON.parse(row.outcome) as OrderOutcome;
  } catch (error) {
    throw new CountersignError('ledger-invalid', `order ${number} in ledger ${uri} does not hold JSON`, {
      cause: error,
    });
  }
}

export async function forgetOrders(query: Query, ms: number): Promise<void> {
  await query('DELETE FROM countersign.orders WHERE settled_at < $1', [ms]);
}
