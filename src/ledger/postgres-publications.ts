// Publications, the head, and the bins' current versions. The functions run inside a transaction of the caller.
import { CountersignError } from '../lib/errors.ts';
import { contentDigest } from './content-digest.ts';
import type { BinRange, BinState, Head, Intent, SignedFiles } from './ledger.ts';
import type { Query, Rows } from './postgres-connection.ts';
import {
  checkDigests,
  nextIntent,
  settlingOf,
  type NewestPublication,
  type Settling,
} from './publication-rule.ts';
import { storedIntent } from './stored-json.ts';
import { ALL_BINS } from '../tuf/bins.ts';

interface HeadRow {
  readonly snapshot: number;
  readonly timestamp: number;
  readonly at: number;
  readonly root: number;
  readonly targets: number;
  readonly bins: number;
  readonly finished: number | null;
  readonly intent: string | null;
  readonly trusted_root: string | null;
}

/** See `History.head`. */
export async function readHead(query: Query, uri: string): Promise<Head | undefined> {
  const { rows } = (await query(
    `SELECT p.snapshot, p.timestamp, p.at, p.root, p.targets, p.bins, p.finished, h.trusted_root,
       CASE WHEN p.finished IS NULL THEN p.intent END AS intent
     FROM countersign.publications AS p CROSS JOIN countersign.head AS h ORDER BY p.snapshot DESC LIMIT 1`,
  )) as Rows<HeadRow>;
  const [row] = rows;
  if (row === undefined) return undefined;
  if (row.trusted_root === null) {
    throw new CountersignError('ledger-invalid', `table head in ledger ${uri} has no trusted root`);
  }
  const { snapshot, timestamp, at, root, targets, bins } = row;
  const head = { snapshot, timestamp, at, roles: { root, targets, bins }, trustedRoot: row.trusted_root };
  if (row.finished !== null) return head;
  return { ...head, unfinished: storedIntent(row.intent, where(snapshot, uri)) };
}

/** Moves the head. @throws CountersignError `head-moved`, `ledger-invalid` for an intent nobody could read back. */
export async function advanceHead(query: Query, intent: Intent, uri: string): Promise<void> {
  const json = nextIntent(await lockedHead(query), intent, where(intent.snapshot, uri));
  const { snapshot, timestamp, at, roles, trustedRoot } = intent;
  await query(
    `INSERT INTO countersign.publications (snapshot, timestamp, at, root, targets, bins, digest, intent)
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`,
    [snapshot, timestamp, at, roles.root, roles.targets, roles.bins, contentDigest(intent), json],
  );
  if (trustedRoot !== undefined) {
    await query('UPDATE countersign.head SET trusted_root = $1', [trustedRoot]);
  }
}

/** Whether `intent` is to be settled now; until the commit nobody else can. */
export async function settling(query: Query, intent: Intent): Promise<Settling> {
  return settlingOf(await lockedHead(query), intent);
}

/** Records the end of a publication. A clock that went back cannot put it before its predecessor's. */
export async function finishPublication(
  query: Query,
  intent: Intent,
  signed: SignedFiles,
  now: number,
  notice: string,
): Promise<void> {
  checkDigests(intent, signed);
  const [signedAt, expires, keyids] = [intent.at, Date.parse(intent.expires.bin), intent.keyids ?? []];
  await writeBins(
    query,
    intent.bins.map((bin, i) => ({ ...bin, sha256: signed.bins[i] ?? '', signedAt, expires, keyids })),
  );
  await query(
    `UPDATE countersign.publications SET finished = greatest($2::bigint,
       (SELECT finished FROM countersign.publications WHERE snapshot = $1::bigint - 1))
     WHERE snapshot = $1::bigint RETURNING pg_notify('countersign', $3)`,
    [intent.snapshot, now, notice],
  );
}

/** Puts these states in the place of what the ledger knew of the bins. */
export async function writeBins(query: Query, bins: readonly BinState[]): Promise<void> {
  if (bins.length === 0) return;
  await query(
    `INSERT INTO countersign.bins (bin, version, sha256, signed_at, expires, keyids)
     SELECT * FROM unnest($1::integer[], $2::bigint[], $3::text[], $4::bigint[], $5::bigint[], $6::text[])
     ON CONFLICT (bin) DO UPDATE SET version = EXCLUDED.version, sha256 = EXCLUDED.sha256,
       signed_at = EXCLUDED.signed_at, expires = EXCLUDED.expires, keyids = EXCLUDED.keyids`,
    [
      bins.map(({ bin }) => bin),
      bins.map(({ version }) => version),
      bins.map(({ sha256 }) => sha256),
      bins.map(({ signedAt }) => signedAt),
      bins.map(({ expires }) => expires),
      bins.map(({ keyids }) => keyids.join(',')),
    ],
  );
}

/** See `History.bins`. */
export async function readBins(query: Query, { first, count }: BinRange = ALL_BINS): Promise<BinState[]> {
  const { rows } = (await query(
    `SELECT bin, version, sha256, signed_at AS "signedAt", expires, keyids FROM countersign.bins
     WHERE bin BETWEEN $1 AND $2 ORDER BY bin`,
    [first, first + count - 1],
  )) as Rows<Omit<BinState, 'keyids'> & { readonly keyids: string }>;
  return rows.map(({ keyids, ...bin }) => ({ ...bin, keyids: keyids === '' ? [] : keyids.split(',') }));
}

/**
 * The newest publication. Read by a second statement: the first one may have waited for a head that has moved since,
 * and would still see the old one.
 */
export async function lockedHead(query: Query): Promise<NewestPublication | undefined> {
  await query('SELECT one FROM countersign.head FOR UPDATE');
  const { rows } = (await query(
    'SELECT snapshot, digest, finished FROM countersign.publications ORDER BY snapshot DESC LIMIT 1',
  )) as Rows<NewestPublication>;
  return rows[0];
}

function where(snapshot: number, uri: string): string {
  return `publication ${snapshot} in ledger ${uri}`;
}
