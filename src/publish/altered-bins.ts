// Bins that were found to be something else than what was published. Their events wait; the object is looked at again
// now and then, and publication of the bin goes on by itself once it is restored.
import type { CountersignError } from '../lib/errors.ts';

/** Milliseconds between two looks at an altered bin. */
const RETRY_MS = 5000;

export class AlteredBins {
  readonly #bins = new Map<number, { message: string; name: string; retryAt: number }>();

  /** Notes an altered bin; true when it was not known as one. */
  note(bin: number, name: string, error: CountersignError, now: number): boolean {
    const known = this.#bins.has(bin);
    this.#bins.set(bin, { name, message: error.message, retryAt: now + RETRY_MS });
    return !known;
  }

  /** The bin verified: it is as it was published. True when it had been altered. */
  clear(bin: number): boolean {
    return this.#bins.delete(bin);
  }

  /** True while nothing that touches the bin is to be tried. */
  isHeld(bin: number, now: number): boolean {
    const altered = this.#bins.get(bin);
    return altered !== undefined && now < altered.retryAt;
  }

  get size(): number {
    return this.#bins.size;
  }

  list(): { name: string; message: string }[] {
    return [...this.#bins.values()].map(({ name, message }) => ({ name, message }));
  }
}
