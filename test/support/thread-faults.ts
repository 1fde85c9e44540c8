// What a test and the threads of its publisher share: which write of a thread goes wrong, and how.
import { setEnvironmentData } from 'node:worker_threads';

export const THREAD_FAULTS = [
  'fails',
  'fails although it took place',
  'dies after it',
  'ends its thread before it',
  'ends its thread after it',
] as const;
export type ThreadFault = (typeof THREAD_FAULTS)[number];

/** Places in the shared memory. */
const Place = { writes: 0, nth: 1, fault: 2, happened: 3, dead: 4 } as const;

export class ThreadFaults {
  readonly #shared: Int32Array<SharedArrayBuffer>;

  constructor() {
    this.#shared = new Int32Array(new SharedArrayBuffer(8 * Int32Array.BYTES_PER_ELEMENT));
    // Where faulty-thread.js looks for it.
    const given = { shared: this.#shared, places: Place, faults: THREAD_FAULTS };
    setEnvironmentData('faults of threads', given);
  }

  /** From now on: nothing has happened, and the `nth` write (from 1; 0: none) will go wrong. */
  plan(nth: number, fault: ThreadFault = 'fails'): void {
    this.#shared.fill(0);
    Atomics.store(this.#shared, Place.fault, THREAD_FAULTS.indexOf(fault));
    Atomics.store(this.#shared, Place.nth, nth);
  }

  get writes(): number {
    return Atomics.load(this.#shared, Place.writes);
  }

  get happened(): boolean {
    return Atomics.load(this.#shared, Place.happened) === 1;
  }

  /** The whole process is dead, with all of its threads. */
  get dead(): boolean {
    return Atomics.load(this.#shared, Place.dead) === 1;
  }

  /** Another process takes over, with the same threads. */
  revive(): void {
    Atomics.store(this.#shared, Place.dead, 0);
  }
}
