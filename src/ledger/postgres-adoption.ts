// Moving the head to what the store shows, after an older ledger was restored. Runs in a transaction of the caller.
import { CountersignError } from '../lib/errors.ts';
import { contentDigest } from './content-digest.ts';
import type { Adoption } from './ledger.ts';
import type { Query, Rows } from './postgres-connection.ts';
import { lockedHead, writeBins } from './postgres-publications.ts';
import { storedIntent } from './stored-json.ts';

/** See `Restoration.adopt`; the events are the caller's. @throws CountersignError `head-moved`, `ledger-invalid`. */
export async function adoptHead(
  query: Query,
  { follows, intent, bins }: Adoption,
  now: number,
  uri: string,
): Promise<void> {
  const head = (await lockedHead(query))?.snapshot ?? 0;
  if (head !== follows || head === 0 || intent.snapshot <= head) {
    throw new CountersignError(
      'head-moved',
      `the head is snapshot ${head}: snapshot ${intent.snapshot}, found to follow snapshot ${follows}, cannot be adopted`,
      { details: { head } },
    );
  }
  const json = JSON.stringify(intent);
  storedIntent(json, `publication ${intent.snapshot} in ledger ${uri}`);
  const latest = (await query('SELECT max(finished) AS finished FROM countersign.publications')) as Rows<{
    finished: number | null;
  }>;
  const finished = Math.max(now, latest.rows[0]?.finished ?? 0);
  await query('UPDATE countersign.publications SET finished = $1 WHERE finished IS NULL', [finished]);
  const { snapshot, timestamp, at, roles, trustedRoot } = intent;
  await query(
    `INSERT INTO countersign.publications (snapshot, timestamp, at, root, targets, bins, digest, intent, finished)
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)`,
    [snapshot, timestamp, at, roles.root, roles.targets, roles.bins, contentDigest(intent), json, finished],
  );
  await writeBins(query, bins);
  // What changed in between is in the store alone: a reader who follows the changes must not believe in none.
  await query('UPDATE countersign.head SET forgotten = $1, trusted_root = coalesce($2::text, trusted_root)', [
    snapshot,
    trustedRoot ?? null,
  ]);
}
