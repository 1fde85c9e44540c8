// Who does the work of back-signing: threads, when the store is a directory and the key is in this process; otherwise
// this thread, through the ports, with what is waited for in parallel.
import path from 'node:path';
import type { BinPorts } from '../publish/bin-desk.ts';
import type { BinJob } from '../publish/bin-threads.ts';
import { openThreads, type Threads } from '../publish/threads.ts';
import {
  checkBins,
  entriesOfPartition,
  indexPartition,
  signBins,
  surveyBins,
  type Checked,
  type CheckJob,
  type EntriesJob,
  type PartitionEntries,
  type SignJob,
  type SortJob,
  type Survey,
  type SurveyJob,
} from './bin-work.ts';
import type { IndexedPartition } from './indexed-bin.ts';
import { readFiles, readLines, type FilesJob, type LinesJob, type ReadBlock } from './read-block.ts';

export type Job = LinesJob | FilesJob | SortJob | EntriesJob | SurveyJob | SignJob | CheckJob;

export interface Answers {
  readonly lines: ReadBlock;
  readonly files: ReadBlock;
  readonly sort: IndexedPartition;
  readonly entries: PartitionEntries;
  readonly survey: Survey;
  readonly sign: string[];
  readonly check: Checked;
}

export interface Crew {
  /** Jobs worth giving at once. */
  readonly size: number;
  /**
   * `bins`: for jobs about bins, where those are.
   * @throws whatever the job throws.
   */
  run<K extends Job['kind']>(job: Extract<Job, { kind: K }>, bins?: BinPorts): Promise<Answers[K]>;
}

/** The threads that a publisher and back-signing share. `storeDirectory`: of the file store, if the store is one. */
export function sharedThreads(count: number, storeDirectory: string | undefined): Threads<Job | BinJob> {
  // Built or not, the other file is of the same kind as this one.
  const extension = path.extname(import.meta.url);
  return openThreads(new URL(`./thread${extension}`, import.meta.url), count, storeDirectory);
}

export async function perform(job: Job, bins: BinPorts | undefined): Promise<Answers[Job['kind']]> {
  switch (job.kind) {
    case 'lines':
      return readLines(job);
    case 'files':
      return readFiles(job);
    case 'sort':
      return indexPartition(job);
    case 'entries':
      return entriesOfPartition(job);
    default:
      if (bins === undefined) throw new TypeError(`${job.kind} without bins`);
      if (job.kind === 'survey') return surveyBins(job, bins);
      return job.kind === 'sign' ? signBins(job, bins) : checkBins(job, bins);
  }
}

/** Everything on this thread. */
export function crewOfOne(): Crew {
  return { size: 1, run: ((job: Job, bins?: BinPorts) => perform(job, bins)) as Crew['run'] };
}

/** Without a store on disk, and for keys that are elsewhere, only lists are read by threads. */
export function crewOfThreads(threads: Threads<Job | BinJob>): Crew {
  return {
    size: threads.size + 1,
    run: ((job: Job, bins?: BinPorts) =>
      bins === undefined || threads.canUse(bins)
        ? threads.ask(threads.leastBusy(), job, bins)
        : perform(job, bins)) as Crew['run'],
  };
}
