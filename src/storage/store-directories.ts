// The directories of a store on disk: made when they are needed, their names durable, none of them a way out.
import * as fs from 'node:fs';
import { promisify } from 'node:util';
import { dirname, join } from 'node:path';
import { CountersignError } from '../lib/errors.ts';
import { DirectorySync, osCode } from './durable-file.ts';

const lstat = promisify(fs.lstat);
const mkdir = promisify(fs.mkdir);

/** Directories whose state is kept in memory. The metadata need one; target files may need many. */
const MAX_KNOWN_DIRECTORIES = 4_096;

export class StoreDirectories {
  readonly #root: string;
  /** Directories that were checked and whose own names are durable. */
  readonly #durable = new Map<string, DirectorySync>();
  /** Directories that were checked. */
  readonly #checked = new Set<string>();

  /** `root` exists and is no symbolic link. */
  constructor(root: string) {
    this.#root = root;
  }

  /**
   * A directory of the store, made when there is none, its own name durable. None of its parts is a symbolic link out
   * of the store at the time of first use; whoever can exchange directories later can write to the store anyway.
   */
  async make(relative: string): Promise<DirectorySync> {
    const known = this.#durable.get(relative);
    if (known !== undefined) return known;
    if (relative !== '.') {
      const parent = await this.make(dirname(relative));
      try {
        await mkdir(join(this.#root, relative));
      } catch (error) {
        if (osCode(error) !== 'EEXIST') throw error;
      }
      await this.#check(relative);
      // Also when it existed: whoever made it may have been killed before this step.
      await parent.sync();
    }
    return this.#remember(relative);
  }

  /** Whether the directory exists; what `make` says about symbolic links holds here too. */
  async exists(relative: string): Promise<boolean> {
    if (relative === '.' || this.#checked.has(relative)) return true;
    if (!(await this.exists(dirname(relative)))) return false;
    try {
      await this.#check(relative);
      return true;
    } catch (error) {
      if (osCode(error) === 'ENOENT') return false;
      throw error;
    }
  }

  /** A directory that was removed meanwhile is made again by the next call. */
  forgetAfter(error: unknown): void {
    if (osCode(error) === 'ENOENT') this.forget();
  }

  forget(): void {
    this.#durable.clear();
    this.#checked.clear();
  }

  async #check(relative: string): Promise<void> {
    if (!(await lstat(join(this.#root, relative))).isDirectory()) {
      throw new CountersignError('store-unavailable', `${relative} in the store is not a directory`);
    }
    if (this.#checked.size >= MAX_KNOWN_DIRECTORIES) this.#checked.clear();
    this.#checked.add(relative);
  }

  #remember(relative: string): DirectorySync {
    if (this.#durable.size >= MAX_KNOWN_DIRECTORIES) this.#durable.clear();
    // Two first uses at once must end up with one object: its fsyncs are shared.
    const directory = this.#durable.get(relative) ?? new DirectorySync(join(this.#root, relative));
    this.#durable.set(relative, directory);
    return directory;
  }
}
