// Moving the head to what the store shows, after an older ledger was restored. Functions run in a transaction of the
// caller.
import { CountersignError } from '../lib/errors.ts';
import { contentDigest } from './content-digest.ts';
import type { Adoption } from './ledger.ts';
import type { SqliteConnection } from './sqlite-connection.ts';
import { storedIntent } from './stored-json.ts';

export type AdoptionTable = ReturnType<typeof adoptionTable>;

export function adoptionTable(connection: SqliteConnection) {
  const newest = connection.prepare('SELECT snapshot FROM publications ORDER BY snapshot DESC LIMIT 1');
  const settle = connection.prepare('UPDATE publications SET finished = ? WHERE finished IS NULL');
  const latest = connection.prepare('SELECT max(finished) AS finished FROM publications');
  const insert = connection.prepare(
    `INSERT INTO publications (snapshot, timestamp, at, root, targets, bins, digest, intent, finished)
     VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)`,
  );
  const writeBins = connection.prepare(
    `INSERT OR REPLACE INTO bins (bin, version, sha256, signed_at, expires, keyids)
     SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4, value ->> 5 FROM json_each(?)`,
  );
  const setTrust = connection.prepare('INSERT OR REPLACE INTO trust (one, root) VALUES (1, ?)');
  const forget = connection.prepare('UPDATE counters SET forgotten = ?');

  return {
    /** See `Restoration.adopt`; the events are the caller's. @throws CountersignError `head-moved`, `ledger-invalid`. */
    move({ follows, intent, bins }: Adoption, now: number): void {
      const head = (newest.get() as { snapshot: number } | undefined)?.snapshot ?? 0;
      if (head !== follows || head === 0 || intent.snapshot <= head) {
        throw new CountersignError(
          'head-moved',
          `the head is snapshot ${head}: snapshot ${intent.snapshot}, found to follow snapshot ${follows}, cannot be adopted`,
          { details: { head } },
        );
      }
      const json = JSON.stringify(intent);
      storedIntent(json, `publication ${intent.snapshot} in ledger ${connection.path}`);
      const last = (latest.get() as { finished: number | null }).finished ?? 0;
      const finished = Math.max(now, last);
      settle.run(finished);
      const { snapshot, timestamp, at, roles } = intent;
      const { root, targets, bins: binsVersion } = roles;
      insert.run(snapshot, timestamp, at, root, targets, binsVersion, contentDigest(intent), json, finished);
      const rows = bins.map(({ bin, version, sha256, signedAt, expires, keyids }) => {
        return [bin, version, sha256, signedAt, expires, keyids.join(',')];
      });
      if (rows.length > 0) writeBins.run(JSON.stringify(rows));
      if (intent.trustedRoot !== undefined) setTrust.run(intent.trustedRoot);
      // What changed in between is in the store alone: a reader who follows the changes must not believe in none.
      forget.run(snapshot);
    },
  };
}
