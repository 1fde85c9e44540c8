// What a run has staged, until its order is settled. A run that stood still for days may find that garbage collection has
// taken it for abandoned (./staging-garbage.ts): it looks, and puts back what is missing.
import type { Clock } from '../lib/clock.ts';
import { hasCode } from '../lib/errors.ts';
import { restage, stage, unstage, type StagingPorts } from './staging.ts';

/** Milliseconds between two looks: one listing. */
const LOOK_MS = 30_000;

export interface KeptStagingPorts extends StagingPorts {
  readonly clock: Clock;
  /** Is told how many objects were missing. */
  readonly restored: (objects: number) => void;
}

export class KeptStaging {
  readonly #ports: KeptStagingPorts;
  /** The first look is at once: what was found while it was staged may have been removed before it was ordered. */
  #lookedAt = Number.NEGATIVE_INFINITY;
  /** Objects that were put back. */
  #restored = 0;

  constructor(ports: KeptStagingPorts) {
    this.#ports = ports;
  }

  /** As `stage`. */
  put(progress: (done: number, total: number) => void): Promise<string> {
    return stage(this.#ports, this.#ports.clock.now(), progress);
  }

  /** Called again and again while the order is open. A store that is away is looked at later. */
  async look(): Promise<void> {
    const now = this.#ports.clock.now();
    if (now - this.#lookedAt < LOOK_MS) return;
    this.#lookedAt = now;
    try {
      await this.#restore();
    } catch (error) {
      if (!hasCode(error, 'store-unavailable')) throw error;
    }
  }

  /**
   * Places the order with `order`, again each time that it was refused because something had been missing.
   * @throws as `order`.
   */
  async during<T>(order: () => Promise<T>): Promise<T> {
    for (;;) {
      const before = this.#restored;
      this.#lookedAt = Number.NEGATIVE_INFINITY;
      try {
        return await order();
      } catch (error) {
        if (!hasCode(error, 'backsign-state')) throw error;
        await this.#restore();
        if (this.#restored === before) throw error;
      }
    }
  }

  async remove(): Promise<void> {
    await unstage(this.#ports.store, this.#ports.prepared.digest);
  }

  async #restore(): Promise<void> {
    const objects = await restage(this.#ports);
    if (objects === 0) return;
    this.#restored += objects;
    this.#ports.restored(objects);
  }
}
