// Verified files on disk, by their hash: bounded in bytes, the ones unused for longest go first. Nothing here is
// believed because it is here: a file is hashed again before each answer, and dropped when it is not what it was.
import { constants, type Stats } from 'node:fs';
import { mkdir, open, readdir, rename, rm, stat, utimes, type FileHandle } from 'node:fs/promises';
import path from 'node:path';
import { HashCheck, HASH_ALGORITHMS, type Hashes } from '../client/roles/file-reference.ts';
import { CountersignError, messageOf } from '../lib/errors.ts';
import { readChunk } from './transfer.ts';

/** Older work files are what a crash left; younger ones may belong to another process with the same cache. */
const ABANDONED_MS = 86_400_000;

export interface FileCacheOptions {
  readonly directory: string;
  /** Bytes of all files together. */
  readonly maxBytes: number;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
  readonly newId: () => string;
}

/** The name of a file in the cache; undefined when no hash of it is known. */
export function cacheName(hashes: Hashes): string | undefined {
  const algorithm = HASH_ALGORITHMS.find((it) => hashes.has(it));
  return algorithm && `${algorithm}-${hashes.get(algorithm) ?? ''}`;
}

export class FileCache {
  readonly #options: FileCacheOptions;
  /** Names to bytes; the one used last is at the end. */
  readonly #sizes = new Map<string, number>();
  #bytes = 0;

  private constructor(options: FileCacheOptions) {
    this.#options = options;
  }

  /** @throws CountersignError `store-unavailable`. */
  static async open(options: FileCacheOptions): Promise<FileCache> {
    const cache = new FileCache(options);
    try {
      await mkdir(path.join(options.directory, 'work'), { recursive: true });
      await cache.#removeAbandoned();
      const found = await cache.#list();
      for (const { name, size } of found.sort((a, b) => a.usedMs - b.usedMs)) cache.#note(name, size);
      await cache.#makeRoom(0);
    } catch (error) {
      throw unavailable('open', options.directory, error);
    }
    return cache;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /**
   * An open file with exactly this content, or undefined; the caller closes it.
   * @throws CountersignError `store-unavailable`.
   */
  async find(length: number, hashes: Hashes): Promise<FileHandle | undefined> {
    const name = cacheName(hashes);
    if (name === undefined) return undefined;
    const file = this.#file(name);
    let handle: FileHandle | undefined;
    try {
      handle = await open(file, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
      await checkContent(handle, name, length, hashes);
      const now = this.#options.now() / 1000;
      await utimes(file, now, now);
      this.#note(name, length);
      return handle;
    } catch (error) {
      await handle?.close();
      // This process has too many open: that says nothing about the file.
      if (isOf(error, 'EMFILE', 'ENFILE')) throw unavailable('read', file, error);
      // Absent, altered or unreadable: whatever it is, a fresh file takes its place.
      await this.#drop(name);
      return undefined;
    }
  }

  /**
   * An empty work file for a file of `length` bytes, after room was made for it.
   * @throws CountersignError `store-unavailable`.
   */
  async begin(length: number): Promise<{ readonly handle: FileHandle; readonly work: string }> {
    const work = path.join(this.#options.directory, 'work', this.#options.newId());
    try {
      // One that will not be kept takes the place of none.
      if (length <= this.#options.maxBytes) await this.#makeRoom(length);
      return { handle: await open(work, 'wx+', 0o600), work };
    } catch (error) {
      throw unavailable('write', work, error);
    }
  }

  /**
   * Gives a verified work file its name. A file that is larger than the whole cache is not kept.
   * @throws CountersignError `store-unavailable`.
   */
  async keep(work: string, length: number, hashes: Hashes): Promise<void> {
    const name = cacheName(hashes);
    try {
      if (name === undefined || length > this.#options.maxBytes) {
        await this.discard(work);
        return;
      }
      await mkdir(path.dirname(this.#file(name)), { recursive: true });
      await rename(work, this.#file(name));
      this.#note(name, length);
      await this.#makeRoom(0);
    } catch (error) {
      throw unavailable('write', work, error);
    }
  }

  /** Removes a work file. */
  async discard(work: string): Promise<void> {
    await rm(work, { force: true });
  }

  /** `files/ab/sha256-abcd…`: 256 folders, so that none holds a million names. */
  #file(name: string): string {
    const hash = name.slice(name.indexOf('-') + 1);
    return path.join(this.#options.directory, 'files', hash.slice(0, 2), name);
  }

  #note(name: string, size: number): void {
    this.#bytes += size - (this.#sizes.get(name) ?? 0);
    this.#sizes.delete(name);
    this.#sizes.set(name, size);
  }

  async #drop(name: string): Promise<void> {
    this.#bytes -= this.#sizes.get(name) ?? 0;
    this.#sizes.delete(name);
    await rm(this.#file(name), { force: true, recursive: true });
  }

  async #makeRoom(length: number): Promise<void> {
    for (const [name] of this.#sizes) {
      if (this.#bytes + length <= this.#options.maxBytes) break;
      await this.#drop(name);
    }
  }

  async #removeAbandoned(): Promise<void> {
    const folder = path.join(this.#options.directory, 'work');
    for (const name of await readdir(folder)) {
      const file = path.join(folder, name);
      const info = await statIfThere(file);
      if (info !== undefined && this.#options.now() - info.mtimeMs > ABANDONED_MS)
        await rm(file, { force: true });
    }
  }

  async #list(): Promise<{ name: string; size: number; usedMs: number }[]> {
    const root = path.join(this.#options.directory, 'files');
    await mkdir(root, { recursive: true });
    const found = [];
    for (const folder of await readdir(root, { withFileTypes: true })) {
      // What somebody else put there is none of ours: it is neither counted nor removed.
      if (!folder.isDirectory()) continue;
      for (const name of await readdir(path.join(root, folder.name))) {
        const file = path.join(root, folder.name, name);
        if (file !== this.#file(name)) continue;
        const info = await statIfThere(file);
        if (info !== undefined) found.push({ name, size: info.size, usedMs: info.mtimeMs });
      }
    }
    return found;
  }
}

/** Another process with the same cache may have moved or removed what was there a moment ago. */
async function statIfThere(file: string): Promise<Stats | undefined> {
  try {
    return await stat(file);
  } catch (error) {
    if (isOf(error, 'ENOENT')) return undefined;
    throw error;
  }
}

function isOf(error: unknown, ...codes: readonly string[]): boolean {
  return codes.includes((error as NodeJS.ErrnoException).code ?? '');
}

async function checkContent(handle: FileHandle, name: string, length: number, hashes: Hashes): Promise<void> {
  const { size } = await handle.stat();
  if (size !== length) throw new CountersignError('length-or-hash-mismatch', `${name} has ${size} bytes`);
  const check = new HashCheck(name, hashes);
  for (let at = 0; at < length;) {
    const chunk = await readChunk(handle, at, length);
    check.update(chunk);
    at += chunk.length;
  }
  check.finish();
}

function unavailable(action: string, file: string, error: unknown): CountersignError {
  if (error instanceof CountersignError) return error;
  return new CountersignError('store-unavailable', `cannot ${action} ${file}: ${messageOf(error)}`, {
    cause: error,
  });
}
