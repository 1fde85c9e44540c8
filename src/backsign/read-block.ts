// The lines of a block, or the files of a list of names, as records, partition after partition. Runs on any thread.
import { isAscii, isUtf8 } from 'node:buffer';
import { entryOfClaim, type Claim } from './claim.ts';
import { partitionLayout, type PartitionLayout } from './layout.ts';
import { RECORD_HEADER_BYTES, writeRecordHeader } from './record.ts';
import { DESCRIBED } from './refusals.ts';
import { hashFile } from './sources/hash-file.ts';
import { parseLine, type LineFormat } from './sources/line-format.ts';

/** Bytes of a line: a path, custom data and columns that nobody asked for fit in. */
export const MAX_LINE_BYTES = 65_536;

interface BlockPlace {
  /** Number of the source, from 0. */
  readonly source: number;
  /** Number of the first line or file, from 1. */
  readonly firstLine: number;
  /** Stands before each path. */
  readonly prefix: string;
  readonly binCount: number;
}

export interface LinesJob extends BlockPlace {
  readonly kind: 'lines';
  readonly format: LineFormat;
  /** Whole lines. */
  readonly bytes: Uint8Array;
}

export interface FilesJob extends BlockPlace {
  readonly kind: 'files';
  /** Absolute, without links. */
  readonly directory: string;
  /** Below it, with slashes. */
  readonly names: readonly string[];
}

export interface Refusal {
  readonly line: number;
  readonly reason: string;
}

export interface ReadBlock {
  /** Partition after partition. */
  readonly records: Uint8Array;
  /** Where each partition ends in `records`. */
  readonly ends: Uint32Array;
  readonly accepted: number;
  readonly refused: number;
  /** The first of the refused. */
  readonly refusals: readonly Refusal[];
}

export function readLines({ bytes, format, firstLine, ...place }: LinesJob): ReadBlock {
  const writer = new RecordWriter(place);
  const block = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const lines = isAscii(block) ? block.toString('latin1').split('\n') : decoded(block);
  // Behind the last line end there is no line.
  const count = lines.at(-1) === '' ? lines.length - 1 : lines.length;
  for (let i = 0; i < count; i++) {
    const line = lines[i];
    const number = firstLine + i;
    if (line === undefined) writer.refuse(number, 'is not valid UTF-8');
    else if (line.length > MAX_LINE_BYTES) writer.refuse(number, tooLong());
    else if (line !== '' && line !== '\r') {
      writer.add(number, parseLine(line.endsWith('\r') ? line.slice(0, -1) : line, format));
    }
  }
  return writer.finish();
}

export async function readFiles({ directory, names, firstLine, ...place }: FilesJob): Promise<ReadBlock> {
  const writer = new RecordWriter(place);
  for (const [i, name] of names.entries()) writer.add(firstLine + i, await hashFile(directory, name));
  return writer.finish();
}

export function tooLong(): string {
  return `has more than ${MAX_LINE_BYTES} bytes`;
}

/** Undefined stands for a line that is not UTF-8. */
function decoded(block: Buffer): (string | undefined)[] {
  const lines: (string | undefined)[] = [];
  for (let start = 0; start <= block.length;) {
    const newline = block.indexOf(0x0a, start);
    const end = newline === -1 ? block.length : newline;
    const line = block.subarray(start, end);
    lines.push(isUtf8(line) ? line.toString('utf8') : undefined);
    start = end + 1;
  }
  return lines;
}

class RecordWriter {
  readonly #source: number;
  readonly #prefix: string;
  readonly #layout: PartitionLayout;
  readonly #entries: { text: string; bytes: number; bin: number; pathLength: number; line: number }[] = [];
  readonly #sizes: Uint32Array<ArrayBuffer>;
  readonly #refusals: Refusal[] = [];
  #refused = 0;

  constructor({ source, prefix, binCount }: Omit<BlockPlace, 'firstLine'>) {
    this.#source = source;
    this.#prefix = prefix;
    this.#layout = partitionLayout(binCount);
    this.#sizes = new Uint32Array(this.#layout.count);
  }

  add(line: number, claim: Claim | string): void {
    const entry = typeof claim === 'string' ? claim : entryOfClaim(claim, this.#prefix);
    if (typeof entry === 'string') {
      this.refuse(line, entry);
      return;
    }
    const { path, text } = entry;
    const bin = this.#layout.bins.indexOf(path);
    // Without custom data an entry is ASCII.
    const bytes = text.startsWith('"custom"', path.length + 4) ? Buffer.byteLength(text) : text.length;
    this.#entries.push({ text, bytes, bin, pathLength: path.length, line });
    const partition = Math.floor(bin / this.#layout.width);
    this.#sizes[partition] = (this.#sizes[partition] ?? 0) + RECORD_HEADER_BYTES + bytes;
  }

  refuse(line: number, reason: string): void {
    this.#refused += 1;
    if (this.#refusals.length < DESCRIBED) this.#refusals.push({ line, reason });
  }

  finish(): ReadBlock {
    const ends = this.#sizes.slice();
    let total = 0;
    const next = ends.map((size) => (total += size) - size);
    const records = Buffer.allocUnsafeSlow(total);
    for (const { text, bytes, bin, pathLength, line } of this.#entries) {
      const partition = Math.floor(bin / this.#layout.width);
      const at = next[partition] ?? 0;
      writeRecordHeader(records, at, { bin, pathLength, source: this.#source, line }, bytes);
      records.write(text, at + RECORD_HEADER_BYTES, bytes, bytes === text.length ? 'latin1' : 'utf8');
      next[partition] = at + RECORD_HEADER_BYTES + bytes;
    }
    return {
      records,
      ends: next,
      accepted: this.#entries.length,
      refused: this.#refused,
      refusals: this.#refusals,
    };
  }
}
