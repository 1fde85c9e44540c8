// What a run knows of its sorted files without their content.
import type { Conflict } from './sort-partition.ts';

/** A bin of a sorted partition as the index of the working folder has it. */
export interface IndexedBin {
  /** Counted from the first bin of the repository's layout: a folder does not depend on which one that is. */
  readonly bin: number;
  readonly count: number;
  /** Bytes of its entries. */
  readonly bytes: number;
  readonly sha256: string;
}

export interface IndexedPartition {
  readonly bins: readonly IndexedBin[];
  readonly repeated: number;
  readonly contradictory: number;
  readonly conflicts: readonly Conflict[];
}
