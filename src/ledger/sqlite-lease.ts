// The publisher lease. Its functions run inside a transaction of the caller.
import type { Lease, LeaseRequest } from './ledger.ts';
import { checkFence, decideLease } from './lease-rule.ts';
import type { SqliteConnection } from './sqlite-connection.ts';

export type LeaseTable = ReturnType<typeof leaseTable>;

export function leaseTable(connection: SqliteConnection) {
  const select = connection.prepare('SELECT holder, epoch, until FROM lease');
  const replace = connection.prepare(
    'INSERT OR REPLACE INTO lease (one, holder, epoch, until) VALUES (1, ?, ?, ?)',
  );

  function current(): Lease | undefined {
    const row = select.get() as Lease | undefined;
    // Copied: the driver adds a member of its own to the rows it gives.
    return row === undefined ? undefined : { holder: row.holder, epoch: row.epoch, until: row.until };
  }

  return {
    current,

    /** See `Ledger.lease`. */
    request(request: LeaseRequest): Lease {
      const { lease, changed } = decideLease(current(), request);
      if (changed) replace.run(lease.holder, lease.epoch, lease.until);
      return lease;
    },

    /** The current lease. @throws CountersignError `lease-lost` unless `epoch` is its own. */
    fence(epoch: number): Lease {
      return checkFence(current(), epoch);
    },
  };
}
