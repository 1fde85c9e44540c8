// Publications, the head, and the bins' current versions. The functions run inside a transaction of the caller.
import { CountersignError } from '../lib/errors.ts';
import { contentDigest } from './content-digest.ts';
import type { BinRange, BinState, Head, Intent, SignedFiles } from './ledger.ts';
import { checkDigests, nextIntent, settlingOf, type Settling } from './publication-rule.ts';
import type { SqliteConnection } from './sqlite-connection.ts';
import { storedIntent } from './stored-json.ts';
import { ALL_BINS } from '../tuf/bins.ts';

interface HeadRow {
  readonly snapshot: number;
  readonly timestamp: number;
  readonly at: number;
  readonly root: number;
  readonly targets: number;
  readonly bins: number;
  readonly digest: string;
  readonly finished: number | null;
}

export type PublicationTable = ReturnType<typeof publicationTable>;

export function publicationTable(connection: SqliteConnection) {
  const newest = connection.prepare(
    `SELECT snapshot, timestamp, at, root, targets, bins, digest, finished
     FROM publications ORDER BY snapshot DESC LIMIT 1`,
  );
  const intentOf = connection.prepare('SELECT intent FROM publications WHERE snapshot = ?');
  const insert = connection.prepare(
    `INSERT INTO publications (snapshot, timestamp, at, root, targets, bins, digest, intent)
     VALUES (?, ?, ?, ?, ?, ?, ?, ?)`,
  );
  const finishedAt = connection.prepare('SELECT finished FROM publications WHERE snapshot = ?');
  const finish = connection.prepare('UPDATE publications SET finished = ? WHERE snapshot = ?');
  const trust = connection.prepare('SELECT root FROM trust');
  const setTrust = connection.prepare('INSERT OR REPLACE INTO trust (one, root) VALUES (1, ?)');
  const writeBins = connection.prepare(
    `INSERT OR REPLACE INTO bins (bin, version, sha256, signed_at, expires, keyids)
     SELECT value ->> 0, value ->> 1, value ->> 2, ?, ?, ? FROM json_each(?)`,
  );
  const bins = connection.prepare(
    `SELECT bin, version, sha256, signed_at AS signedAt, expires, keyids FROM bins
     WHERE bin BETWEEN ? AND ? ORDER BY bin`,
  );

  function headRow(): HeadRow | undefined {
    return newest.get() as HeadRow | undefined;
  }

  return {
    head(): Head | undefined {
      const row = headRow();
      if (row === undefined) return undefined;
      const trusted = trust.get() as { root: string } | undefined;
      if (trusted === undefined) {
        throw new CountersignError('ledger-invalid', `table trust in ledger ${connection.path} is empty`);
      }
      const { snapshot, timestamp, at, root, targets, bins } = row;
      const head = { snapshot, timestamp, at, roles: { root, targets, bins }, trustedRoot: trusted.root };
      if (row.finished !== null) return head;
      const stored = intentOf.get(snapshot) as { intent: string | null };
      return { ...head, unfinished: storedIntent(stored.intent, where(connection, snapshot)) };
    },

    /** Moves the head. @throws CountersignError `head-moved`, `ledger-invalid` for an intent nobody could read back. */
    advance(intent: Intent): void {
      const json = nextIntent(headRow(), intent, where(connection, intent.snapshot));
      const { snapshot, timestamp, at, roles } = intent;
      insert.run(snapshot, timestamp, at, roles.root, roles.targets, roles.bins, contentDigest(intent), json);
      if (intent.trustedRoot !== undefined) setTrust.run(intent.trustedRoot);
    },

    /** Whether `intent` is the publication to settle now. @throws CountersignError `ledger-invalid` when it is none. */
    settling(intent: Intent): Settling {
      return settlingOf(headRow(), intent);
    },

    /** Records the end of a publication. A clock that went back cannot put it before its predecessor's. */
    finish(intent: Intent, signed: SignedFiles, now: number): void {
      checkDigests(intent, signed);
      const before = finishedAt.get(intent.snapshot - 1) as { finished: number | null } | undefined;
      finish.run(Math.max(now, before?.finished ?? 0), intent.snapshot);
      const bins = intent.bins.map(({ bin, version }, i) => [bin, version, signed.bins[i]]);
      if (bins.length === 0) return;
      const keyids = (intent.keyids ?? []).join(',');
      writeBins.run(intent.at, Date.parse(intent.expires.bin), keyids, JSON.stringify(bins));
    },

    bins({ first, count }: BinRange = ALL_BINS): BinState[] {
      const rows = bins.all(first, first + count - 1) as (Omit<BinState, 'keyids'> & {
        readonly keyids: string;
      })[];
      return rows.map(({ keyids, ...bin }) => ({ ...bin, keyids: keyids === '' ? [] : keyids.split(',') }));
    },
  };
}

function where(connection: SqliteConnection, snapshot: number): string {
  return `publication ${snapshot} in ledger ${connection.path}`;
}
