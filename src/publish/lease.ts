// Taking the publisher lease. A holder that cannot come back (a process of this machine that has ended) does not have
// to be waited for: fencing in the ledger keeps it harmless even if this judgement were wrong.
import type { Clock } from '../lib/clock.ts';
import { CountersignError, hasCode } from '../lib/errors.ts';
import type { History, Lease, Ledger } from '../ledger/ledger.ts';

/** Milliseconds. Another process takes over at most this long after a publisher fell silent. */
export const LEASE_TTL_MS = 3000;

export interface LeaseTaker {
  /** Names this process in the lease. */
  readonly holder: string;
  /** True when the named holder cannot come back. */
  readonly isGone: (holder: string) => boolean;
}

/**
 * Takes or keeps the lease.
 * @throws CountersignError `lease-lost` when a living process has it.
 */
export async function takeLease(
  ledger: Ledger,
  clock: Clock,
  { holder, isGone }: LeaseTaker,
): Promise<Lease> {
  const request = { holder, ttlMs: LEASE_TTL_MS, now: clock.now() };
  try {
    return await ledger.lease(request);
  } catch (error) {
    const other = hasCode(error, 'lease-lost') ? error.details['holder'] : undefined;
    if (typeof other !== 'string' || !isGone(other)) throw error;
    return ledger.lease({ ...request, takeOverFrom: other });
  }
}

/**
 * Whoever finds that the store is not what it expected must first ask whether somebody else has published meanwhile.
 * @throws CountersignError `lease-lost` when the lease has changed hands; `ledger-unavailable`.
 */
export async function checkStillHeld(history: History, { holder, epoch }: Lease): Promise<void> {
  const current = await history.currentLease();
  if (current?.epoch === epoch) return;
  throw new CountersignError(
    'lease-lost',
    `${current?.holder ?? 'nobody'} has the publisher lease, ${holder} lost it while it was at work`,
  );
}
