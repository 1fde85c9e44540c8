// What operators ask of the publisher. Functions run in a transaction of the caller.
import { sha256Hex } from '../lib/bytes.ts';
import { CountersignError } from '../lib/errors.ts';
import type { Order, OrderKind, OrderOutcome, OrderState } from './ledger.ts';
import type { SqliteConnection } from './sqlite-connection.ts';

export type OrderTable = ReturnType<typeof orderTable>;

export function orderTable(connection: SqliteConnection) {
  const same = connection.prepare(
    'SELECT number FROM orders WHERE outcome IS NULL AND kind = ? AND digest = ? ORDER BY number LIMIT 1',
  );
  const insert = connection.prepare(
    'INSERT INTO orders (kind, digest, content, placed_at) VALUES (?, ?, ?, ?) RETURNING number',
  );
  const open = connection.prepare(
    'SELECT number, kind, digest, placed_at AS placedAt FROM orders WHERE outcome IS NULL ORDER BY number',
  );
  const content = connection.prepare(
    'SELECT content FROM orders WHERE outcome IS NULL AND digest = ? ORDER BY number LIMIT 1',
  );
  const settle = connection.prepare(
    'UPDATE orders SET outcome = ?, settled_at = ?, content = NULL WHERE number = ? AND outcome IS NULL',
  );
  const outcome = connection.prepare('SELECT outcome FROM orders WHERE number = ?');
  const forget = connection.prepare('DELETE FROM orders WHERE settled_at < ?');

  return {
    place(kind: OrderKind, text: string, now: number): number {
      const digest = sha256Hex(text);
      const row = (same.get(kind, digest) ?? insert.get(kind, digest, text, now)) as { number: number };
      return row.number;
    },

    open(): Order[] {
      return open.all() as Order[];
    },

    content(digest: string): string | undefined {
      return (content.get(digest) as { content: string } | undefined)?.content;
    },

    settle(number: number, result: OrderOutcome, now: number): void {
      settle.run(JSON.stringify(result), now, number);
    },

    state(number: number): OrderState | undefined {
      const row = outcome.get(number) as { outcome: string | null } | undefined;
      if (row === undefined) return undefined;
      if (row.outcome === null) return { state: 'open' };
      try {
        return JSON.parse(row.outcome) as OrderOutcome;
      } catch (error) {
        throw new CountersignError(
          'ledger-invalid',
          `order ${number} in ledger ${connection.path} does not hold JSON`,
          { cause: error },
        );
      }
    },

    forget(ms: number): void {
      forget.run(ms);
    },
  };
}
