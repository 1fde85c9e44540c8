// Time that moves only when the test says so.
import type { Clock } from '../../src/lib/clock.ts';

interface Sleeper {
  readonly until: number;
  readonly wake: () => void;
}

export class ManualClock implements Clock {
  #now: number;
  #sleepers = new Set<Sleeper>();

  /** `now`: milliseconds since the epoch. */
  constructor(now: number) {
    this.#now = now;
  }

  now(): number {
    return this.#now;
  }

  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const sleeper: Sleeper = {
        until: this.#now + ms,
        wake: () => {
          this.#sleepers.delete(sleeper);
          signal?.removeEventListener('abort', sleeper.wake);
          resolve();
        },
      };
      if (ms <= 0 || signal?.aborted === true) {
        resolve();
        return;
      }
      this.#sleepers.add(sleeper);
      signal?.addEventListener('abort', sleeper.wake, { once: true });
    });
  }

  /** Sets the time, backwards too, and wakes whoever has slept long enough. */
  set(now: number): void {
    this.#now = now;
    for (const sleeper of [...this.#sleepers]) if (sleeper.until <= now) sleeper.wake();
  }

  advance(ms: number): void {
    this.set(this.#now + ms);
  }
}
