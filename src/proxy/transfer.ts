// One file on its way: from upstream to disk, hashed as it comes, with any number of readers behind it. No reader gets
// the last bytes that it asked for before the whole file is right: a wheel's table of contents is at its end, so nobody
// can use what has come of a bad one, and no part of one is ever an answer that looks complete.
import type { FileHandle } from 'node:fs/promises';
import type { Fetcher } from '../client/fetcher.ts';
import { HashCheck, type Hashes } from '../client/roles/file-reference.ts';
import { placeOf } from '../client/roles/role-file.ts';
import { CountersignError, hasCode, messageOf } from '../lib/errors.ts';

/** Bytes that are held back. The end record of a zip archive and its comment have at most 65,557. */
export const HELD_BACK_BYTES = 256 * 1024;

/** Bytes that a reader takes at once. */
const CHUNK_BYTES = 256 * 1024;

/** A file that signed metadata describes, and where it is. */
export interface Wanted {
  readonly path: string;
  readonly url: string;
  /** Exact, bytes. */
  readonly length: number;
  readonly hashes: Hashes;
}

export class Transfer {
  readonly length: number;
  /** Resolves when the whole file is on disk and right; rejects with what is wrong. */
  readonly verified: Promise<void>;
  readonly #handle: FileHandle;
  /** Whoever may still read: the one who started the transfer, and every reader. */
  #holders = 1;
  #received = 0;
  #ended: 'right' | { readonly error: unknown } | undefined;
  #wake: (() => void)[] = [];

  /** `handle`: an empty file, open for writing and reading; closed when the last holder has let go. */
  constructor(wanted: Wanted, fetcher: Fetcher, handle: FileHandle) {
    this.length = wanted.length;
    this.#handle = handle;
    this.verified = this.#run(wanted, fetcher);
    // Whoever waits is told; without anybody it is no unhandled rejection.
    this.verified.catch(() => undefined);
  }

  /**
   * The bytes from `start` to `end`, inclusive, as they come; for a holder.
   * @throws what `verified` rejects with, before the last bytes were given away.
   */
  async *read(start = 0, end = this.length - 1): AsyncGenerator<Uint8Array> {
    for (let at = start; at <= end;) {
      const ready = Math.min(await this.#readyBeyond(at, end), end + 1);
      const chunk = await readChunk(this.#handle, at, ready);
      at += chunk.length;
      yield chunk;
    }
  }

  /** For another reader; false when the last holder has let go already. */
  hold(): boolean {
    if (this.#holders === 0) return false;
    this.#holders += 1;
    return true;
  }

  async release(): Promise<void> {
    this.#holders -= 1;
    if (this.#holders === 0) await this.#handle.close();
  }

  /** How many bytes from the beginning may be read, more than `at`, by who wants them up to `end`. */
  async #readyBeyond(at: number, end: number): Promise<number> {
    for (;;) {
      if (this.#ended === 'right') return this.length;
      if (this.#ended !== undefined) throw this.#ended.error;
      const ready = Math.min(this.#received, end + 1 - HELD_BACK_BYTES);
      if (ready > at) return ready;
      await new Promise<void>((resolve) => this.#wake.push(resolve));
    }
  }

  async #run(wanted: Wanted, fetcher: Fetcher): Promise<void> {
    try {
      await this.#receive(wanted, fetcher);
      this.#ended = 'right';
    } catch (error) {
      this.#ended = { error };
      throw error;
    } finally {
      this.#notify();
    }
  }

  async #receive({ path, url, length, hashes }: Wanted, fetcher: Fetcher): Promise<void> {
    const what = nameFor(path);
    const check = new HashCheck(what, hashes);
    const body = await fetcher.get(url, length).catch((error: unknown) => {
      if (hasCode(error, 'metadata-too-large')) throw wrongLength(what, `more than ${length}`, length);
      throw error;
    });
    if (body === undefined) throw new CountersignError('not-found', `${url} does not exist`);
    for await (const chunk of body) {
      // TUF 5.7.3: "up to the number of bytes specified": endless data attack.
      if (this.#received + chunk.length > length) throw wrongLength(what, `more than ${length}`, length);
      check.update(chunk);
      await this.#write(chunk);
      this.#received += chunk.length;
      this.#notify();
    }
    if (this.#received !== length) throw wrongLength(what, String(this.#received), length);
    check.finish();
  }

  /** A full disk is a fault of this side, and is said to whoever waits for the file. */
  async #write(chunk: Uint8Array): Promise<void> {
    try {
      await this.#handle.writeFile(chunk);
    } catch (error) {
      throw new CountersignError('store-unavailable', `cannot write into the cache: ${messageOf(error)}`, {
        cause: error,
      });
    }
  }

  #notify(): void {
    const waiting = this.#wake;
    this.#wake = [];
    for (const wake of waiting) wake();
  }
}

/**
 * Up to CHUNK_BYTES of a file, from `at` and below `end`.
 * @throws CountersignError `store-unavailable` when the file ends before.
 */
export async function readChunk(handle: FileHandle, at: number, end: number): Promise<Uint8Array> {
  const buffer = Buffer.allocUnsafe(Math.min(CHUNK_BYTES, end - at));
  const { bytesRead } = await handle.read(buffer, 0, buffer.length, at);
  if (bytesRead === 0) throw new CountersignError('store-unavailable', 'a file in the cache was cut off');
  return buffer.subarray(0, bytesRead);
}

/** What people call it. */
function nameFor(path: string): string {
  const [, project] = /^simple\/([a-z0-9.-]{1,128})\/index\.(?:json|html)$/.exec(path) ?? [];
  return project === undefined ? placeOf(path.split('/').at(-1) ?? path) : `the page of ${project}`;
}

function wrongLength(what: string, actual: string, length: number): CountersignError {
  return new CountersignError(
    'length-or-hash-mismatch',
    `${what} has ${actual} bytes, signed metadata says ${length}`,
  );
}
