// A list in a file: NDJSON, CSV or RSTUF's form, plain or compressed. What it is, its bytes say, not its name.
import { createReadStream, type ReadStream } from 'node:fs';
import { open } from 'node:fs/promises';
import { pipeline, type Readable } from 'node:stream';
import * as zlib from 'node:zlib';
import { CountersignError, messageOf } from '../../lib/errors.ts';
import { BLOCK_BYTES, lineBlocks } from '../line-blocks.ts';
import { MAX_LINE_BYTES } from '../read-block.ts';
import { detectFormat, type DetectedFormat } from './line-format.ts';
import type { Source, SourceBlock, SourcePosition } from './source.ts';

const GZIP = Buffer.from([0x1f, 0x8b]);
const ZSTD = Buffer.from([0x28, 0xb5, 0x2f, 0xfd]);

type Compression = 'none' | 'gzip' | 'zstd';

/**
 * Opens a list. `file`: absolute; `name`: as the operator gave it.
 * @throws CountersignError `usage` when there is no such file, `manifest-invalid` when it is none.
 */
export async function openListFile(file: string, name: string): Promise<Source> {
  const { size, compression } = await inspect(file, name);
  const detected = detectFormat(await firstLine(file, name, compression), name);
  return { name, size, blocks: (from) => blocks({ file, name, compression, detected }, from) };
}

interface OpenList {
  readonly file: string;
  readonly name: string;
  readonly compression: Compression;
  readonly detected: DetectedFormat;
}

async function* blocks(
  { file, name, compression, detected: { format, header } }: OpenList,
  from: SourcePosition,
): AsyncGenerator<SourceBlock> {
  const { raw, stream } = openStream(file, compression);
  let line = from.line;
  try {
    for await (const { firstLine, bytes, dropped, next } of lineBlocks(stream, from)) {
      const skipped = firstLine === 1 ? withoutHeader(bytes, header) : bytes;
      const job = {
        kind: 'lines',
        format,
        firstLine: skipped === bytes ? firstLine : 2,
        bytes: skipped,
      } as const;
      yield { job, ...(dropped === undefined ? {} : { dropped }), next, consumed: raw.bytesRead };
      line = next.line;
    }
  } catch (error) {
    if (error instanceof CountersignError) throw error;
    throw new CountersignError(
      'manifest-invalid',
      `${name} cannot be read to its end: ${messageOf(error)}, soon after line ${line - 1}`,
      { cause: error },
    );
  } finally {
    raw.destroy();
  }
}

/** The block that begins the list, without a byte order mark, and without the header if there is one. */
function withoutHeader(bytes: Uint8Array<ArrayBuffer>, header: boolean): Uint8Array<ArrayBuffer> {
  const marked = bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf;
  if (!header) {
    // In place, so that lines keep their numbers: white space before an object is none of its content.
    if (marked) bytes.fill(0x20, 0, 3);
    return bytes;
  }
  const end = bytes.indexOf(0x0a);
  return bytes.slice(end === -1 ? bytes.length : end + 1);
}

async function inspect(file: string, name: string): Promise<{ size: number; compression: Compression }> {
  try {
    const handle = await open(file, 'r');
    try {
      const stat = await handle.stat();
      if (!stat.isFile()) throw new Error('it is not a regular file');
      const head = Buffer.alloc(4);
      await handle.read(head, 0, 4, 0);
      const is = (magic: Buffer): boolean => head.subarray(0, magic.length).equals(magic);
      return { size: stat.size, compression: is(GZIP) ? 'gzip' : is(ZSTD) ? 'zstd' : 'none' };
    } finally {
      await handle.close();
    }
  } catch (error) {
    throw new CountersignError('usage', `cannot read ${name}: ${messageOf(error)}`, { cause: error });
  }
}

async function firstLine(file: string, name: string, compression: Compression): Promise<string> {
  if (compression === 'zstd' && !('createZstdDecompress' in zlib)) {
    throw new CountersignError(
      'manifest-invalid',
      `${name} is compressed with zstd, which Node.js ${process.version} cannot read: use 22.15 or newer, or gzip`,
    );
  }
  const { raw, stream } = openStream(file, compression);
  const pieces: Buffer[] = [];
  let size = 0;
  try {
    for await (const chunk of stream) {
      const piece = Buffer.from(chunk);
      pieces.push(piece);
      size += piece.length;
      if (piece.includes(0x0a) || size > MAX_LINE_BYTES) break;
    }
  } catch (error) {
    // A list that is damaged at once has no line at all; otherwise reading it will come to the place.
    if (size === 0) {
      throw new CountersignError('manifest-invalid', `${name} cannot be read: ${messageOf(error)}`, {
        cause: error,
      });
    }
  } finally {
    raw.destroy();
  }
  const [line = ''] = Buffer.concat(pieces).subarray(0, MAX_LINE_BYTES).toString('utf8').split('\n', 1);
  if (line.trim() === '') throw new CountersignError('manifest-invalid', `${name} has no first line`);
  return line;
}

function openStream(
  file: string,
  compression: Compression,
): { raw: ReadStream; stream: AsyncIterable<Buffer> } {
  const raw = createReadStream(file, { highWaterMark: BLOCK_BYTES });
  if (compression === 'none') return { raw, stream: raw };
  const decompress = compression === 'gzip' ? zlib.createGunzip({ chunkSize: BLOCK_BYTES }) : createZstd();
  // The error reaches whoever iterates.
  pipeline(raw, decompress, () => undefined);
  return { raw, stream: decompress };
}

/** Newer than the oldest Node.js that is supported, and unknown to its types. */
interface MaybeZstd {
  readonly createZstdDecompress?: (options: object) => Readable & NodeJS.WritableStream;
}

function createZstd(): Readable & NodeJS.WritableStream {
  const stream = (zlib as MaybeZstd).createZstdDecompress?.({ chunkSize: BLOCK_BYTES });
  if (stream === undefined) throw new TypeError('no zstd');
  return stream;
}
