// How the bins of a repository are divided among the partitions on disk: neighbouring bins share one, and there are as
// many partitions as one process may comfortably hold open.
import { BinLayout } from '../tuf/bins.ts';

/** Files open at once while a list is read. */
const MAX_PARTITIONS = 256;

export interface PartitionLayout {
  readonly bins: BinLayout;
  readonly count: number;
  /** Bins in each partition. */
  readonly width: number;
}

/** @throws CountersignError `metadata-invalid` when `binCount` is no number of bins. */
export function partitionLayout(binCount: number): PartitionLayout {
  const bins = new BinLayout(binCount);
  const count = Math.min(MAX_PARTITIONS, binCount);
  return { bins, count, width: binCount / count };
}
