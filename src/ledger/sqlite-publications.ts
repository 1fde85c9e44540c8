// Publications, the head, and the bins' current versions. The functions run inside a transaction of the caller.
import { CountersignError } from '../lib/errors.ts';
import { contentDigest } from './content-digest.ts';
import type { BinState, Head, Intent } from './ledger.ts';
import type { SqliteConnection } from './sqlite-connection.ts';
import { storedIntent } from './stored-json.ts';

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

/** What the last version looks like: whether `finish` has something to do. */
export type Settling = 'unfinished' | 'finished';

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
  const allBins = connection.prepare(
    'SELECT bin, version, sha256, signed_at AS signedAt, expires, keyids FROM bins ORDER BY bin',
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
      const row = headRow();
      const head = row?.snapshot ?? 0;
      const finished = row?.finished !== null;
      if (!finished || intent.snapshot !== head + 1) {
        throw new CountersignError(
          'head-moved',
          `the head is snapshot ${head}${finished ? '' : ', unfinished'}: snapshot ${intent.snapshot} cannot follow it`,
          { details: { head, finished } },
        );
      }
      const json = JSON.stringify(intent);
      // Read as recovery will read it: a head that cannot be read back could never be finished.
      storedIntent(json, where(connection, intent.snapshot));
      checkBundle(intent);
      const { snapshot, timestamp, at, roles } = intent;
      insert.run(snapshot, timestamp, at, roles.root, roles.targets, roles.bins, contentDigest(intent), json);
      if (intent.trustedRoot !== undefined) setTrust.run(intent.trustedRoot);
    },

    /** Whether `intent` is the publication to settle now. @throws CountersignError `ledger-invalid` when it is none. */
    settling(intent: Intent): Settling {
      const row = headRow();
      const head = row?.snapshot ?? 0;
      if (row === undefined || intent.snapshot > head) {
        throw new CountersignError(
          'ledger-invalid',
          `snapshot ${intent.snapshot} was never committed, the head is snapshot ${head}`,
        );
      }
      if (intent.snapshot < head || row.finished !== null) return 'finished';
      if (contentDigest(intent) !== row.digest) {
        throw new CountersignError(
          'ledger-invalid',
          `snapshot ${intent.snapshot} was committed with another intent than the one to settle`,
        );
      }
      return 'unfinished';
    },

    /** Records the end of a publication. A clock that went back cannot put it before its predecessor's. */
    finish(intent: Intent, digests: readonly string[], now: number): void {
      if (digests.length !== intent.bins.length) {
        throw new CountersignError(
          'ledger-invalid',
          `snapshot ${intent.snapshot} has ${intent.bins.length} bins, ${digests.length} digests were given`,
        );
      }
      const before = finishedAt.get(intent.snapshot - 1) as { finished: number | null } | undefined;
      finish.run(Math.max(now, before?.finished ?? 0), intent.snapshot);
      const bins = intent.bins.map(({ bin, version }, i) => [bin, version, digests[i]]);
      if (bins.length === 0) return;
      const keyids = (intent.keyids ?? []).join(',');
      writeBins.run(intent.at, Date.parse(intent.expires.bin), keyids, JSON.stringify(bins));
    },

    bins(): BinState[] {
      const rows = allBins.all() as (Omit<BinState, 'keyids'> & { readonly keyids: string })[];
      return rows.map(({ keyids, ...bin }) => ({ ...bin, keyids: keyids === '' ? [] : keyids.split(',') }));
    },
  };
}

function where(connection: SqliteConnection, snapshot: number): string {
  return `publication ${snapshot} in ledger ${connection.path}`;
}

function checkBundle({ snapshot, bundle, trustedRoot }: Intent): void {
  if ((bundle === undefined) !== (trustedRoot === undefined) || (snapshot === 1 && bundle === undefined)) {
    throw new CountersignError(
      'ledger-invalid',
      `the intent of snapshot ${snapshot} has ${bundle === undefined ? 'no' : 'a'} bundle and ` +
        `${trustedRoot === undefined ? 'no' : 'a'} trusted root: they come together, and snapshot 1 needs them`,
    );
  }
}
