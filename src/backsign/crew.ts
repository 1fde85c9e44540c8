// Who does the work of back-signing: threads, when the store is a directory and the key is in this process; otherwise
// this thread, through the ports, with what is waited for in parallel.
import path from 'node:path';
import { Worker } from 'node:worker_threads';
import { CountersignError, FatalError, type ErrorCode, type ErrorDetails } from '../lib/errors.ts';
import {
  BinWork,
  indexPartition,
  type Checked,
  type CheckJob,
  type IndexedPartition,
  type SignJob,
  type SortJob,
  type Survey,
  type SurveyJob,
} from './bin-work.ts';
import { readFiles, readLines, type FilesJob, type LinesJob, type ReadBlock } from './read-block.ts';
import { portable, type BinPorts, type ThreadBins } from './thread-bins.ts';

export type Job = LinesJob | FilesJob | SortJob | SurveyJob | SignJob | CheckJob;

export interface Answers {
  readonly lines: ReadBlock;
  readonly files: ReadBlock;
  readonly sort: IndexedPartition;
  readonly survey: Survey;
  readonly sign: string[];
  readonly check: Checked;
}

export interface Crew {
  /** Jobs worth giving at once. */
  readonly size: number;
  /** Says which bins the jobs that follow are about. No job may be in hand. */
  begin(bins: BinPorts): Promise<void>;
  /** @throws whatever the job throws. */
  run<K extends Job['kind']>(job: Extract<Job, { kind: K }>): Promise<Answers[K]>;
  /** Ends all threads, whatever they do. */
  close(): Promise<void>;
}

export async function perform(job: Job, work: BinWork | undefined): Promise<Answers[Job['kind']]> {
  switch (job.kind) {
    case 'lines':
      return readLines(job);
    case 'files':
      return readFiles(job);
    case 'sort':
      return indexPartition(job);
    default:
      if (work === undefined) throw new TypeError(`${job.kind} before begin`);
      if (job.kind === 'survey') return work.survey(job);
      return job.kind === 'sign' ? work.sign(job) : work.check(job);
  }
}

/** Everything on this thread. */
export function crewOfOne(): Crew {
  let work: BinWork | undefined;
  return {
    size: 1,
    begin: (bins) => {
      work = new BinWork(bins, bins.signers);
      return Promise.resolve();
    },
    run: (async (job: Job) => perform(job, work)) as Crew['run'],
    close: () => Promise.resolve(),
  };
}

/**
 * So many threads. `storeDirectory`: of the file store; without it, and for keys that are elsewhere, bins are written by
 * this thread and only lists are read by the others.
 */
export function crewOfThreads(count: number, storeDirectory: string | undefined): Crew {
  const own = crewOfOne();
  const threads = Array.from({ length: count }, () => new Thread());
  let writing: 'threads' | 'here' = 'here';
  return {
    size: count + 1,
    begin: async (bins) => {
      const message = storeDirectory === undefined ? undefined : portable(bins, storeDirectory);
      writing = message === undefined ? 'here' : 'threads';
      if (message === undefined) await own.begin(bins);
      else await Promise.all(threads.map((thread) => thread.ask({ begin: message })));
    },
    run: (async (job: Job) => {
      const isPure = job.kind === 'lines' || job.kind === 'files' || job.kind === 'sort';
      if (!isPure && writing === 'here') return own.run(job as never);
      return leastBusy(threads).ask({ job });
    }) as Crew['run'],
    close: async () => {
      await Promise.all(threads.map((thread) => thread.close()));
    },
  };
}

function leastBusy(threads: readonly Thread[]): Thread {
  return threads.reduce((best, thread) => (thread.waiting < best.waiting ? thread : best));
}

/** What a thread is asked: one thing after the other. */
export type Question = { readonly job: Job } | { readonly begin: ThreadBins };

/** What it answers. */
export type Reply = { readonly answer: unknown } | { readonly failure: Failure };

interface Failure {
  readonly code: ErrorCode;
  readonly message: string;
  readonly details: ErrorDetails;
  readonly fatal: boolean;
}

export function failureOf(error: unknown): Failure {
  if (error instanceof CountersignError) {
    const { code, message, details } = error;
    return { code, message, details, fatal: error instanceof FatalError };
  }
  const message = error instanceof Error ? (error.stack ?? error.message) : String(error);
  return { code: 'internal', message, details: {}, fatal: false };
}

class Thread {
  readonly #worker: Worker;
  readonly #waiting: { resolve: (answer: unknown) => void; reject: (error: unknown) => void }[] = [];

  constructor() {
    // Built or not, the other file is of the same kind as this one.
    const extension = path.extname(import.meta.url);
    this.#worker = new Worker(new URL(`./thread${extension}`, import.meta.url));
    this.#worker.on('message', (reply: Reply) => {
      const asked = this.#waiting.shift();
      if (this.#waiting.length === 0) this.#worker.unref();
      if ('answer' in reply) asked?.resolve(reply.answer);
      else {
        const { code, message, details, fatal } = reply.failure;
        asked?.reject(new (fatal ? FatalError : CountersignError)(code, message, { details }));
      }
    });
    const fail = (error: unknown): void => {
      for (const { reject } of this.#waiting.splice(0)) reject(error);
    };
    this.#worker.unref();
    this.#worker.on('error', fail);
    this.#worker.on('exit', (status) => {
      fail(new CountersignError('internal', `a thread of back-signing ended with ${status}`));
    });
  }

  /** Questions without an answer. */
  get waiting(): number {
    return this.#waiting.length;
  }

  ask(question: Question): Promise<unknown> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ resolve, reject });
      // An idle thread keeps no process from ending.
      this.#worker.ref();
      this.#worker.postMessage(question);
    });
  }

  async close(): Promise<void> {
    await this.#worker.terminate();
  }
}
