// Collects garbage while the service runs: every hour, in the process that publishes.
import type { Clock } from '../lib/clock.ts';
import { CountersignError, messageOf } from '../lib/errors.ts';
import type { Logger } from '../lib/log.ts';
import { promiseRetention } from './promise-retention.ts';
import { collectGarbage, type RetentionPorts } from './retention.ts';

/** Milliseconds between two collections, and before the first: a service that is restarted often has better things to do. */
const INTERVAL_MS = 3_600_000;

/** Milliseconds between two looks whether it is time. */
const LOOK_MS = 60_000;

/** Milliseconds between two looks whether this process publishes, until mirrors are told how long things are kept. */
const FIRST_LOOK_MS = 1000;

export interface HousekeepingPorts extends RetentionPorts {
  readonly clock: Clock;
  readonly log: Logger;
  readonly isPublisher: () => boolean;
  /** Removes what else was given up; answers what is to be told of it. */
  readonly alsoRemove: (signal: AbortSignal) => Promise<object>;
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
    const { clock, log, isPublisher, alsoRemove } = this.#ports;
    let last = clock.now();
    let promised = false;
    let pagesSweptUpTo = 0;
    for (;;) {
      await clock.sleep(promised ? LOOK_MS : FIRST_LOOK_MS, this.#stopping.signal);
      if (this.#stopping.signal.aborted) return;
      if (!isPublisher()) continue;
      try {
        if (!promised) await promiseRetention(this.#ports.store, this.#ports.snapshotsMs, clock.now());
        promised = true;
        if (clock.now() - last < INTERVAL_MS) continue;
        last = clock.now();
        const report = await collectGarbage({
          ...this.#ports,
          pagesSweptUpTo,
          signal: this.#stopping.signal,
        });
        pagesSweptUpTo = report.oldestSnapshot ?? pagesSweptUpTo;
        const also = await alsoRemove(this.#stopping.signal);
        log.info({ ...report, ...also }, 'garbage collected');
      } catch (error) {
        const code = error instanceof CountersignError ? error.code : 'internal';
        log.error({ code }, `garbage could not be collected: ${messageOf(error)}`);
      }
    }
  }
}
