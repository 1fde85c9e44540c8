// Which bins are to be signed again, before they expire (PEP 458 "Metadata Expiry Times"). Each bin has a slot in a
// cycle of half its lifetime; slots are spread evenly, so that renewal is a trickle and not a nightly storm
// (docs/operations.md has the chart). A bin that an upload touched in the meantime passes over its turn.
import type { BinState, BinVersion } from '../ledger/ledger.ts';
import { latestSlot, renewalAge } from '../tuf/lifetimes.ts';

/** Bins renewed in a publication of their own: some 40 ms of work at 1,000 targets a bin. */
const SLICE = 32;

/** Bins renewed along with events: so few that the events do not notice. */
const SLICE_BESIDE_EVENTS = 8;

/** At most so many when they are late: the events would notice more. */
const LATE_SLICE_BESIDE_EVENTS = 64;

/** Bins renewed in a publication when an operator asked for all of them at once: about half a second of work. */
const ORDERED_SLICE = 256;

/** Slots are not quite even, and a publication may come late: more than the average is renewed. */
const MARGIN = 1.25;

/** Due bins wait for company up to this share of a cycle (11 minutes of 12 hours): a snapshot costs 0.5 MB. */
const PATIENCE = 1 / 64;

/** Milliseconds after the last event during which renewals keep out of the way of the next one. */
const BUSY_MS = 1000;

/** Milliseconds for which a list of due bins is kept. */
const LIST_AGE_MS = 1000;

interface DueBin {
  readonly bin: number;
  /** Milliseconds since the epoch. */
  readonly since: number;
}

export class RenewalTable {
  readonly #signedAt: Float64Array;
  readonly #expires: Float64Array;
  readonly #cycleMs: number;
  /** Number of the first bin; the arrays begin with it. */
  readonly #first: number;
  #due: DueBin[] = [];
  #listedAt = Number.NEGATIVE_INFINITY;
  /** Bins that an operator asked to renew now. */
  readonly #ordered = new Set<number>();
  #lastEventAt = Number.NEGATIVE_INFINITY;
  /** Bins to be renewed in each publication, at least, so that all of them have their turn in time. */
  readonly #pace: number;

  /**
   * `states`: of all bins of one layout, ascending. `intervalMs`: milliseconds between two publications, at least
   * (publish.min-interval-ms): where they are rare, each has to renew what comes due until the next.
   */
  constructor(states: readonly BinState[], binLifetimeMs: number, intervalMs = 0) {
    this.#first = states[0]?.bin ?? 0;
    this.#signedAt = Float64Array.from(states, ({ signedAt }) => signedAt);
    this.#expires = Float64Array.from(states, ({ expires }) => expires);
    this.#cycleMs = renewalAge(binLifetimeMs);
    this.#pace = Math.ceil((states.length * intervalMs * MARGIN) / this.#cycleMs);
  }

  /** Notes that bins were signed at time `at`; `withEvents`: uploads are arriving. Milliseconds since the epoch. */
  signed(bins: readonly BinVersion[], at: number, expires: number, withEvents: boolean): void {
    for (const { bin } of bins) {
      // Bins of another layout are not renewed: clients do not read them (yet).
      const index = bin - this.#first;
      if (index < 0 || index >= this.#signedAt.length) continue;
      this.#signedAt[index] = at;
      this.#expires[index] = expires;
    }
    const fresh = new Set(bins.map(({ bin }) => bin));
    this.#due = this.#due.filter(({ bin }) => !fresh.has(bin));
    for (const bin of fresh) this.#ordered.delete(bin);
    if (withEvents) this.#lastEventAt = at;
  }

  /**
   * The bins to renew in the next publication, most urgent first; `beside`: it carries events anyway. Bins for which
   * `isHeld` holds cannot be renewed now, and must not stand in the way of the others.
   */
  next(now: number, beside: boolean, isHeld: (bin: number) => boolean): number[] {
    const due = this.#list(now).filter(({ bin }) => !isHeld(bin));
    if (this.#ordered.size > 0) {
      const wanted = [...new Set([...numbers(due), ...this.#ordered])].filter((bin) => !isHeld(bin));
      return wanted.slice(0, Math.max(this.#pace, beside ? LATE_SLICE_BESIDE_EVENTS : ORDERED_SLICE));
    }
    const first = due[0];
    if (first === undefined) return [];
    const patienceMs = this.#cycleMs * PATIENCE;
    const lateMs = now - first.since;
    if (beside) {
      const slice = SLICE_BESIDE_EVENTS * (1 + Math.floor(lateMs / patienceMs));
      return numbers(due.slice(0, Math.max(this.#pace, Math.min(slice, LATE_SLICE_BESIDE_EVENTS))));
    }
    const worthIt = due.length >= SLICE || lateMs >= patienceMs;
    const busy = now - this.#lastEventAt < BUSY_MS;
    return worthIt ? numbers(due.slice(0, Math.max(this.#pace, busy ? SLICE_BESIDE_EVENTS : SLICE))) : [];
  }

  /** Has every bin renewed that was signed before `time` (milliseconds since the epoch), as fast as it goes. */
  order(time: number): void {
    this.#signedAt.forEach((signedAt, index) => {
      if (signedAt < time) this.#ordered.add(this.#first + index);
    });
  }

  /** Number of bins that were asked for and are not renewed yet. */
  get ordered(): number {
    return this.#ordered.size;
  }

  /** Number of bins whose time has come. */
  dueCount(now: number): number {
    return this.#list(now).length;
  }

  /** Milliseconds since the epoch. */
  get earliestExpiry(): number {
    return this.#expires.reduce((earliest, expires) => Math.min(earliest, expires), Number.POSITIVE_INFINITY);
  }

  #list(now: number): readonly DueBin[] {
    if (now - this.#listedAt >= LIST_AGE_MS || now < this.#listedAt) {
      this.#listedAt = now;
      this.#due = [];
      this.#signedAt.forEach((signedAt, index) => {
        const since = this.#dueSince(index, signedAt);
        if (since <= now) this.#due.push({ bin: this.#first + index, since });
      });
      this.#due.sort((a, b) => a.since - b.since);
    }
    return this.#due;
  }

  #dueSince(index: number, signedAt: number): number {
    const slot = latestSlot(index, this.#signedAt.length, this.#cycleMs, signedAt) + this.#cycleMs;
    // A bin that was signed for a shorter life than today's setting cannot wait for its slot.
    const expires = this.#expires[index] ?? 0;
    return Math.min(slot, expires - (expires - signedAt) / 4);
  }
}

function numbers(due: readonly DueBin[]): number[] {
  return due.map(({ bin }) => bin);
}
