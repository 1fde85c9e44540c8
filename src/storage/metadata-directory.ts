// What a client trusts, in a local directory: `root.json`, `timestamp.json` and so on, one file a role. Nothing here is
// believed because it is here: the client verifies every file again when it reads it.
import * as fs from 'node:fs';
import path from 'node:path';
import { equalBytes } from '../lib/bytes.ts';
import { CountersignError, hasCode } from '../lib/errors.ts';
import { osCode, readWhole, storeUnavailable } from './durable-file.ts';
import { FileLock } from './file-lock.ts';

/** Bytes; above the length of anything that a client would have accepted. */
const MAX_FILE_BYTES = 50_000_000;

/** Written under the lock only, so that one name is enough and a crash leaves at most one such file behind. */
const WORK_NAME = '.next';

/** Implements the client's MetadataStore for several processes at once. */
export class MetadataDirectory {
  readonly #path: string;
  readonly #lock: FileLock;

  private constructor(directory: string) {
    this.#path = directory;
    this.#lock = new FileLock(path.join(directory, '.lock'));
  }

  /**
   * Opens a directory, made when it is absent.
   * @throws CountersignError `store-unavailable`.
   */
  static open(directory: string): MetadataDirectory {
    try {
      fs.mkdirSync(directory, { recursive: true });
    } catch (error) {
      throw storeUnavailable('make', directory, error);
    }
    return new MetadataDirectory(directory);
  }

  /** @throws CountersignError `store-unavailable`. A file that is too large to be metadata is as good as absent. */
  async read(name: string): Promise<Uint8Array | undefined> {
    try {
      return await readWhole(this.#file(name), MAX_FILE_BYTES);
    } catch (error) {
      if (hasCode(error, 'metadata-too-large')) return undefined;
      throw storeUnavailable('read', this.#file(name), error);
    }
  }

  /** @throws CountersignError `store-conflict`, `store-unavailable`. */
  async exchange(
    name: string,
    expected: Uint8Array | undefined,
    next: Uint8Array | undefined,
  ): Promise<void> {
    await this.#lock.run(() => {
      try {
        const current = readNow(this.#file(name));
        if (sameContent(current, next)) return;
        if (!sameContent(current, expected)) {
          throw new CountersignError(
            'store-conflict',
            `${this.#file(name)} was changed by another process during this update`,
          );
        }
        if (next === undefined) fs.rmSync(this.#file(name), { force: true });
        else this.#replace(name, next, 'durable');
        this.#syncNames();
      } catch (error) {
        throw storeUnavailable('write', this.#file(name), error);
      }
    });
  }

  /** @throws CountersignError `store-unavailable`. */
  async keep(name: string, bytes: Uint8Array): Promise<void> {
    await this.#lock.run(() => {
      try {
        this.#replace(name, bytes, 'sooner or later');
      } catch (error) {
        throw storeUnavailable('write', this.#file(name), error);
      }
    });
  }

  #file(name: string): string {
    return path.join(this.#path, name);
  }

  #replace(name: string, bytes: Uint8Array, onDisk: 'durable' | 'sooner or later'): void {
    const work = this.#file(WORK_NAME);
    const fd = createNow(work);
    try {
      fs.writeFileSync(fd, bytes);
      if (onDisk === 'durable') fs.fsyncSync(fd);
    } finally {
      fs.closeSync(fd);
    }
    fs.renameSync(work, this.#file(name));
  }

  #syncNames(): void {
    const fd = fs.openSync(this.#path, 'r');
    try {
      fs.fsyncSync(fd);
    } finally {
      fs.closeSync(fd);
    }
  }
}

/** As `read`, without waiting: a section under the lock must not. */
function readNow(file: string): Uint8Array | undefined {
  try {
    if (fs.lstatSync(file).size > MAX_FILE_BYTES) return undefined;
    return fs.readFileSync(file);
  } catch (error) {
    if (osCode(error) === 'ENOENT') return undefined;
    throw error;
  }
}

/** A new file. Whatever stands there, a link too, is what a crash left or somebody put: it is not written through. */
function createNow(file: string): number {
  try {
    return fs.openSync(file, 'wx', 0o644);
  } catch (error) {
    if (osCode(error) !== 'EEXIST') throw error;
    fs.unlinkSync(file);
    return fs.openSync(file, 'wx', 0o644);
  }
}

function sameContent(a: Uint8Array | undefined, b: Uint8Array | undefined): boolean {
  return a === undefined || b === undefined ? a === b : equalBytes(a, b);
}
