// A sync that somebody ends: what was taken stays taken, nothing further is begun, and nothing is shown.
import { CountersignError } from '../../lib/errors.ts';

/** @throws CountersignError `interrupted` when the sync was ended. */
export function checkNotEnded(signal: AbortSignal): void {
  if (!signal.aborted) return;
  throw new CountersignError('interrupted', 'the sync was ended; the next one goes on where it stopped');
}
