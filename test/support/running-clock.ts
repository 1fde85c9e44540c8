// The real time, running faster and from a date of the test's choice: seconds of a service pass in milliseconds.
import { systemClock, type Clock } from '../../src/lib/clock.ts';

export class RunningClock implements Clock {
  readonly #factor: number;
  #offset: number;

  /** `from`: what the time is now, milliseconds since the epoch. */
  constructor(from: number, factor = 20) {
    this.#factor = factor;
    this.#offset = from - systemClock.now() * factor;
  }

  now(): number {
    return systemClock.now() * this.#factor + this.#offset;
  }

  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    return systemClock.sleep(ms / this.#factor, signal);
  }

  /** Moves the time, backwards too; who sleeps does not notice. */
  jump(ms: number): void {
    this.#offset += ms;
  }
}
