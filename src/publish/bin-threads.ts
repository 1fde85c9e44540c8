// The bins of a publication on several threads: each reads, verifies, edits, signs, verifies again and writes whole bins,
// with the code that would do it on one. A thread keeps what it has read until it writes it.
//
// Next: ./bin-desk.ts
import { mapConcurrent } from '../lib/concurrency.ts';
import {
  binsHere,
  BinWork,
  KEPT_BYTES,
  type BinDesk,
  type BinLook,
  type BinPorts,
  type BinQuestion,
  type BinSession,
  type BinsToRebuild,
  type BinsToWrite,
  type BinToWrite,
} from './bin-desk.ts';
import { alignedBins, BinLayout } from '../tuf/bins.ts';
import type { Threads } from './threads.ts';
import type { OfflineRoles } from './verified-reads.ts';

/** Fewer bins than this are done sooner where they are than sent anywhere. */
const WORTH_SENDING = 8;

/** Bins of one job: small enough that all threads end at about the same time. */
const SLICE = 8;

/** Jobs that a thread has in hand: while one waits for the disk, the next is signed. */
const JOBS_IN_HAND = 2;

interface SessionJob {
  /** Number of the publication in the making: what was kept for another one is let go. */
  readonly session: number;
  /** Bytes of bins that the thread may keep. */
  readonly keptBytes: number;
}

export interface LookJob extends SessionJob {
  readonly kind: 'look';
  readonly bins: readonly BinQuestion[];
}

export interface WriteJob extends SessionJob {
  readonly kind: 'write';
  readonly work: BinsToWrite;
}

export interface RebuildJob extends SessionJob {
  readonly kind: 'rebuild';
  readonly work: BinsToRebuild;
}

export type BinJob = LookJob | WriteJob | RebuildJob;

/** Performs the jobs of a desk, on the thread of its own. */
export class BinJobs {
  #session = -1;
  #work: BinWork | undefined;

  perform(job: BinJob, ports: BinPorts): Promise<unknown> {
    if (this.#work === undefined || this.#session !== job.session) {
      this.#session = job.session;
      this.#work = new BinWork(ports, job.keptBytes);
    }
    if (job.kind === 'look') return this.#work.look(job.bins);
    return job.kind === 'write' ? this.#work.write(ports.roles, job.work) : this.#work.rebuild(job.work);
  }
}

/** A desk that leaves bins to threads when there are enough of them: `least`. */
export function binsOnThreads(threads: Threads<BinJob>, least = WORTH_SENDING): BinDesk {
  let sessions = 0;
  return {
    begin: (ports) =>
      threads.canUse(ports) ? new ThreadSession(threads, ports, sessions++, least) : binsHere.begin(ports),
  };
}

class ThreadSession implements BinSession {
  readonly #threads: Threads<BinJob>;
  readonly #ports: BinPorts;
  readonly #job: SessionJob;
  readonly #least: number;
  readonly #here: BinSession;
  /** The thread that has looked at a bin. */
  readonly #homes = new Map<number, number>();

  constructor(threads: Threads<BinJob>, ports: BinPorts, session: number, least: number) {
    this.#threads = threads;
    this.#ports = ports;
    this.#job = { session, keptBytes: KEPT_BYTES / threads.size };
    this.#least = least;
    this.#here = binsHere.begin(ports);
  }

  async look(questions: readonly BinQuestion[]): Promise<readonly BinLook[]> {
    if (questions.length < this.#least) return this.#here.look(questions);
    const { size } = this.#threads;
    const looks = await mapConcurrent(slices(questions), size * JOBS_IN_HAND, async (bins) => {
      const thread = this.#threads.leastBusy();
      for (const { bin } of bins) this.#homes.set(bin, thread);
      return (await this.#threads.ask(
        thread,
        { ...this.#job, kind: 'look', bins },
        this.#ports,
      )) as BinLook[];
    });
    return looks.flat();
  }

  async write(roles: OfflineRoles, work: BinsToWrite): Promise<readonly string[]> {
    if (work.bins.length < this.#least) return this.#here.write(roles, work);
    const { size } = this.#threads;
    const queues = Array.from({ length: size }, (_, thread) =>
      slices(work.bins.filter(({ bin }) => (this.#homes.get(bin) ?? bin % size) === thread)),
    );
    const digests = new Map<number, string>();
    const lanes = Array.from({ length: size * JOBS_IN_HAND }, (_, lane) => lane % size);
    await mapConcurrent(lanes, lanes.length, async (thread) => {
      for (let bins; (bins = takeFrom(queues, thread)) !== undefined;) {
        const job = { ...this.#job, kind: 'write', work: { ...work, bins } } as const;
        try {
          const written = (await this.#threads.ask(thread, job, { ...this.#ports, roles })) as string[];
          bins.forEach(({ bin }, i) => digests.set(bin, written[i] ?? ''));
        } catch (error) {
          for (const queue of queues) queue.length = 0;
          throw error;
        }
      }
    });
    return work.bins.map(({ bin }) => digests.get(bin) ?? '');
  }

  async rebuild(work: BinsToRebuild): Promise<readonly string[]> {
    if (work.bins.length < this.#least) return this.#here.rebuild(work);
    const current = this.#ports.roles.binTrust.layout;
    const next = new BinLayout(work.layout.count, work.layout.generation);
    // A bin that is divided is read once: all of its parts are made by one thread.
    const parts = slices(work.bins, Math.max(SLICE, next.count / current.count));
    const digests = await mapConcurrent(parts, this.#threads.size * JOBS_IN_HAND, async (bins) => {
      const wanted = new Set(bins.flatMap(({ bin }) => alignedBins(next, bin, current)));
      const sources = work.sources.filter(({ bin }) => wanted.has(bin));
      const thread = this.#homes.get(sources[0]?.bin ?? 0) ?? this.#threads.leastBusy();
      const job = { ...this.#job, kind: 'rebuild', work: { ...work, bins, sources } } as const;
      return (await this.#threads.ask(thread, job, this.#ports)) as string[];
    });
    return digests.flat();
  }
}

/** The next slice of a thread's own, or one of whoever has most left: it is read again, which is better than waiting. */
function takeFrom(queues: BinToWrite[][][], thread: number): BinToWrite[] | undefined {
  const own = queues[thread]?.shift();
  if (own !== undefined) return own;
  return queues.reduce((longest, queue) => (queue.length > longest.length ? queue : longest)).pop();
}

function slices<T>(list: readonly T[], length = SLICE): T[][] {
  return Array.from({ length: Math.ceil(list.length / length) }, (_, i) =>
    list.slice(i * length, (i + 1) * length),
  );
}
