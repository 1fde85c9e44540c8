// A directory that is only read: nothing is made, locked or cleaned up in it, so that it may be on a disk without write
// access, or belong to another program. Links are followed: what is read is verified, wherever it lies.
import * as fs from 'node:fs';
import { join } from 'node:path';
import { CountersignError } from '../lib/errors.ts';
import { osCode, storeUnavailable } from './durable-file.ts';
import type { LargeObjects } from './large-objects.ts';
import { checkName } from './object-name.ts';
import type { ObjectInfo } from './store.ts';

/** Directories below each other; links may make a loop. */
const MAX_DEPTH = 64;

export class ReadDirectory implements Pick<LargeObjects, 'size' | 'read'> {
  readonly #root: string;

  private constructor(root: string) {
    this.#root = root;
  }

  /** @throws CountersignError `usage` when there is no such directory. */
  static async open(directory: string): Promise<ReadDirectory> {
    const info = await fs.promises.stat(directory).catch(() => undefined);
    if (info?.isDirectory() === true) return new ReadDirectory(directory);
    throw new CountersignError('usage', `there is no directory ${directory}`);
  }

  async size(name: string): Promise<number | undefined> {
    checkName(name);
    try {
      const info = await fs.promises.stat(join(this.#root, name));
      return info.isFile() ? info.size : undefined;
    } catch (error) {
      if (isAbsent(error)) return undefined;
      throw storeUnavailable('look at', name, error);
    }
  }

  async *read(name: string): AsyncGenerator<Uint8Array> {
    checkName(name);
    let file;
    try {
      // O_NONBLOCK: a FIFO under the name would keep a thread for ever.
      file = await fs.promises.open(join(this.#root, name), fs.constants.O_RDONLY | fs.constants.O_NONBLOCK);
      if (!(await file.stat()).isFile()) throw new Error('it is not a regular file');
      yield* file.createReadStream({ autoClose: false }) as AsyncIterable<Uint8Array>;
    } catch (error) {
      if (isAbsent(error)) throw new CountersignError('not-found', `${name} is not in the directory`);
      throw storeUnavailable('read', name, error);
    } finally {
      await file?.close();
    }
  }

  /** Regular files below `folder` ("" or with a final slash), but for names that begin with a period. */
  async *list(folder: string, depth = 0): AsyncGenerator<ObjectInfo> {
    if (depth > MAX_DEPTH) return;
    try {
      for await (const entry of await fs.promises.opendir(join(this.#root, folder), { bufferSize: 256 })) {
        if (entry.name.startsWith('.')) continue;
        const name = folder + entry.name;
        const info = entry.isDirectory()
          ? entry
          : await fs.promises.stat(join(this.#root, name)).catch(() => entry);
        if (info.isDirectory()) yield* this.list(`${name}/`, depth + 1);
        else if (info.isFile()) yield { name, size: 'size' in info ? info.size : 0 };
      }
    } catch (error) {
      if (!isAbsent(error)) throw storeUnavailable('list', folder, error);
    }
  }
}

function isAbsent(error: unknown): boolean {
  return ['ENOENT', 'ENOTDIR', 'ENAMETOOLONG'].includes(osCode(error) ?? '');
}
