// Collects garbage while the service runs: every hour, in the process that publishes.
import type { Clock } from '../lib/clock.ts';
import { CountersignError, messageOf } from '../lib/errors.ts';
import type { Logger } from '../lib/log.ts';
import { collectGarbage, type RetentionPorts } from './retention.ts';

/** Milliseconds between two collections, and before the first: a service that is restarted often has better things to do. */
const INTERVAL_MS = 3_600_000;

/** Milliseconds between two looks whether it is time. */
const LOOK_MS = 60_000;

export interface HousekeepingPorts extends RetentionPorts {
  readonly clock: Clock;
  readonly log: Logger;
  readonly isPublisher: () => boolean;
}

export class Housekeeping {
  readonly #ports: HousekeepingPorts;
  readonly #stopping = new AbortController();
  #loop: Promise<void> | undefined;

  constructor(ports: HousekeepingPorts) {
    this.#ports = ports;
  }

  start(): void {
    this.#loop ??= this.#run();
  }

  /** Waits for a collection in hand. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#loop;
  }

  async #run(): Promise<void> {
    const { clock, log, isPublisher } = this.#ports;
    let last = clock.now();
    for (;;) {
      await clock.sleep(LOOK_MS, this.#stopping.signal);
      if (this.#stopping.signal.aborted) return;
      if (!isPublisher() || clock.now() - last < INTERVAL_MS) continue;
      last = clock.now();
      try {
        const report = await collectGarbage({ ...this.#ports, signal: this.#stopping.signal });
        log.info({ ...report }, 'garbage collected');
      } catch (error) {
        const code = error instanceof CountersignError ? error.code : 'internal';
        log.error({ code }, `garbage could not be collected: ${messageOf(error)}`);
      }
    }
  }
}
