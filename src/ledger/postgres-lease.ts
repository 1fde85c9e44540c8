// The publisher lease. Its functions run inside a transaction of the caller.
import type { Lease, LeaseRequest } from './ledger.ts';
import { checkFence, decideLease } from './lease-rule.ts';
import type { Query, Rows } from './postgres-connection.ts';

interface LeaseRow {
  readonly holder: string | null;
  readonly epoch: number;
  readonly until: number;
}

export async function currentLease(query: Query): Promise<Lease | undefined> {
  return readLease(query, '');
}

/** See `Ledger.lease`. */
export async function requestLease(query: Query, request: LeaseRequest): Promise<Lease> {
  const { lease, changed } = decideLease(await readLease(query, 'FOR UPDATE'), request);
  if (changed) {
    await query('UPDATE countersign.lease SET holder = $1, epoch = $2, until = $3', [
      lease.holder,
      lease.epoch,
      lease.until,
    ]);
  }
  return lease;
}

/** Also keeps the lease from changing hands until the commit. @throws CountersignError `lease-lost`. */
export async function fenceLease(query: Query, epoch: number): Promise<Lease> {
  return checkFence(await readLease(query, 'FOR SHARE'), epoch);
}

async function readLease(query: Query, lock: '' | 'FOR UPDATE' | 'FOR SHARE'): Promise<Lease | undefined> {
  const { rows } = (await query(
    `SELECT holder, epoch, until FROM countersign.lease ${lock}`,
  )) as Rows<LeaseRow>;
  const [row] = rows;
  if (row === undefined || row.holder === null) return undefined;
  return { holder: row.holder, epoch: row.epoch, until: row.until };
}
