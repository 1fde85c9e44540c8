// The table of accepted events. Its functions run inside a transaction of the caller.
//
// Positions come from a row that stays locked until the commit, not from a sequence: a sequence gives 7 to one
// transaction and 8 to another, and when 8 is committed first, a reader that goes on after 8 never sees 7. With the lock
// positions become visible in their order, with no gap that could be filled later. Whoever appends waits for whoever
// appends; group commit makes that one wait for thousands of events.
import { CountersignError } from '../lib/errors.ts';
import type { EventDraft } from './event-draft.ts';
import type { Outcome } from './group-commit.ts';
import type { AcceptedEvent, EventState, Receipt, Rejection } from './ledger.ts';
import { STATEMENT_ROWS, type Query, type Rows } from './postgres-connection.ts';
import { storedChanges } from './stored-json.ts';

export interface AppendJob {
  readonly drafts: readonly EventDraft[];
  readonly now: number;
}

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

interface Known {
  readonly digest: string;
  readonly receipt: Receipt;
}

/**
 * Accepts each job's events, or none of them: the outcome is then `event-conflict`.
 * @param notice Sent to whoever listens, with the commit, when anything is new.
 */
export async function acceptEvents(
  query: Query,
  jobs: readonly AppendJob[],
  notice: string,
): Promise<Outcome<Receipt[]>[]> {
  const last = (await query('SELECT position FROM countersign.counters FOR UPDATE')) as Rows<{
    position: number;
  }>;
  let position = last.rows[0]?.position ?? NaN;
  const ids = [...new Set(jobs.flatMap(({ drafts }) => drafts.map(({ id }) => id)))];
  const known = new Map<string, Known>();
  for (const row of await eventRows(query, ids)) {
    known.set(row.id, { digest: row.digest, receipt: receiptOf(row) });
  }
  const fresh: { readonly draft: EventDraft; readonly now: number }[] = [];
  const outcomes = jobs.map(({ drafts, now }): Outcome<Receipt[]> => {
    const added = newDrafts(drafts, known);
    if (added instanceof CountersignError) return { error: added };
    for (const draft of added) {
      position += 1;
      const { id, digest } = draft;
      known.set(id, { digest, receipt: { id, position, state: { state: 'accepted' } } });
      fresh.push({ draft, now });
    }
    return { result: drafts.flatMap(({ id }) => known.get(id)?.receipt ?? []) };
  });
  if (fresh.length > 0) await insertEvents(query, fresh, position, notice);
  return outcomes;
}

/** The events of one call that are not known, in their order; the error when one is known with other changes. */
function newDrafts(
  drafts: readonly EventDraft[],
  known: ReadonlyMap<string, Known>,
): EventDraft[] | CountersignError {
  const added = new Map<string, EventDraft>();
  for (const draft of drafts) {
    const before = known.get(draft.id) ?? added.get(draft.id);
    if (before === undefined) added.set(draft.id, draft);
    else if (before.digest !== draft.digest) {
      return new CountersignError(
        'event-conflict',
        `event ${JSON.stringify(draft.id)} was accepted before with other changes`,
        { details: { id: draft.id } },
      );
    }
  }
  return [...added.values()];
}

async function insertEvents(
  query: Query,
  fresh: readonly { readonly draft: EventDraft; readonly now: number }[],
  last: number,
  notice: string,
): Promise<void> {
  await query(
    `WITH accepted AS (
       INSERT INTO countersign.events (position, id, digest, accepted_at, changes)
       SELECT $1::bigint - count(*) OVER () + number, id, digest, accepted_at, changes
       FROM unnest($2::text[], $3::text[], $4::bigint[], $5::text[])
         WITH ORDINALITY AS fresh (id, digest, accepted_at, changes, number)
     )
     UPDATE countersign.counters SET position = $1, backlog = backlog + $6
     RETURNING pg_notify('countersign', $7)`,
    [
      last,
      fresh.map(({ draft }) => draft.id),
      fresh.map(({ draft }) => draft.digest),
      fresh.map(({ now }) => now),
      fresh.map(({ draft }) => draft.changes),
      fresh.length,
      notice,
    ],
  );
}

/** See `Ledger.read`. */
export async function pendingEvents(
  query: Query,
  position: number,
  limit: number,
  uri: string,
): Promise<AcceptedEvent[]> {
  const { rows } = (await query(
    `SELECT position, id, changes, accepted_at FROM countersign.events
     WHERE snapshot IS NULL AND position > $1 ORDER BY position LIMIT $2`,
    [position, Math.max(0, limit)],
  )) as Rows<PendingRow>;
  return rows.map((row) => ({
    position: row.position,
    id: row.id,
    acceptedAt: row.accepted_at,
    changes: storedChanges(row.changes, `event at position ${row.position} in ledger ${uri}`),
  }));
}

/** See `History.events`. */
export async function eventReceipts(query: Query, ids: readonly string[]): Promise<Map<string, Receipt>> {
  const rows = new Map((await eventRows(query, ids)).map((row) => [row.id, row]));
  const found = new Map<string, Receipt>();
  // In the order of the question; the database has its own.
  for (const id of ids) {
    const row = rows.get(id);
    if (row !== undefined) found.set(id, receiptOf(row));
  }
  return found;
}

/** Events are settled once: positions that are no longer pending stay as they are. */
export async function settleEvents(
  query: Query,
  snapshot: number,
  positions: readonly number[],
  rejected: readonly Rejection[],
): Promise<void> {
  if (positions.length === 0) return;
  const refusals = new Map(rejected.map((rejection) => [rejection.position, rejection]));
  let settled = 0;
  for (let first = 0; first < positions.length; first += STATEMENT_ROWS) {
    const slice = positions.slice(first, first + STATEMENT_ROWS);
    settled += await settleSlice(
      query,
      snapshot,
      slice,
      slice.flatMap((at) => refusals.get(at) ?? []),
    );
  }
  // Last of all: whoever appends waits for this row.
  await query('UPDATE countersign.counters SET backlog = backlog - $1', [settled]);
}

/** How many of the events were pending. */
async function settleSlice(
  query: Query,
  snapshot: number,
  positions: readonly number[],
  rejected: readonly Rejection[],
): Promise<number> {
  const { count } = await query(
    `UPDATE countersign.events AS e
     SET snapshot = $1, changes = NULL, code = r.code, reason = r.reason
     FROM unnest($2::bigint[]) AS s (position)
       LEFT JOIN unnest($3::bigint[], $4::text[], $5::text[]) AS r (position, code, reason) USING (position)
     WHERE e.position = s.position AND e.snapshot IS NULL AND e.position BETWEEN $6 AND $7`,
    [
      snapshot,
      positions,
      rejected.map((r) => r.position),
      rejected.map(({ code }) => code),
      rejected.map(({ reason }) => reason),
      // Ascending: the server looks at no others.
      positions[0],
      positions.at(-1),
    ],
  );
  return count;
}

/** See `History.backlog`. */
export async function backlogOf(
  query: Query,
): Promise<{ readonly events: number; readonly oldestAcceptedAt?: number }> {
  const { rows } = (await query(
    `SELECT backlog, (SELECT accepted_at FROM countersign.events WHERE snapshot IS NULL ORDER BY position LIMIT 1)
       AS oldest FROM countersign.counters`,
  )) as Rows<{ backlog: number; oldest: number | null }>;
  const { backlog: events, oldest } = rows[0] ?? { backlog: 0, oldest: null };
  return { events, ...(oldest === null ? {} : { oldestAcceptedAt: oldest }) };
}

async function eventRows(query: Query, ids: readonly string[]): Promise<EventRow[]> {
  if (ids.length === 0) return [];
  const { rows } = (await query(
    `SELECT position, id, digest, snapshot, code, reason FROM countersign.events WHERE id = ANY($1::text[])`,
    [ids],
  )) as Rows<EventRow>;
  return rows;
}

function receiptOf(row: EventRow): Receipt {
  return { id: row.id, position: row.position, state: stateOf(row) };
}

function stateOf({ snapshot, code, reason }: EventRow): EventState {
  if (snapshot === null) return { state: 'accepted' };
  if (code === null || reason === null) return { state: 'published', snapshot };
  return { state: 'rejected', code, reason };
}
