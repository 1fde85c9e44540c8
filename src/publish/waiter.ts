// Requests that wait for their snapshot (`Prefer: wait`), and streams that wait for any. The publisher in this process
// wakes whom it concerns at once; what another node publishes is told by the ledger, which is also asked now and then.
import type { EventState, History, Receipt } from '../ledger/ledger.ts';
import type { Clock } from '../lib/clock.ts';

/**
 * How often a waiting request asks the ledger by itself, should it not have been woken: the ledger tells what other
 * processes publish, and hundreds that wait must not keep it busy with questions. Milliseconds.
 */
const POLL_MS = 1000;

export class PublicationWaiter {
  readonly #history: History;
  readonly #clock: Clock;
  /** Who waits for which event; hundreds may wait while hundreds of publications a second concern others. */
  readonly #byEvent = new Map<string, Set<() => void>>();
  #forAny = new Set<() => void>();
  /** Whether the ledger is being asked for all who wait, and whether it is to be asked once more after that. */
  #asking: 'no' | 'once' | 'again' = 'no';

  constructor(history: History, clock: Clock) {
    this.#history = history;
    this.#clock = clock;
  }

  /** Called by the publisher after each finished publication, with the ids of the events that it settled. */
  settled(ids: Iterable<string>): void {
    // Who waits for a thousand events is woken once.
    const wakers = this.#forAny;
    this.#forAny = new Set();
    for (const id of ids) for (const wake of this.#byEvent.get(id) ?? []) wakers.add(wake);
    for (const wake of wakers) wake();
  }

  /** Called when another process has finished publications: one question for all who wait tells whom they concern. */
  async publishedElsewhere(): Promise<void> {
    if (this.#asking !== 'no') {
      this.#asking = 'again';
      return;
    }
    do {
      this.#asking = 'once';
      try {
        const ids = [...this.#byEvent.keys()];
        const receipts: ReadonlyMap<string, Receipt> =
          ids.length === 0 ? new Map<string, Receipt>() : await this.#history.events(ids);
        this.settled(
          [...receipts.values()].flatMap(({ id, state }) => (state.state === 'accepted' ? [] : [id])),
        );
      } catch {
        // Whoever waits asks again and is told what is wrong.
      }
    } while (this.#askAgain());
  }

  #askAgain(): boolean {
    const again = this.#asking === 'again';
    this.#asking = 'no';
    return again;
  }

  /** Resolves after the next publication of this process, after `timeoutMs`, or when `signal` is aborted. */
  async nextPublication(timeoutMs: number, signal: AbortSignal): Promise<void> {
    const nap = new Nap(this.#clock, signal);
    this.#forAny.add(nap.wake);
    try {
      await nap.take(timeoutMs);
    } finally {
      this.#forAny.delete(nap.wake);
      nap.end();
    }
  }

  /** The states of the events once none is `accepted`, or after `timeoutMs`, or when `signal` is aborted. */
  async wait(
    ids: readonly string[],
    timeoutMs: number,
    signal: AbortSignal,
  ): Promise<Map<string, EventState>> {
    const deadline = this.#clock.now() + timeoutMs;
    const nap = new Nap(this.#clock, signal);
    this.#register(ids, nap.wake);
    try {
      for (;;) {
        // The nap is made ready before asking: a publication that finishes in between is not missed.
        nap.prepare();
        const receipts = await this.#history.events(ids);
        const states = new Map([...receipts].map(([id, receipt]) => [id, receipt.state]));
        const waiting = [...states.values()].some((state) => state.state === 'accepted');
        const left = deadline - this.#clock.now();
        if (!waiting || left <= 0 || signal.aborted) return states;
        await nap.take(Math.min(left, POLL_MS));
      }
    } finally {
      this.#forget(ids, nap.wake);
      nap.end();
    }
  }

  #register(ids: readonly string[], wake: () => void): void {
    for (const id of ids) this.#byEvent.set(id, (this.#byEvent.get(id) ?? new Set()).add(wake));
  }

  #forget(ids: readonly string[], wake: () => void): void {
    for (const id of ids) {
      const wakers = this.#byEvent.get(id);
      wakers?.delete(wake);
      if (wakers?.size === 0) this.#byEvent.delete(id);
    }
  }
}

/** A sleep that can be ended from outside, again and again. */
class Nap {
  readonly #clock: Clock;
  readonly #signal: AbortSignal;
  #woken = new AbortController();

  constructor(clock: Clock, signal: AbortSignal) {
    this.#clock = clock;
    this.#signal = signal;
    signal.addEventListener('abort', this.wake, { once: true });
  }

  readonly wake = (): void => {
    this.#woken.abort();
  };

  /** From now on a wake-up counts for the next nap. */
  prepare(): void {
    this.#woken = new AbortController();
  }

  async take(ms: number): Promise<void> {
    if (!this.#signal.aborted) await this.#clock.sleep(ms, this.#woken.signal);
  }

  end(): void {
    this.#signal.removeEventListener('abort', this.wake);
  }
}
