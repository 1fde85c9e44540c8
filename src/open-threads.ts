// The threads that read, sign and write bins, for a process that publishes: uploads and back-signing share them.
import { availableParallelism } from 'node:os';
import { sharedThreads } from './backsign/crew.ts';
import type { Config } from './config.ts';

/** In a service: four keep a disk busy, and each takes memory. */
const MAX_THREADS = 4;

/** One thread for each core unless `count` says otherwise. They start when they are needed. */
export function openBinThreads(
  { store }: Pick<Config, 'store'>,
  count = Math.min(availableParallelism(), MAX_THREADS),
): ReturnType<typeof sharedThreads> {
  return sharedThreads(count, store.kind === 'file' ? store.directory : undefined);
}
