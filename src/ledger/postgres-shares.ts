// Shares of the publication at the head. Functions run in a transaction of the caller. Shares of earlier publications
// stay until the next ones are offered: nobody is given them.
import { formatBins, helping, packDigests, parseBins, unpackDigests } from './audit-record.ts';
import type { AuditMark, BinVersion } from './ledger.ts';
import { announcementOf, appendAudit } from './postgres-audit.ts';
import type { Query, Rows } from './postgres-connection.ts';
import { currentLease } from './postgres-lease.ts';
import { lockedHead } from './postgres-publications.ts';
import type { DoneShare, ShareRequest, TakenShare } from './shared-work.ts';

interface ShareRow {
  readonly number: number;
  readonly bins: string;
}

/** See `SharedWork.offerShares`. */
export async function offerShares(
  query: Query,
  snapshot: number,
  shares: readonly (readonly BinVersion[])[],
  notice: string,
): Promise<void> {
  const head = await lockedHead(query);
  if (head?.snapshot !== snapshot || head.finished !== null) return;
  await query('DELETE FROM countersign.shares WHERE snapshot < $1', [snapshot]);
  await query(
    `INSERT INTO countersign.shares (snapshot, number, bins)
     SELECT $1, number - 1, bins FROM unnest($2::text[]) WITH ORDINALITY AS share (bins, number)
     WHERE NOT EXISTS (SELECT 1 FROM countersign.shares WHERE snapshot = $1)`,
    [snapshot, shares.map(formatBins)],
  );
  await query("SELECT pg_notify('countersign', $1)", [notice]);
}

/** See `SharedWork.takeShare`. */
export async function takeShare(
  query: Query,
  { holder, now, ttlMs, finishing }: ShareRequest,
): Promise<TakenShare | undefined> {
  // First of all: it is what an announcement waits for, and whoever settles the publication has it too.
  const head = await lockedHead(query);
  if (head?.finished !== null) return undefined;
  const { snapshot } = head;
  if (finishing !== undefined && finishing !== snapshot) return undefined;
  const select = 'SELECT number, bins FROM countersign.shares WHERE snapshot = $1 AND digests IS NULL';
  // Skipped: what somebody says to be done at this moment.
  const free = (await query(
    `${select} AND (claimed_until <= $2 OR claimed_until > $3) ORDER BY number LIMIT 1 FOR UPDATE SKIP LOCKED`,
    [snapshot, now, now + 2 * ttlMs],
  )) as Rows<ShareRow>;
  let [row] = free.rows;
  if (row === undefined && finishing !== undefined) {
    const oldest = `${select} ORDER BY claimed_until, number LIMIT 1 FOR UPDATE SKIP LOCKED`;
    [row] = ((await query(oldest, [snapshot])) as Rows<ShareRow>).rows;
  }
  if (row === undefined) return undefined;
  await query('UPDATE countersign.shares SET claimed_until = $3 WHERE snapshot = $1 AND number = $2', [
    snapshot,
    row.number,
    now + ttlMs,
  ]);
  const share = { snapshot, number: row.number, bins: parseBins(row.bins) };
  const lease = await currentLease(query);
  let mark: AuditMark | undefined;
  if (lease !== undefined && lease.holder !== holder) {
    const body = helping(share, holder, lease.epoch, await announcementOf(query, snapshot));
    mark = await appendAudit(query, body, snapshot - 1, now);
  }
  return { ...share, mark };
}

/** See `SharedWork.shareDone`. */
export async function shareDone(query: Query, { snapshot, number, digests }: DoneShare): Promise<void> {
  await query(
    'UPDATE countersign.shares SET digests = $3 WHERE snapshot = $1 AND number = $2 AND digests IS NULL',
    [snapshot, number, packDigests(digests)],
  );
}

/** See `SharedWork.doneShares`. */
export async function doneShares(query: Query, snapshot: number): Promise<DoneShare[]> {
  const { rows } = (await query(
    `SELECT number, bins, digests FROM countersign.shares
     WHERE snapshot = $1 AND digests IS NOT NULL ORDER BY number`,
    [snapshot],
  )) as Rows<ShareRow & { readonly digests: string }>;
  return rows.map(({ number, bins, digests }) => ({
    snapshot,
    number,
    bins: parseBins(bins),
    digests: unpackDigests(digests),
  }));
}
