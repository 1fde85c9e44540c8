// A process that the operating system stops for a while, before a call of the test's choice: nothing it asks for
// happens until it is resumed, its heartbeats included. What it asked for then happens late.
import type { History, Ledger } from '../../src/ledger/ledger.ts';
import type { ObjectStore } from '../../src/storage/store.ts';

export class PausedProcess {
  /** Calls so far, by name, without those that keep the lease. */
  readonly calls: string[] = [];
  readonly paused: Promise<void>;
  readonly #pauseAt: number | undefined;
  #notePaused: () => void = () => undefined;
  #resumed: Promise<void> | undefined;
  #resume: () => void = () => undefined;

  /** `pauseAt`: the first call is 1. */
  constructor(pauseAt?: number) {
    this.#pauseAt = pauseAt;
    this.paused = new Promise((resolve) => {
      this.#notePaused = resolve;
    });
  }

  resume(): void {
    this.#resume();
  }

  store(store: ObjectStore): ObjectStore {
    return this.#wrap(store);
  }

  ledger<L extends Ledger & History>(ledger: L): L {
    return this.#wrap(ledger);
  }

  #wrap<T extends object>(target: T): T {
    return new Proxy(target, {
      get: (_, property) => {
        const member: unknown = Reflect.get(target, property, target);
        if (typeof member !== 'function' || property === 'list') return member;
        return async (...args: unknown[]): Promise<unknown> => {
          if (property !== 'lease') {
            this.calls.push(String(property));
            if (this.calls.length === this.#pauseAt) this.#pause();
          }
          await this.#resumed;
          return Reflect.apply(member, target, args) as Promise<unknown>;
        };
      },
    });
  }

  #pause(): void {
    this.#resumed = new Promise((resolve) => {
      this.#resume = resolve;
    });
    this.#notePaused();
  }
}
