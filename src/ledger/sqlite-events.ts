// The table of accepted events. Its functions run inside a transaction of the caller.
import { CountersignError } from '../lib/errors.ts';
import type { EventDraft } from './event-draft.ts';
import type { AcceptedEvent, EventState, Receipt, Rejection } from './ledger.ts';
import type { SqliteConnection } from './sqlite-connection.ts';
import { storedChanges } from './stored-json.ts';

interface EventRow {
  readonly position: number;
  readonly id: string;
  readonly digest: string;
  readonly snapshot: number | null;
  readonly code: string | null;
  readonly reason: string | null;
}

interface PendingRow {
  readonly position: number;
  readonly id: string;
  readonly changes: string | null;
  readonly accepted_at: number;
}

export type EventTable = ReturnType<typeof eventTable>;

export function eventTable(connection: SqliteConnection) {
  const find = connection.prepare(
    'SELECT position, id, digest, snapshot, code, reason FROM events WHERE id = ?',
  );
  const insert = connection.prepare(
    'INSERT INTO events (id, digest, accepted_at, changes) VALUES (?, ?, ?, ?)',
  );
  const pending = connection.prepare(
    `SELECT position, id, changes, accepted_at FROM events INDEXED BY events_pending
     WHERE snapshot IS NULL AND position > ? ORDER BY position LIMIT ?`,
  );
  const oldest = connection.prepare(
    `SELECT accepted_at FROM events INDEXED BY events_pending
     WHERE snapshot IS NULL ORDER BY position LIMIT 1`,
  );
  const settle = connection.prepare(
    `UPDATE events SET snapshot = ?, changes = NULL
     WHERE snapshot IS NULL AND position IN (SELECT value FROM json_each(?))`,
  );
  const reject = connection.prepare(
    `UPDATE events SET code = r.value ->> 1, reason = r.value ->> 2
     FROM json_each(?) AS r WHERE events.position = r.value ->> 0 AND events.snapshot = ?`,
  );
  const count = connection.prepare('SELECT backlog FROM counters');
  const addToCount = connection.prepare('UPDATE counters SET backlog = backlog + ?');

  function known(id: string): EventRow | undefined {
    return find.get(id) as EventRow | undefined;
  }

  return {
    /**
     * Accepts all drafts, or none when it throws.
     * @throws CountersignError `event-conflict`.
     */
    accept(drafts: readonly EventDraft[], now: number): Receipt[] {
      // Looked up before the first is written: a conflict leaves nothing behind in a transaction shared with others.
      const rows = drafts.map((draft) => known(draft.id));
      const fresh = new Map<string, EventDraft>();
      drafts.forEach((draft, index) => {
        const before = rows[index] ?? fresh.get(draft.id);
        if (before === undefined) fresh.set(draft.id, draft);
        else if (before.digest !== draft.digest) {
          throw new CountersignError(
            'event-conflict',
            `event ${JSON.stringify(draft.id)} was accepted before with other changes`,
            { details: { id: draft.id } },
          );
        }
      });
      const receipts = new Map<string, Receipt>();
      for (const row of rows) if (row !== undefined) receipts.set(row.id, receiptOf(row));
      for (const { id, digest, changes } of fresh.values()) {
        const position = Number(insert.run(id, digest, now, changes).lastInsertRowid);
        receipts.set(id, { id, position, state: { state: 'accepted' } });
      }
      if (fresh.size > 0) addToCount.run(fresh.size);
      return drafts.flatMap((draft) => receipts.get(draft.id) ?? []);
    },

    pending(position: number, limit: number): AcceptedEvent[] {
      return (pending.all(position, Math.max(0, limit)) as PendingRow[]).map((row) => ({
        position: row.position,
        id: row.id,
        acceptedAt: row.accepted_at,
        changes: storedChanges(row.changes, `event at position ${row.position} in ledger ${connection.path}`),
      }));
    },

    receipts(ids: readonly string[]): Map<string, Receipt> {
      const found = new Map<string, Receipt>();
      for (const id of ids) {
        const row = known(id);
        if (row !== undefined) found.set(id, receiptOf(row));
      }
      return found;
    },

    /** Events are settled once: positions that are no longer pending stay as they are. */
    settle(snapshot: number, positions: readonly number[], rejected: readonly Rejection[]): void {
      const settled = settle.run(snapshot, JSON.stringify(positions)).changes;
      if (rejected.length > 0) {
        reject.run(JSON.stringify(rejected.map((r) => [r.position, r.code, r.reason])), snapshot);
      }
      addToCount.run(-settled);
    },

    backlog(): { readonly events: number; readonly oldestAcceptedAt?: number } {
      const { backlog } = count.get() as { backlog: number };
      const first = oldest.get() as { accepted_at: number } | undefined;
      return { events: backlog, ...(first === undefined ? {} : { oldestAcceptedAt: first.accepted_at }) };
    },
  };
}

function receiptOf(row: EventRow): Receipt {
  return { id: row.id, position: row.position, state: stateOf(row) };
}

function stateOf({ snapshot, code, reason }: EventRow): EventState {
  if (snapshot === null) return { state: 'accepted' };
  if (code === null || reason === null) return { state: 'published', snapshot };
  return { state: 'rejected', code, reason };
}
