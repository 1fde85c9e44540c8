// The first half of back-signing: all sources are read once, and each statement goes to the partition of its bin on disk.
// This thread reads and writes, the others take lines apart. Blocks are written in the order of the sources, so that the
// same sources give the same partitions; every now and then it is noted how far all that has come.
import * as fs from 'node:fs';
import { CountersignError } from '../lib/errors.ts';
import type { Crew } from './crew.ts';
import { partitionLayout } from './layout.ts';
import { tooLong, type ReadBlock } from './read-block.ts';
import { Refusals, type RefusalList } from './refusals.ts';
import { SOURCE_BEGIN, type Source, type SourceBlock, type SourcePosition } from './sources/source.ts';
import type { WorkFolder } from './work-folder.ts';
import { writeWhole } from './write-whole.ts';

const READ_NAME = 'read.json';

/** Bytes of records between two notes of how far things are. */
const NOTE_BYTES = 256 * 1024 * 1024;

/** Bytes of a partition that are kept until they are worth a write. */
const PIECE_BYTES = 64 * 1024;

/** What was read of all sources. */
export interface ReadState {
  /** Sources that were read to their end. */
  readonly sources: number;
  /** In the source after those. */
  readonly position: SourcePosition;
  /** Bytes of each partition. */
  readonly sizes: readonly number[];
  readonly accepted: number;
  readonly refused: RefusalList;
  readonly complete: boolean;
}

export interface ReadOptions {
  readonly folder: WorkFolder;
  readonly sources: readonly Source[];
  readonly prefix: string;
  readonly binCount: number;
  /** The first refused line ends the run. */
  readonly strict: boolean;
  readonly crew: Crew;
  /** Bytes of the sources that were read, and all, 0 when nobody knows. */
  readonly progress: (done: number, total: number) => void;
}

/**
 * Reads what was not read before.
 * @throws CountersignError `manifest-invalid` when a source cannot be read to its end, or a line is refused and
 *   `strict` is set; `backsign-state`.
 */
export async function readSources(options: ReadOptions): Promise<ReadState> {
  const { folder, sources, binCount } = options;
  const count = partitionLayout(binCount).count;
  const state = folder.read<ReadState>(READ_NAME) ?? {
    sources: 0,
    position: SOURCE_BEGIN,
    sizes: Array<number>(count).fill(0),
    accepted: 0,
    refused: { count: 0, described: [] },
    complete: false,
  };
  if (state.complete) return state;
  const run = new ReadRun(options, state);
  try {
    for (let number = state.sources; number < sources.length; number++) {
      const source = sources[number];
      if (source !== undefined) await run.read(source, number);
    }
    return run.end();
  } finally {
    run.close();
  }
}

class ReadRun {
  readonly #options: ReadOptions;
  readonly #writer: PartitionWriter;
  readonly #refusals: Refusals;
  readonly #totalBytes: number;
  #doneBytes: number;
  #accepted: number;
  #sources: number;
  #position: SourcePosition;
  #unnoted = 0;

  constructor(options: ReadOptions, state: ReadState) {
    this.#options = options;
    this.#writer = new PartitionWriter(options.folder, state.sizes);
    this.#refusals = new Refusals(state.refused);
    this.#accepted = state.accepted;
    this.#sources = state.sources;
    this.#position = state.position;
    const sizes = options.sources.map(({ size }) => size);
    this.#totalBytes = sizes.reduce((sum, size) => sum + size, 0);
    this.#doneBytes = sizes.slice(0, state.sources).reduce((sum, size) => sum + size, 0);
  }

  async read(source: Source, number: number): Promise<void> {
    const { crew, prefix, binCount, progress } = this.#options;
    const inHand: { readonly block: SourceBlock; readonly answer: Promise<ReadBlock> }[] = [];
    const settle = async (): Promise<void> => {
      const first = inHand.shift();
      if (first === undefined) return;
      this.#take(source, first.block, await first.answer);
      progress(this.#doneBytes + first.block.consumed, this.#totalBytes);
    };
    for await (const block of source.blocks(this.#position)) {
      const job = { ...block.job, source: number, prefix, binCount };
      const answer = job.kind === 'lines' ? crew.run<'lines'>(job) : crew.run<'files'>(job);
      // Whoever waits for it hears of the failure; nobody may be waiting yet.
      answer.catch(() => undefined);
      inHand.push({ block, answer });
      if (inHand.length > crew.size * 2) await settle();
    }
    while (inHand.length > 0) await settle();
    this.#sources = number + 1;
    this.#position = SOURCE_BEGIN;
    this.#doneBytes += source.size;
    this.#note(false);
  }

  end(): ReadState {
    return this.#note(true);
  }

  close(): void {
    this.#writer.close();
  }

  #take({ name }: Source, { dropped, next }: SourceBlock, block: ReadBlock): void {
    const described = block.refusals.map(({ line, reason }) => ({ file: name, line, reason }));
    this.#refusals.add(block.refused, described);
    if (dropped !== undefined) this.#refusals.add(1, [{ file: name, line: dropped, reason: tooLong() }]);
    const [first] = this.#refusals.list().described;
    if (this.#options.strict && first !== undefined) {
      throw new CountersignError(
        'manifest-invalid',
        `${first.file}, line ${first.line}, ${first.reason}; with --strict the first such line ends the run`,
      );
    }
    this.#accepted += block.accepted;
    this.#writer.write(block);
    this.#position = next;
    this.#unnoted += block.records.length;
    if (this.#unnoted >= NOTE_BYTES) this.#note(false);
  }

  /** Now, everything up to here need not be read again. */
  #note(complete: boolean): ReadState {
    this.#unnoted = 0;
    const state: ReadState = {
      sources: this.#sources,
      position: this.#position,
      sizes: this.#writer.flush(),
      accepted: this.#accepted,
      refused: this.#refusals.list(),
      complete,
    };
    this.#options.folder.write(READ_NAME, state);
    return state;
  }
}

/** The files of all partitions, open at once; small pieces are gathered before they are written. */
class PartitionWriter {
  readonly #folder: WorkFolder;
  readonly #files: number[] = [];
  readonly #pieces: Buffer;
  /** Bytes of each partition's piece that are in use. */
  readonly #filled: Uint32Array;
  readonly #sizes: number[];

  /** What a killed run wrote behind `sizes` is cut off. */
  constructor(folder: WorkFolder, sizes: readonly number[]) {
    this.#folder = folder;
    this.#sizes = [...sizes];
    this.#pieces = Buffer.allocUnsafe(sizes.length * PIECE_BYTES);
    this.#filled = new Uint32Array(sizes.length);
    for (const [partition, size] of sizes.entries()) {
      const file = fs.openSync(
        folder.recordsFile(partition),
        fs.constants.O_RDWR | fs.constants.O_CREAT,
        0o600,
      );
      this.#files.push(file);
      if (fs.fstatSync(file).size < size) {
        throw new CountersignError(
          'backsign-state',
          `${folder.recordsFile(partition)} is shorter than ${size} bytes: begin again in a new folder`,
        );
      }
      fs.ftruncateSync(file, size);
    }
  }

  write({ records, ends }: ReadBlock): void {
    let start = 0;
    for (const [partition, end] of ends.entries()) {
      if (end > start) this.#append(partition, records.subarray(start, end));
      start = end;
    }
  }

  /** Bytes of each partition, all of them written. */
  flush(): number[] {
    for (const partition of this.#files.keys()) this.#flushOne(partition);
    return [...this.#sizes];
  }

  close(): void {
    for (const file of this.#files.splice(0)) fs.closeSync(file);
  }

  #append(partition: number, bytes: Uint8Array): void {
    const filled = this.#filled[partition] ?? 0;
    if (filled + bytes.length > PIECE_BYTES) this.#flushOne(partition);
    if (bytes.length > PIECE_BYTES) {
      this.#writeAll(partition, bytes);
      return;
    }
    this.#pieces.set(bytes, partition * PIECE_BYTES + (this.#filled[partition] ?? 0));
    this.#filled[partition] = (this.#filled[partition] ?? 0) + bytes.length;
  }

  #flushOne(partition: number): void {
    const begin = partition * PIECE_BYTES;
    this.#writeAll(partition, this.#pieces.subarray(begin, begin + (this.#filled[partition] ?? 0)));
    this.#filled[partition] = 0;
  }

  #writeAll(partition: number, bytes: Uint8Array): void {
    const file = this.#files[partition];
    if (file === undefined) throw new RangeError(`partition ${partition}`);
    const at = this.#sizes[partition] ?? 0;
    writeWhole(file, this.#folder.recordsFile(partition), bytes, at);
    this.#sizes[partition] = at + bytes.length;
  }
}
