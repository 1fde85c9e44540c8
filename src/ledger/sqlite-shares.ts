// Shares of the publication at the head. Functions run in a transaction of the caller. Shares of earlier publications
// stay until the next ones are offered: nobody is given them.
import { formatBins, helping, packDigests, parseBins, unpackDigests } from './audit-record.ts';
import type { AuditMark, BinVersion } from './ledger.ts';
import type { DoneShare, ShareRequest, TakenShare } from './shared-work.ts';
import type { AuditTable } from './sqlite-audit.ts';
import type { SqliteConnection } from './sqlite-connection.ts';
import type { LeaseTable } from './sqlite-lease.ts';

interface ShareRow {
  readonly number: number;
  readonly bins: string;
}

export type ShareTable = ReturnType<typeof shareTable>;

export function shareTable(connection: SqliteConnection, leases: LeaseTable, audit: AuditTable) {
  const unfinished = connection.prepare(
    `SELECT snapshot FROM publications
     WHERE finished IS NULL AND snapshot = (SELECT max(snapshot) FROM publications)`,
  );
  const forget = connection.prepare('DELETE FROM shares WHERE snapshot < ?');
  const divided = connection.prepare('SELECT 1 FROM shares WHERE snapshot = ? LIMIT 1');
  const insert = connection.prepare('INSERT INTO shares (snapshot, number, bins) VALUES (?, ?, ?)');
  const free = connection.prepare(
    `SELECT number, bins FROM shares WHERE snapshot = ? AND digests IS NULL
       AND (claimed_until <= ? OR claimed_until > ?) ORDER BY number LIMIT 1`,
  );
  const oldest = connection.prepare(
    `SELECT number, bins FROM shares WHERE snapshot = ? AND digests IS NULL
     ORDER BY claimed_until, number LIMIT 1`,
  );
  const claim = connection.prepare('UPDATE shares SET claimed_until = ? WHERE snapshot = ? AND number = ?');
  const settle = connection.prepare(
    'UPDATE shares SET digests = ? WHERE snapshot = ? AND number = ? AND digests IS NULL',
  );
  const done = connection.prepare(
    `SELECT number, bins, digests FROM shares WHERE snapshot = ? AND digests IS NOT NULL ORDER BY number`,
  );

  function unfinishedSnapshot(): number | undefined {
    return (unfinished.get() as { snapshot: number } | undefined)?.snapshot;
  }

  return {
    /** See `SharedWork.offerShares`. */
    offer(snapshot: number, shares: readonly (readonly BinVersion[])[]): void {
      if (unfinishedSnapshot() !== snapshot || divided.get(snapshot) !== undefined) return;
      forget.run(snapshot);
      for (const [number, bins] of shares.entries()) insert.run(snapshot, number, formatBins(bins));
    },

    /** See `SharedWork.takeShare`. */
    take({ holder, now, ttlMs, finishing }: ShareRequest): TakenShare | undefined {
      const snapshot = unfinishedSnapshot();
      if (snapshot === undefined || (finishing ?? snapshot) !== snapshot) return undefined;
      const row = (free.get(snapshot, now, now + 2 * ttlMs) ??
        (finishing === undefined ? undefined : oldest.get(snapshot))) as ShareRow | undefined;
      if (row === undefined) return undefined;
      claim.run(now + ttlMs, snapshot, row.number);
      const share = { snapshot, number: row.number, bins: parseBins(row.bins) };
      const lease = leases.current();
      let mark: AuditMark | undefined;
      if (lease !== undefined && lease.holder !== holder) {
        const body = helping(share, holder, lease.epoch, audit.announcementOf(snapshot));
        mark = audit.append(body, snapshot - 1, now);
      }
      return { ...share, mark };
    },

    /** See `SharedWork.shareDone`. */
    done({ snapshot, number, digests }: DoneShare): void {
      settle.run(packDigests(digests), snapshot, number);
    },

    /** See `SharedWork.doneShares`. */
    doneOf(snapshot: number): DoneShare[] {
      const rows = done.all(snapshot) as (ShareRow & { readonly digests: string })[];
      return rows.map(({ number, bins, digests }) => ({
        snapshot,
        number,
        bins: parseBins(bins),
        digests: unpackDigests(digests),
      }));
    },
  };
}
