// Who gets the publisher lease, whatever the ledger is kept in.
import { CountersignError } from '../lib/errors.ts';
import type { Lease, LeaseRequest } from './ledger.ts';

export interface LeaseDecision {
  /** What is answered. */
  readonly lease: Lease;
  /** Whether it is to be written. */
  readonly changed: boolean;
}

/**
 * The answer to `request` when `lease` is the current one; see `Ledger.lease`.
 * @throws CountersignError `lease-lost` when another holder has it.
 */
export function decideLease(
  lease: Lease | undefined,
  { holder, ttlMs, now, takeOverFrom }: LeaseRequest,
): LeaseDecision {
  const own = lease?.holder === holder;
  const dead = lease !== undefined && lease.holder === takeOverFrom;
  if (ttlMs <= 0) {
    // Nothing was held: what is answered has ended, and epoch 0 was never anybody's.
    if (lease === undefined) return { lease: { holder, epoch: 0, until: now }, changed: false };
    return own || dead
      ? { lease: { ...lease, until: Math.min(lease.until, now) }, changed: true }
      : { lease, changed: false };
  }
  const until = now + ttlMs;
  if (lease === undefined) return { lease: { holder, epoch: 1, until }, changed: true };
  // The ledger remembers its last holder: nobody else can have published in between, so its epoch still fences.
  if (own) return { lease: { holder, epoch: lease.epoch, until }, changed: true };
  const ended = lease.until <= now || lease.until > now + 2 * ttlMs;
  if (ended || dead) return { lease: { holder, epoch: lease.epoch + 1, until }, changed: true };
  throw new CountersignError(
    'lease-lost',
    `${lease.holder} holds the publisher lease until ${new Date(lease.until).toISOString()}, ${holder} asked for it`,
    { details: { holder: lease.holder, until: lease.until } },
  );
}

/** The current lease. @throws CountersignError `lease-lost` unless `epoch` is its own. */
export function checkFence(lease: Lease | undefined, epoch: number): Lease {
  if (lease?.epoch === epoch) return lease;
  const details = lease === undefined ? {} : { holder: lease.holder, until: lease.until };
  throw new CountersignError(
    'lease-lost',
    `the publisher lease has epoch ${lease?.epoch ?? 0}${lease === undefined ? '' : ` (${lease.holder})`}, not ${epoch}`,
    { details },
  );
}
