// A stream of bytes as blocks of whole lines, with memory bounded whatever a line is like: one that is longer than any
// honest one is let pass unread, and named.
import { MAX_LINE_BYTES } from './read-block.ts';

/** Bytes of a block. */
export const BLOCK_BYTES = 1024 * 1024;

const NEWLINE = 0x0a;

export interface LineBlock {
  /** From 1. */
  readonly firstLine: number;
  /** Whole lines; the last one of all may lack its line end. */
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** A line that was too long to be read; it follows the others of the block. */
  readonly dropped?: number;
  /** The first line behind this block, and where it begins. */
  readonly next: { readonly line: number; readonly offset: number };
}

/**
 * Blocks of `stream` from byte `offset` on, where line number `line` begins; what is before it is passed over.
 * @throws whatever the stream throws.
 */
export async function* lineBlocks(
  stream: AsyncIterable<Uint8Array>,
  { line, offset }: LineBlock['next'],
): AsyncGenerator<LineBlock> {
  let skip = offset;
  let pieces: Buffer[] = [];
  let size = 0;
  /** Whether bytes are thrown away up to the next line end. */
  let dropping = false;

  const take = (bytes: Uint8Array<ArrayBuffer>, dropped: boolean, droppedBytes: number): LineBlock => {
    const firstLine = line;
    const lines = countLines(bytes);
    line += lines;
    offset += bytes.length + droppedBytes;
    return { firstLine, bytes, ...(dropped ? { dropped: line++ } : {}), next: { line, offset } };
  };

  let droppedBytes = 0;
  for await (const chunk of stream) {
    let rest = Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength);
    if (skip > 0) {
      const passed = Math.min(skip, rest.length);
      skip -= passed;
      rest = rest.subarray(passed);
    }
    if (dropping) {
      const end = rest.indexOf(NEWLINE);
      droppedBytes += end === -1 ? rest.length : end + 1;
      if (end === -1) continue;
      rest = rest.subarray(end + 1);
      dropping = false;
      yield take(new Uint8Array(0), true, droppedBytes);
      droppedBytes = 0;
    }
    const last = rest.lastIndexOf(NEWLINE);
    if (last === -1 || size + last + 1 < BLOCK_BYTES) {
      pieces.push(rest);
      size += rest.length;
      if (last !== -1 || size <= MAX_LINE_BYTES) continue;
    } else {
      pieces.push(rest.subarray(0, last + 1));
      yield take(joined(pieces, size + last + 1), false, 0);
      pieces = [rest.subarray(last + 1)];
      size = rest.length - last - 1;
    }
    // What has no line end yet must not grow for ever.
    const held = joined(pieces, size);
    const begun = held.lastIndexOf(NEWLINE) + 1;
    if (held.length - begun <= MAX_LINE_BYTES) {
      pieces = [Buffer.from(held.buffer)];
      continue;
    }
    if (begun > 0) yield take(held.slice(0, begun), false, 0);
    droppedBytes = held.length - begun;
    dropping = true;
    pieces = [];
    size = 0;
  }
  if (dropping) yield take(new Uint8Array(0), true, droppedBytes);
  else if (size > 0) yield take(joined(pieces, size), false, 0);
}

/** Memory of its own: it is handed to another thread. */
function joined(pieces: readonly Uint8Array[], size: number): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(size);
  let at = 0;
  for (const piece of pieces) {
    bytes.set(piece, at);
    at += piece.length;
  }
  return bytes;
}

/** A last line without a line end is one too. */
function countLines(bytes: Uint8Array): number {
  let lines = 0;
  for (let at = bytes.indexOf(NEWLINE); at !== -1; at = bytes.indexOf(NEWLINE, at + 1)) lines += 1;
  return bytes.length > 0 && bytes.at(-1) !== NEWLINE ? lines + 1 : lines;
}
