// Large objects in a directory, beside those of file-store.ts: written under a name of their own in `.staging`, renamed
// when they are whole. A name that exists is replaced: the old content or the new one is there at every moment.
import * as fs from 'node:fs';
import { dirname, join } from 'node:path';
import { CountersignError } from '../lib/errors.ts';
import { osCode, storeUnavailable, type DirectorySync } from './durable-file.ts';
import { storeRoot } from './file-store.ts';
import type { LargeObjects } from './large-objects.ts';
import { checkName } from './object-name.ts';
import { Staging } from './staging.ts';
import { StoreDirectories } from './store-directories.ts';

/** Objects are public and never change; the process's umask may take more away. */
const OBJECT_MODE = 0o444;

/** How often a directory is made again that another call removed because it was empty. */
const RENAME_ATTEMPTS = 5;

/**
 * Opens the large objects in `dir`, which is created when it does not exist.
 * @throws CountersignError `store-unavailable` when the directory cannot be used.
 */
export async function openFileLargeObjects(dir: string): Promise<LargeObjects> {
  try {
    const root = await storeRoot(dir);
    return new FileLargeObjects(root, Staging.open(root));
  } catch (error) {
    throw storeUnavailable('open the store', dir, error);
  }
}

class FileLargeObjects implements LargeObjects {
  readonly #root: string;
  readonly #staging: Staging;
  readonly #directories: StoreDirectories;

  constructor(root: string, staging: Staging) {
    this.#root = root;
    this.#staging = staging;
    this.#directories = new StoreDirectories(root);
  }

  async size(name: string): Promise<number | undefined> {
    checkName(name);
    try {
      const info = await fs.promises.lstat(join(this.#root, name));
      // A link or a directory under the name is none of ours: it is written over, or refuses to be.
      return info.isFile() ? info.size : undefined;
    } catch (error) {
      if (isAbsent(error)) return undefined;
      throw storeUnavailable('look at', name, error);
    }
  }

  async *read(name: string): AsyncGenerator<Uint8Array> {
    checkName(name);
    const { O_RDONLY, O_NOFOLLOW, O_NONBLOCK } = fs.constants;
    try {
      if (!(await this.#directories.exists(dirname(name)))) throw absent(name);
      const file = await fs.promises.open(join(this.#root, name), O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
      try {
        if (!(await file.stat()).isFile()) throw new Error('it is not a regular file');
        yield* file.createReadStream({ autoClose: false }) as AsyncIterable<Uint8Array>;
      } finally {
        await file.close();
      }
    } catch (error) {
      if (isAbsent(error)) throw absent(name);
      throw storeUnavailable('read', name, error);
    }
  }

  async write(name: string, length: number, body: AsyncIterable<Uint8Array>): Promise<void> {
    checkName(name);
    const staged = this.#staging.nextPath();
    try {
      // Before a byte is asked for: a name that cannot be written costs nobody a transfer.
      await this.#directories.make(dirname(name));
      const written = await writeStaged(staged, body);
      if (written !== length) {
        throw new CountersignError(
          'internal',
          `${name} was to have ${length} bytes, its body has ${written}`,
        );
      }
      await (await this.#rename(staged, name)).sync();
    } catch (error) {
      fs.rmSync(staged, { force: true });
      this.#directories.forgetAfter(error);
      const failure = storeUnavailable('write', name, error);
      const problem = failure.code === 'store-unavailable' ? await this.#conflict(name) : undefined;
      throw problem === undefined ? failure : new CountersignError('path-forbidden', `${name} ${problem}`);
    }
  }

  async remove(name: string): Promise<void> {
    checkName(name);
    try {
      if (!(await this.#directories.exists(dirname(name)))) return;
      await fs.promises.unlink(join(this.#root, name));
      await this.#removeEmpty(dirname(name));
    } catch (error) {
      if (isAbsent(error) || (await this.#conflict(name)) !== undefined) return;
      throw storeUnavailable('remove', name, error);
    }
  }

  /** Why a directory cannot hold an object of this name beside those that are there; undefined when it can. */
  async #conflict(name: string): Promise<string | undefined> {
    if ((await this.#stats(name))?.isDirectory() === true) return 'is a directory, in which there are others';
    for (let at = dirname(name); at !== '.'; at = dirname(at)) {
      if ((await this.#stats(at))?.isFile() === true)
        return `needs a directory where there is the file ${at}`;
    }
    return undefined;
  }

  #stats(name: string): Promise<fs.Stats | undefined> {
    return fs.promises.lstat(join(this.#root, name)).catch(() => undefined);
  }

  async #rename(staged: string, name: string): Promise<DirectorySync> {
    for (let attempt = 1; ; attempt++) {
      const directory = await this.#directories.make(dirname(name));
      try {
        await fs.promises.rename(staged, join(this.#root, name));
        return directory;
      } catch (error) {
        if (osCode(error) !== 'ENOENT' || attempt === RENAME_ATTEMPTS) throw error;
        this.#directories.forget();
      }
    }
  }

  /** An index with a directory for each file would leave millions of empty ones behind. */
  async #removeEmpty(relative: string): Promise<void> {
    for (let at = relative; dirname(at) !== '.' && at !== '.'; at = dirname(at)) {
      try {
        await fs.promises.rmdir(join(this.#root, at));
      } catch (error) {
        if (['ENOTEMPTY', 'EEXIST', 'ENOENT'].includes(osCode(error) ?? '')) return;
        throw error;
      }
      this.#directories.forget();
    }
  }
}

/** Bytes written; all of them on the disk. */
async function writeStaged(path: string, body: AsyncIterable<Uint8Array>): Promise<number> {
  const { O_WRONLY, O_CREAT, O_EXCL, O_NOFOLLOW } = fs.constants;
  const file = await fs.promises.open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, OBJECT_MODE);
  try {
    let written = 0;
    for await (const chunk of body) {
      await file.writeFile(chunk);
      written += chunk.length;
    }
    await file.sync();
    return written;
  } finally {
    await file.close();
  }
}

function isAbsent(error: unknown): boolean {
  return ['ENOENT', 'ENOTDIR'].includes(osCode(error) ?? '');
}

function absent(name: string): CountersignError {
  return new CountersignError('not-found', `${name} is not in the store`);
}
