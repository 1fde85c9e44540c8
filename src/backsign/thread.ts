// One of the threads that a publisher and back-signing share (./crew.ts).
import { parentPort } from 'node:worker_threads';
import { BinJobs, type BinJob } from '../publish/bin-threads.ts';
import { answer } from '../publish/threads.ts';
import { perform, type Job } from './crew.ts';

if (parentPort !== null) {
  const publication = new BinJobs();
  answer(
    parentPort,
    async (asked, bins) => {
      const job = asked as Job | BinJob;
      if (job.kind !== 'look' && job.kind !== 'write' && job.kind !== 'rebuild') return perform(job, bins);
      if (bins === undefined) throw new TypeError(`${job.kind} without bins`);
      return publication.perform(job, bins);
    },
    recordsOf,
  );
}

/** The records of a block are handed over, not copied. */
function recordsOf(answer: unknown): ArrayBuffer[] {
  if (typeof answer !== 'object' || answer === null || !('records' in answer)) return [];
  const { records } = answer;
  return records instanceof Uint8Array && records.buffer instanceof ArrayBuffer ? [records.buffer] : [];
}
