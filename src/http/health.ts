// What is wrong with the service right now, from what the publisher says of itself. Healthy means: what is published
// is fresh, and nothing stands in the way of keeping it so.
import type { ErrorCode } from '../lib/errors.ts';
import type { PublisherStatus } from '../publish/status.ts';

export interface Reason {
  readonly code: ErrorCode;
  readonly detail: string;
}

/** Every reason not to call the service healthy at time `now`; empty when there is none. */
export function unhealthyReasons(status: PublisherStatus, now: number): Reason[] {
  const { published } = status;
  const reasons: Reason[] = [];
  if (status.role === 'held' || status.role === 'stopped') {
    const { code, message } = status.problem ?? { code: 'internal', message: 'no cause is known' };
    reasons.push({ code, detail: `publisher is ${status.role}: ${message}` });
  }
  if (published === undefined) {
    reasons.push({ code: 'not-bootstrapped', detail: 'nothing is published, as far as this process knows' });
    return reasons;
  }
  for (const role of ['timestamp', 'snapshot', 'bins', 'targets', 'root'] as const) {
    const { version, expires } = published[role];
    if (expires <= now) reasons.push(expired(`${role} version ${version}`, expires));
  }
  if (published.earliestBinExpires <= now) reasons.push(expired('a bin', published.earliestBinExpires));
  for (const { name, message } of status.alteredBins.slice(0, 20)) {
    reasons.push({ code: 'bin-altered', detail: `${name}: ${message}` });
  }
  return reasons;
}

function expired(what: string, at: number): Reason {
  return { code: 'metadata-expired', detail: `${what} expired at ${new Date(at).toISOString()}` };
}
