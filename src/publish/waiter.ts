// Requests that wait for their snapshot (`Prefer: wait`). The publisher in this process wakes them at once; events
// that another node publishes are found by asking the ledger now and then.
import type { Clock } from '../lib/clock.ts';
import type { EventState, History } from '../ledger/ledger.ts';

/** How often waiting requests ask the ledger, in case another process published their events. */
const POLL_MS = 250;

export class PublicationWaiter {
  readonly #history: History;
  readonly #clock: Clock;
  #wakers = new Set<() => void>();

  constructor(history: History, clock: Clock) {
    this.#history = history;
    this.#clock = clock;
  }

  /** Called by the publisher after each finished publication. */
  notify(): void {
    const wakers = this.#wakers;
    this.#wakers = new Set();
    for (const wake of wakers) wake();
  }

  /** Resolves at the next `notify`, after `timeoutMs`, or when `signal` is aborted. Never rejects. */
  async nextPublication(timeoutMs: number, signal: AbortSignal): Promise<void> {
    const woken = new AbortController();
    const wake = (): void => {
      woken.abort();
    };
    this.#wakers.add(wake);
    signal.addEventListener('abort', wake, { once: true });
    try {
      if (!signal.aborted) await this.#clock.sleep(timeoutMs, woken.signal);
    } finally {
      this.#wakers.delete(wake);
      signal.removeEventListener('abort', wake);
    }
  }

  /** The states of the events once none is `accepted`, or after `timeoutMs`, or when `signal` is aborted. */
  async wait(
    ids: readonly string[],
    timeoutMs: number,
    signal: AbortSignal,
  ): Promise<Map<string, EventState>> {
    const deadline = this.#clock.now() + timeoutMs;
    for (;;) {
      const woken = new AbortController();
      const wake = (): void => {
        woken.abort();
      };
      // Registered before asking: a publication that finishes in between is not missed.
      this.#wakers.add(wake);
      signal.addEventListener('abort', wake, { once: true });
      try {
        const receipts = await this.#history.events(ids);
        const states = new Map([...receipts].map(([id, receipt]) => [id, receipt.state]));
        const waiting = [...states.values()].some((state) => state.state === 'accepted');
        const left = deadline - this.#clock.now();
        if (!waiting || left <= 0 || signal.aborted) return states;
        await this.#clock.sleep(Math.min(left, POLL_MS), woken.signal);
      } finally {
        this.#wakers.delete(wake);
        signal.removeEventListener('abort', wake);
      }
    }
  }
}
