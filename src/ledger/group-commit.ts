// One fsync for everything that arrives in the same turn of the event loop, or while the commit before is on its way: a
// hundred requests at once cost the disk one commit. Each caller still has its own outcome.

interface Waiting<Job, Result> {
  readonly job: Job;
  readonly resolve: (result: Result) => void;
  readonly reject: (error: unknown) => void;
}

export type Outcome<Result> = { readonly result: Result } | { readonly error: Error };

export interface GroupCommitOptions<Job, Result> {
  /** Writes `jobs` in one transaction and gives an outcome for each; when it throws, none of them was written. */
  readonly commit: (jobs: readonly Job[]) => Outcome<Result>[] | Promise<Outcome<Result>[]>;
  /** What a job adds to a transaction. */
  readonly weigh: (job: Job) => number;
  /** A transaction takes jobs until it reaches this weight: others wait for as long as it is written. */
  readonly maxWeight: number;
}

export class GroupCommit<Job, Result> {
  readonly #options: GroupCommitOptions<Job, Result>;
  readonly #idle: (() => void)[] = [];
  #queue: Waiting<Job, Result>[] = [];

  constructor(options: GroupCommitOptions<Job, Result>) {
    this.#options = options;
  }

  /** Resolves when the transaction that holds `job` is committed. */
  submit(job: Job): Promise<Result> {
    return new Promise((resolve, reject) => {
      if (this.#queue.length === 0)
        setImmediate(() => {
          void this.#flush();
        });
      this.#queue.push({ job, resolve, reject });
    });
  }

  /** Resolves when everything submitted so far has its outcome. */
  drained(): Promise<void> {
    return new Promise((resolve) => {
      if (this.#queue.length === 0) resolve();
      else this.#idle.push(resolve);
    });
  }

  async #flush(): Promise<void> {
    const batch = this.#nextBatch();
    try {
      const outcomes = await this.#options.commit(batch.map((waiting) => waiting.job));
      batch.forEach((waiting, index) => {
        const outcome = outcomes[index];
        if (outcome === undefined) waiting.reject(new Error('a group commit left a job without outcome'));
        else if ('error' in outcome) waiting.reject(outcome.error);
        else waiting.resolve(outcome.result);
      });
    } catch (error) {
      for (const waiting of batch) waiting.reject(error);
    }
    this.#queue = this.#queue.slice(batch.length);
    if (this.#queue.length > 0)
      setImmediate(() => {
        void this.#flush();
      });
    else for (const resolve of this.#idle.splice(0)) resolve();
  }

  /** What is in a batch stays in the queue until it has its outcome: nobody starts a second commit meanwhile. */
  #nextBatch(): Waiting<Job, Result>[] {
    let weight = 0;
    const end = this.#queue.findIndex((waiting) => {
      const full = weight >= this.#options.maxWeight;
      weight += this.#options.weigh(waiting.job);
      return full;
    });
    return this.#queue.slice(0, end === -1 ? undefined : end);
  }
}
