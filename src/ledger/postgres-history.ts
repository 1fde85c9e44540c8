// What finished publications changed, for readers that follow along. Functions run in a transaction of the caller.
import type { TargetFile } from '../tuf/metadata.ts';
import { changeOf, changesExpired, formerTargetsOf, type ChangeRow } from './change-rows.ts';
import type { SnapshotChanges, TargetChange } from './ledger.ts';
import { STATEMENT_ROWS, type Query, type Rows } from './postgres-connection.ts';
import { storedIntent } from './stored-json.ts';

interface PublicationRow {
  readonly snapshot: number;
  readonly at: number;
  readonly intent: string | null;
}

export async function recordChanges(
  query: Query,
  snapshot: number,
  changes: readonly TargetChange[],
): Promise<void> {
  for (let first = 0; first < changes.length; first += STATEMENT_ROWS) {
    await recordSlice(query, snapshot, changes.slice(first, first + STATEMENT_ROWS), first);
  }
}

async function recordSlice(
  query: Query,
  snapshot: number,
  changes: readonly TargetChange[],
  first: number,
): Promise<void> {
  await query(
    `INSERT INTO countersign.changes (snapshot, item, op, path, target, previous, ended)
     SELECT $1, $6::integer + number - 1, op, path, target, previous,
       bool_or(previous IS NOT NULL) OVER (PARTITION BY path ORDER BY number)
         OR EXISTS (SELECT 1 FROM countersign.changes AS older WHERE older.path = fresh.path AND older.ended)
     FROM unnest($2::text[], $3::text[], $4::text[], $5::text[])
       WITH ORDINALITY AS fresh (op, path, target, previous, number)`,
    [
      snapshot,
      changes.map(({ op }) => op),
      changes.map(({ path }) => path),
      changes.map(({ target }) => jsonOrNull(target)),
      changes.map(({ previous }) => jsonOrNull(previous)),
      first,
    ],
  );
}

/** See `History.changes`. */
export async function changesAfter(
  query: Query,
  after: number,
  limit: number,
  uri: string,
): Promise<SnapshotChanges[]> {
  const { rows: forgotten } = (await query('SELECT forgotten FROM countersign.head')) as Rows<{
    forgotten: number;
  }>;
  const last = forgotten[0]?.forgotten ?? 0;
  if (after < last) throw changesExpired(after, last);
  const { rows: publications } = (await query(
    `SELECT snapshot, at, intent FROM countersign.publications
     WHERE snapshot > $1 AND finished IS NOT NULL ORDER BY snapshot LIMIT $2`,
    [after, Math.max(0, limit)],
  )) as Rows<PublicationRow>;
  const { rows: changes } = (await query(
    `SELECT snapshot, item, op, path, target, previous FROM countersign.changes
     WHERE snapshot = ANY($1::bigint[]) ORDER BY snapshot, item`,
    [publications.map(({ snapshot }) => snapshot)],
  )) as Rows<ChangeRow>;
  const bySnapshot = new Map<number, TargetChange[]>(publications.map(({ snapshot }) => [snapshot, []]));
  for (const row of changes) bySnapshot.get(row.snapshot)?.push(changeOf(row, uri));
  return publications.map(({ snapshot, at, intent }) => ({
    snapshot,
    at,
    bins: storedIntent(intent, `publication ${snapshot} in ledger ${uri}`).bins,
    changes: bySnapshot.get(snapshot) ?? [],
  }));
}

/** See `History.formerTargets`. */
export async function formerTargets(
  query: Query,
  path: string,
  since: number,
  uri: string,
): Promise<TargetFile[]> {
  const { rows } = (await query(
    `SELECT snapshot, item, op, path, target, previous FROM countersign.changes
     WHERE path = $1 AND ended ORDER BY snapshot DESC, item DESC`,
    [path],
  )) as Rows<ChangeRow>;
  return formerTargetsOf(rows, since, uri);
}

/** See `History.snapshotAt`. */
export async function snapshotAt(query: Query, ms: number): Promise<number | undefined> {
  const { rows } = (await query(
    `SELECT snapshot FROM countersign.publications
     WHERE finished <= $1 ORDER BY finished DESC, snapshot DESC LIMIT 1`,
    [ms],
  )) as Rows<{ snapshot: number }>;
  return rows[0]?.snapshot;
}

function jsonOrNull(target: TargetFile | undefined): string | null {
  return target === undefined ? null : JSON.stringify(target);
}
