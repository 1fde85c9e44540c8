// Repeats requests that may succeed the next time: with pauses of random length, within a budget that all calls share,
// so that a server in trouble is not asked four times as often as a healthy one.
import type { Clock } from '../lib/clock.ts';
import { judge } from './s3-errors.ts';
import type { S3Limits } from './s3-limits.ts';

/** In the budget's coin: after an outage one retry is earned by ten calls that went well at once. */
const RETRY_COST = 10;
const CALL_REFUND = 1;

export interface Repeated<T> {
  readonly value: T;
  /** An earlier attempt of this call may have been carried out although no success was heard of. */
  readonly uncertain: boolean;
}

export class Retry {
  readonly #clock: Clock;
  readonly #random: () => number;
  readonly #limits: S3Limits;
  #budget: number;

  constructor(clock: Clock, random: () => number, limits: S3Limits) {
    this.#clock = clock;
    this.#random = random;
    this.#limits = limits;
    this.#budget = limits.retryBudget * RETRY_COST;
  }

  /** Runs `attempt` until it resolves, or rejects with what no further attempt would change. */
  async run<T>(attempt: (signal: AbortSignal) => Promise<T>): Promise<Repeated<T>> {
    const { attempts, attemptMs, firstPauseMs, longestPauseMs, retryBudget } = this.#limits;
    let uncertain = false;
    for (let count = 1; ; count++) {
      try {
        const value = await attempt(AbortSignal.timeout(attemptMs));
        const refund = count === 1 ? CALL_REFUND : RETRY_COST;
        this.#budget = Math.min(retryBudget * RETRY_COST, this.#budget + refund);
        return { value, uncertain };
      } catch (error) {
        const verdict = judge(error);
        if (!verdict.retry || count >= attempts || this.#budget < RETRY_COST) throw error;
        this.#budget -= RETRY_COST;
        uncertain ||= verdict.mayHaveHappened;
        // "Full jitter": callers that failed together do not come back together.
        const longest = Math.min(longestPauseMs, firstPauseMs * 2 ** (count - 1));
        await this.#clock.sleep(this.#random() * longest);
      }
    }
  }
}
