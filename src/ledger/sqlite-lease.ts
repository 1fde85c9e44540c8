// The publisher lease. Its functions run inside a transaction of the caller.
import { CountersignError } from '../lib/errors.ts';
import type { Lease, LeaseRequest } from './ledger.ts';
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

  function write(lease: Lease): Lease {
    replace.run(lease.holder, lease.epoch, lease.until);
    return lease;
  }

  return {
    current,

    /** See `Ledger.lease`. */
    request({ holder, ttlMs, now, takeOverFrom }: LeaseRequest): Lease {
      const lease = current();
      const own = lease?.holder === holder;
      const dead = lease !== undefined && lease.holder === takeOverFrom;
      if (ttlMs <= 0) {
        // Nothing was held: what is answered has ended, and epoch 0 was never anybody's.
        if (lease === undefined) return { holder, epoch: 0, until: now };
        return own || dead ? write({ ...lease, until: Math.min(lease.until, now) }) : lease;
      }
      const until = now + ttlMs;
      if (lease === undefined) return write({ holder, epoch: 1, until });
      // The row remembers its last holder: nobody else can have published in between, so its epoch still fences.
      if (own) return write({ holder, epoch: lease.epoch, until });
      const ended = lease.until <= now || lease.until > now + 2 * ttlMs;
      if (ended || dead) return write({ holder, epoch: lease.epoch + 1, until });
      throw new CountersignError(
        'lease-lost',
        `${lease.holder} holds the publisher lease until ${new Date(lease.until).toISOString()}, ${holder} asked for it`,
        { details: { holder: lease.holder, until: lease.until } },
      );
    },

    /** @throws CountersignError `lease-lost` unless `epoch` is that of the current lease. */
    fence(epoch: number): void {
      const lease = current();
      if (lease?.epoch === epoch) return;
      const details = lease === undefined ? {} : { holder: lease.holder, until: lease.until };
      throw new CountersignError(
        'lease-lost',
        `the publisher lease has epoch ${lease?.epoch ?? 0}${lease === undefined ? '' : ` (${lease.holder})`}, not ${epoch}`,
        { details },
      );
    },
  };
}
