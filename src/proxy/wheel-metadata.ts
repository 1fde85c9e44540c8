// The METADATA file inside a wheel, for an upstream that keeps no copy of it beside the wheel (PEP 658 asks an index for
// one, and a copy of its targets has none): an installer that was promised it does not go on without it.
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { fromRandomAccessReaderPromise, RandomAccessReader } from 'yauzl';
import { CountersignError } from '../lib/errors.ts';
import type { OpenFile } from './verified-files.ts';

/** PEP 427: in the one directory of that kind at the top. */
const METADATA = /^[^/]+\.dist-info\/METADATA$/;

/** What yauzl reads an archive through. */
class ArchiveReader extends RandomAccessReader {
  readonly #file: OpenFile;

  constructor(file: OpenFile) {
    super();
    this.#file = file;
  }

  /** `end`: exclusive. */
  override _readStreamForRange(start: number, end: number): Readable {
    return Readable.from(this.#file.read(start, end - 1));
  }
}

/**
 * The METADATA file of at most `maxBytes`; undefined when `wheel` is no archive with one.
 * @throws CountersignError whatever keeps `wheel` from being read.
 */
export async function metadataOfWheel(wheel: OpenFile, maxBytes: number): Promise<Uint8Array | undefined> {
  try {
    const archive = await fromRandomAccessReaderPromise(new ArchiveReader(wheel), wheel.length, {
      autoClose: false,
    });
    for await (const entry of archive.eachEntry()) {
      if (!METADATA.test(entry.fileName)) continue;
      // An entry that unpacks to more than the archive says ends in an error.
      return entry.uncompressedSize > maxBytes
        ? undefined
        : await buffer(await archive.openReadStreamPromise(entry));
    }
    return undefined;
  } catch (error) {
    if (error instanceof CountersignError) throw error;
    return undefined;
  }
}
