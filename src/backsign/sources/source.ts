// Where statements about files come from: lists and directories, read block by block, from any block on.
import type { FilesJob, LinesJob } from '../read-block.ts';

/** How far a source was read: the next line or file, and where a list goes on (bytes, decompressed). */
export interface SourcePosition {
  readonly line: number;
  readonly offset: number;
}

export const SOURCE_BEGIN: SourcePosition = { line: 1, offset: 0 };

type Unplaced<J> = Omit<J, 'source' | 'prefix' | 'binCount'>;

export interface SourceBlock {
  readonly job: Unplaced<LinesJob> | Unplaced<FilesJob>;
  /** Number of a line behind the others that was too long to be read. */
  readonly dropped?: number;
  readonly next: SourcePosition;
  /** Bytes of the source that were read up to here, for progress. */
  readonly consumed: number;
}

export interface Source {
  /** For reports: as the operator gave it. */
  readonly name: string;
  /** Bytes to read, 0 when nobody knows. */
  readonly size: number;
  /** Blocks from a position on that an earlier block named. @throws CountersignError `manifest-invalid`. */
  blocks(from: SourcePosition): AsyncIterable<SourceBlock>;
}
