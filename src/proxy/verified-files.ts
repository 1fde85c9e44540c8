// Files that signed metadata describes, from the cache or from upstream: each is fetched once, however many ask for it,
// and what was refused a moment ago is refused again at once, so that an installer that tries again is told why.
import type { FileHandle } from 'node:fs/promises';
import type { Fetcher } from '../client/fetcher.ts';
import type { Clock } from '../lib/clock.ts';
import { Lanes } from '../lib/concurrency.ts';
import { hasCode, type CountersignError } from '../lib/errors.ts';
import { cacheName, type FileCache } from './file-cache.ts';
import type { FileOrigin } from './proxy-metrics.ts';
import { readChunk, Transfer, type Wanted } from './transfer.ts';

/** Milliseconds in which a download may end before it is answered: then whoever asked gets a status, not a broken body. */
const ANSWER_MS = 3000;

/** For how long a file that was refused is not asked for again, milliseconds. */
const REFUSED_MS = 30_000;
const REMEMBERED_REFUSALS = 1000;

/** Downloads from upstream at once; the others wait in line for as long as whoever asked does. */
const MAX_TRANSFERS = 64;

/** A file whose content is right, or will have been when its last bytes are read. */
export interface OpenFile {
  readonly length: number;
  /** The bytes from `start` to `end`, inclusive. */
  read(start: number, end: number): AsyncGenerator<Uint8Array>;
  /** Always, once: whoever opened it closes it. */
  close(): Promise<void>;
}

export interface VerifiedFilesDeps {
  readonly cache: FileCache;
  readonly fetcher: Fetcher;
  readonly clock: Clock;
  readonly answered: (origin: FileOrigin) => void;
}

export class VerifiedFiles {
  readonly #deps: VerifiedFilesDeps;
  readonly #transfers = new Map<string, Promise<Transfer>>();
  readonly #lanes = new Lanes(MAX_TRANSFERS);
  readonly #refused = new Map<string, { readonly error: CountersignError; readonly until: number }>();

  constructor(deps: VerifiedFilesDeps) {
    this.#deps = deps;
  }

  /**
   * @throws CountersignError `length-or-hash-mismatch`, `not-found`, `metadata-invalid`; `store-unavailable`.
   */
  async open(wanted: Wanted): Promise<OpenFile> {
    const { cache, answered, clock } = this.#deps;
    const cached = await cache.find(wanted.length, wanted.hashes);
    if (cached !== undefined) {
      answered('cache');
      return ofHandle(cached, wanted.length);
    }
    const key = `${cacheName(wanted.hashes) ?? ''} ${wanted.url}`;
    this.#refuseAgain(key);
    const transfer = await this.#transfer(key, wanted);
    // It has just ended: by now it is in the cache, or refused.
    if (!transfer.hold()) return this.open(wanted);
    const patience = new AbortController();
    try {
      await Promise.race([transfer.verified, clock.sleep(ANSWER_MS, patience.signal)]);
      answered('upstream');
      return ofTransfer(transfer);
    } catch (error) {
      await transfer.release();
      throw error;
    } finally {
      patience.abort();
    }
  }

  /** The whole of a small file. */
  async readAll(wanted: Wanted): Promise<Uint8Array> {
    const file = await this.open(wanted);
    try {
      const chunks: Uint8Array[] = [];
      for await (const chunk of file.read(0, wanted.length - 1)) chunks.push(chunk);
      return Buffer.concat(chunks, wanted.length);
    } finally {
      await file.close();
    }
  }

  #refuseAgain(key: string): void {
    const refusal = this.#refused.get(key);
    if (refusal === undefined) return;
    const left = refusal.until - this.#deps.clock.now();
    if (left > 0 && left <= REFUSED_MS) throw refusal.error;
    this.#refused.delete(key);
  }

  #transfer(key: string, wanted: Wanted): Promise<Transfer> {
    const running = this.#transfers.get(key);
    if (running !== undefined) return running;
    const started = this.#start(key, wanted);
    this.#transfers.set(key, started);
    started.catch(() => this.#transfers.delete(key));
    return started;
  }

  /** Resolves when its turn has come and the download runs; the turn ends with the download. */
  #start(key: string, wanted: Wanted): Promise<Transfer> {
    const { cache, fetcher } = this.#deps;
    return new Promise((resolve, reject) => {
      const download = this.#lanes.run(async () => {
        const { handle, work } = await cache.begin(wanted.length);
        const transfer = new Transfer(wanted, fetcher, handle);
        resolve(transfer);
        try {
          await this.#settle(key, wanted, transfer, work);
        } finally {
          // From here on nobody can find it: it is in the cache, or refused.
          this.#transfers.delete(key);
          await transfer.release();
        }
      });
      // What happens after it was handed over is told by the transfer itself.
      download.catch(reject);
    });
  }

  /** The file into the cache, or its refusal into memory. */
  async #settle(key: string, wanted: Wanted, transfer: Transfer, work: string): Promise<void> {
    const { cache } = this.#deps;
    try {
      await transfer.verified;
    } catch (error) {
      this.#remember(key, error);
      await cache.discard(work);
      return;
    }
    // A cache that cannot keep a file has answered with it all the same.
    await cache.keep(work, wanted.length, wanted.hashes);
  }

  #remember(key: string, error: unknown): void {
    if (!hasCode(error, 'length-or-hash-mismatch')) return;
    const [oldest] = this.#refused.keys();
    if (oldest !== undefined && this.#refused.size >= REMEMBERED_REFUSALS) this.#refused.delete(oldest);
    this.#refused.set(key, { error, until: this.#deps.clock.now() + REFUSED_MS });
  }
}

function ofTransfer(transfer: Transfer): OpenFile {
  return {
    length: transfer.length,
    read: (start, end) => transfer.read(start, end),
    close: () => transfer.release(),
  };
}

function ofHandle(handle: FileHandle, length: number): OpenFile {
  return {
    length,
    read: async function* (start, end) {
      for (let at = start; at <= end;) {
        const chunk = await readChunk(handle, at, end + 1);
        at += chunk.length;
        yield chunk;
      }
    },
    close: () => handle.close(),
  };
}
