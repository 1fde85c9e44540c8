// Renewal in simulated time: the table decides, the test signs. Bins expire daily by default (PEP 458 "Metadata Expiry
// Times"); a repository whose bins expire is down for every client.
import { describe, expect, test } from 'vitest';
import type { BinState } from '../../src/ledger/ledger.ts';
import { RenewalTable } from '../../src/publish/renewals.ts';

const SECOND_MS = 1000;
const MINUTE_MS = 60 * SECOND_MS;
const HOUR_MS = 60 * MINUTE_MS;
const DAY_MS = 24 * HOUR_MS;
const START = Date.UTC(2026, 2, 1, 12);

interface Options {
  readonly bins: number;
  readonly binMs: number;
  /** Milliseconds between two looks of the publisher. */
  readonly stepMs: number;
  /** Bins that events touch at a time, if any do. */
  readonly touched?: (now: number) => readonly number[];
  /** Bins that are not what was published: they cannot be renewed. */
  readonly held?: ReadonlySet<number>;
  /** Milliseconds between two publications, at least: one look is one publication then. */
  readonly intervalMs?: number;
}

/** A publisher that does nothing but renew, and publish events when there are any. */
class Simulation {
  now = START;
  /** Bins renewed, by minute since the start. */
  readonly perMinute = new Map<number, number>();
  /** Smallest share of its lifetime that any bin had left. */
  leastLeft = 1;
  largestSlice = 0;
  readonly #options: Options;
  readonly #states: { signedAt: number; expires: number }[];
  #table: RenewalTable;

  constructor(options: Options) {
    this.#options = options;
    const { bins, binMs } = options;
    this.#states = Array.from({ length: bins }, () => ({ signedAt: START, expires: START + binMs }));
    this.#table = this.#restart(binMs);
  }

  /** The service starts again, perhaps with another lifetime of bins. */
  #restart(binMs: number): RenewalTable {
    const states = this.#states.map((state, bin): BinState => ({
      bin,
      version: 1,
      sha256: '',
      keyids: [],
      ...state,
    }));
    return new RenewalTable(states, binMs, this.#options.intervalMs);
  }

  /** Nothing happens for a while, then the service starts again. */
  down(ms: number): void {
    this.now += ms;
    this.#table = this.#restart(this.#options.binMs);
  }

  run(ms: number): void {
    const { stepMs, touched, held = new Set<number>(), intervalMs } = this.#options;
    for (const end = this.now + ms; this.now < end; this.now += stepMs) {
      const events = touched?.(this.now) ?? [];
      for (;;) {
        const renewed = this.#table.next(this.now, events.length > 0, (bin) => held.has(bin));
        if (renewed.some((bin) => held.has(bin))) throw new Error('a bin that cannot be renewed was chosen');
        if (renewed.length > 0) this.#count(renewed.length);
        this.#sign([...new Set([...events, ...renewed])], events.length > 0);
        if (events.length > 0 || renewed.length === 0 || intervalMs !== undefined) break;
      }
      this.#look(held);
    }
  }

  get dueCount(): number {
    return this.#table.dueCount(this.now);
  }

  #sign(bins: readonly number[], withEvents: boolean): void {
    if (bins.length === 0) return;
    const expires = this.now + this.#options.binMs;
    for (const bin of bins) this.#states[bin] = { signedAt: this.now, expires };
    this.#table.signed(
      bins.map((bin) => ({ bin, version: 2 })),
      this.now,
      expires,
      withEvents,
    );
  }

  #count(renewed: number): void {
    const minute = Math.floor((this.now - START) / MINUTE_MS);
    this.perMinute.set(minute, (this.perMinute.get(minute) ?? 0) + renewed);
    this.largestSlice = Math.max(this.largestSlice, renewed);
  }

  #look(held: ReadonlySet<number>): void {
    this.#states.forEach(({ expires }, bin) => {
      if (held.has(bin)) return;
      this.leastLeft = Math.min(this.leastLeft, (expires - this.now) / this.#options.binMs);
    });
  }
}

describe('a week', () => {
  test.each([
    { bins: 2, binMs: DAY_MS, stepMs: MINUTE_MS },
    { bins: 256, binMs: DAY_MS, stepMs: MINUTE_MS },
    { bins: 1024, binMs: DAY_MS, stepMs: 5 * MINUTE_MS },
    { bins: 64, binMs: HOUR_MS, stepMs: 20 * SECOND_MS },
  ])('of $bins bins that live $binMs ms: none comes near its expiry, no minute is crowded', (options) => {
    const simulation = new Simulation(options);
    simulation.run(7 * DAY_MS);
    expect(simulation.leastLeft).toBeGreaterThan(0.25);
    // Twice the average, where the average is a bin or more; a look finds what came due since the one before.
    const minutes = Math.max(options.stepMs, options.binMs / 128) / MINUTE_MS;
    const average = (options.bins * MINUTE_MS) / (options.binMs / 2);
    const first = (options.binMs / MINUTE_MS) * 2;
    const crowded = [...simulation.perMinute].filter(
      ([minute, count]) => minute > first && count > Math.max(2 * average * minutes, 32),
    );
    expect(crowded).toEqual([]);
  });

  test('with 16,384 bins spreads the work evenly over the day', () => {
    const simulation = new Simulation({ bins: 16_384, binMs: DAY_MS, stepMs: 30 * SECOND_MS });
    simulation.run(2 * DAY_MS);
    expect(simulation.leastLeft).toBeGreaterThan(0.25);
    const steady = [...simulation.perMinute].filter(([minute]) => minute >= 24 * 60);
    const renewed = steady.reduce((sum, [, count]) => sum + count, 0);
    const average = renewed / (24 * 60);
    expect(Math.abs(renewed - 2 * 16_384)).toBeLessThan(200);
    // Slices of 32 come in one minute or the next.
    expect(Math.max(...steady.map(([, count]) => count))).toBeLessThanOrEqual(Math.max(2 * average, 64));
  });
});

describe('publications are rare (publish.min-interval-ms)', () => {
  const intervals = [5 * MINUTE_MS, HOUR_MS, 6 * HOUR_MS, 12 * HOUR_MS];
  test.each(
    intervals.flatMap((intervalMs) => [[intervalMs, 'idle'] as const, [intervalMs, 'busy'] as const]),
  )('every %i ms, %s: each bin is renewed in time all the same', (intervalMs, uploads) => {
    const simulation = new Simulation({
      bins: 16_384,
      binMs: DAY_MS,
      stepMs: intervalMs,
      intervalMs,
      ...(uploads === 'busy' ? { touched: () => [7] } : {}),
    });
    simulation.run(3 * DAY_MS);
    expect(simulation.leastLeft).toBeGreaterThanOrEqual(0.25);
  });
});

describe('uploads all the time', () => {
  test.each([
    { name: 'a few a second', bins: 256, binMs: DAY_MS, stepMs: 5 * SECOND_MS, touch: 3 },
    { name: 'one batch a minute, many bins', bins: 16_384, binMs: DAY_MS, stepMs: MINUTE_MS, touch: 20 },
    { name: 'one batch a minute, short lives', bins: 256, binMs: HOUR_MS, stepMs: MINUTE_MS, touch: 1 },
  ])('$name: renewals keep up, a few at a time', ({ bins, binMs, stepMs, touch }) => {
    let seed = 1;
    const touched = (): number[] =>
      Array.from({ length: touch }, () => {
        seed = (seed * 48_271) % 2_147_483_647;
        return seed % bins;
      });
    const simulation = new Simulation({ bins, binMs, stepMs, touched });
    simulation.run(2 * Math.min(binMs, DAY_MS) + HOUR_MS);
    expect(simulation.leastLeft).toBeGreaterThan(0.25);
    expect(simulation.largestSlice).toBeLessThanOrEqual(64);
  });
});

test('after a day of downtime everything is renewed at once, and the next day is even again', () => {
  const simulation = new Simulation({ bins: 1024, binMs: DAY_MS, stepMs: MINUTE_MS });
  simulation.run(6 * HOUR_MS);
  simulation.down(30 * HOUR_MS);
  expect(simulation.dueCount).toBe(1024);
  simulation.run(MINUTE_MS);
  expect(simulation.dueCount).toBeLessThan(8);
  simulation.leastLeft = 1;
  simulation.perMinute.clear();
  simulation.run(3 * DAY_MS);
  expect(simulation.leastLeft).toBeGreaterThan(0.25);
  expect(Math.max(...simulation.perMinute.values())).toBeLessThanOrEqual(64);
});

test('bins that cannot be renewed do not keep others from it', () => {
  const held = new Set(Array.from({ length: 100 }, (_, bin) => bin));
  for (const touched of [undefined, () => [255]]) {
    const simulation = new Simulation({
      bins: 256,
      binMs: DAY_MS,
      stepMs: MINUTE_MS,
      held,
      ...(touched === undefined ? {} : { touched }),
    });
    simulation.run(2 * DAY_MS);
    expect(simulation.leastLeft).toBeGreaterThan(0.25);
  }
});
