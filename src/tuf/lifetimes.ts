// When roles expire, and when each bin is renewed. PEP 458 "Metadata Expiry Times": bins expire daily, so that a mirror
// cannot freeze them; renewing 16,384 of them at once would be a nightly storm, so each bin has a slot of its own.
import { CountersignError } from '../lib/errors.ts';

/** `YYYY-MM-DDTHH:MM:SSZ`: python-tuf refuses a fraction (interop rule 2). `ms` since the epoch, rounded down. */
export function formatExpires(ms: number): string {
  return `${new Date(ms).toISOString().slice(0, 19)}Z`;
}

/**
 * Milliseconds since the epoch of an `expires` text.
 * @throws CountersignError `metadata-invalid` for any other form, and for dates that do not exist.
 */
export function parseExpires(text: string): number {
  const ms = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/.test(text) ? Date.parse(text) : Number.NaN;
  if (Number.isNaN(ms) || formatExpires(ms) !== text) {
    throw new CountersignError(
      'metadata-invalid',
      `expires ${JSON.stringify(text)} is not a date of the form YYYY-MM-DDTHH:MM:SSZ`,
    );
  }
  return ms;
}

/** A role is renewed when half of its lifetime is over: the other half is the time that people have to notice. */
export function renewalAge(lifetimeMs: number): number {
  return lifetimeMs / 2;
}

/**
 * The latest slot of a bin at or before `now`. Slots of the same bin lie `cycleMs` apart, those of all `count` bins
 * are spread evenly over a cycle. A bin that was signed before its latest slot is due: whatever touches it, it is
 * never older than a cycle, and no two bins compete for the same moment.
 */
export function latestSlot(bin: number, count: number, cycleMs: number, now: number): number {
  const phase = (bin / count) * cycleMs;
  return Math.floor((now - phase) / cycleMs) * cycleMs + phase;
}
