// When how many events were public, as the service's own counter says it.
import { setTimeout as sleep } from 'node:timers/promises';
import type { MeasuredService } from '../service.ts';

/** Milliseconds between two looks: small against the second that a publication takes. */
const LOOK_MS = 25;

const COUNTER = /^countersign_events_settled_total\{state="published"\} (\d+)/m;

/** Looks from when it is made until it is stopped. */
export class SettledWatch {
  readonly #seen: { readonly at: number; readonly settled: number }[] = [];
  readonly #loop: Promise<void>;
  #stopped = false;

  constructor(service: MeasuredService) {
    this.#loop = this.#run(service);
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#loop;
  }

  /**
   * Events a second between the first and the last publication of a time, from and to milliseconds of
   * `performance.now()`: whole publications, since a part of one would be counted as none or as all. Undefined when there
   * were not two.
   */
  perSecond(from: number, to: number): number | undefined {
    const within = this.#seen.filter(({ at }) => at >= from && at <= to);
    const [first, last] = [within[0], within.at(-1)];
    if (first === undefined || last === undefined || first === last) return undefined;
    return ((last.settled - first.settled) * 1000) / (last.at - first.at);
  }

  async #run(service: MeasuredService): Promise<void> {
    while (!this.#stopped) {
      const { body } = await service.send('GET', '/metrics');
      const at = performance.now();
      const settled = Number(COUNTER.exec(body.toString())?.[1] ?? 0);
      if (settled !== this.#seen.at(-1)?.settled) this.#seen.push({ at, settled });
      await sleep(LOOK_MS);
    }
  }
}
