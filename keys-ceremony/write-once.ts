// Where a ceremony's results go: a folder of its own, readable by its owner only, in which no file is ever written
// twice. Everything is checked before the first key exists: a ceremony that cannot keep its keys must not make them.
import { chmod, mkdir, open, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { sha256Hex } from '../src/lib/bytes.ts';
import { CountersignError } from '../src/lib/errors.ts';
import { unwritable } from './write-file.ts';

/** Owner only: private keys and passphrases. */
export const SECRET_MODE = 0o600;
/** For everybody: what is signed and what is configured. */
export const PUBLIC_MODE = 0o644;
const FOLDER_MODE = 0o700;

export interface WrittenFile {
  /** Relative to the folder. */
  readonly name: string;
  readonly secret: boolean;
  /** Of public files only. */
  readonly sha256?: string;
}

export class OutputFolder {
  readonly path: string;
  readonly #written: WrittenFile[] = [];

  private constructor(path: string) {
    this.path = path;
  }

  /**
   * Makes the folder, or takes one that is empty.
   * @throws CountersignError `file-exists` when it holds anything; `usage` when it cannot be made.
   */
  static async create(path: string): Promise<OutputFolder> {
    try {
      await mkdir(path, { recursive: true, mode: FOLDER_MODE });
      const [found] = await readdir(path);
      if (found !== undefined) {
        throw new CountersignError(
          'file-exists',
          `folder ${path} holds ${found} already, a ceremony needs a new or empty folder`,
        );
      }
      await chmod(path, FOLDER_MODE);
    } catch (error) {
      throw asRefusal(error, path);
    }
    return new OutputFolder(path);
  }

  /** What was written so far, in that order. */
  get written(): readonly WrittenFile[] {
    return this.#written;
  }

  /** Makes a folder inside, readable by its owner only. */
  async folder(name: string): Promise<void> {
    try {
      await mkdir(join(this.path, name), { recursive: true, mode: FOLDER_MODE });
    } catch (error) {
      throw asRefusal(error, join(this.path, name));
    }
  }

  /** Makes the names of all files in the folder itself durable. */
  async sync(): Promise<void> {
    const folder = await open(this.path, 'r');
    try {
      await folder.sync();
    } finally {
      await folder.close();
    }
  }

  /**
   * Creates a file; its content is on the disk when this resolves.
   * @throws CountersignError `file-exists`, `file-unwritable`.
   */
  async write(name: string, content: Uint8Array | string, mode: number): Promise<void> {
    const path = join(this.path, name);
    try {
      const file = await open(path, 'wx', mode);
      try {
        await file.writeFile(content);
        await file.sync();
      } finally {
        await file.close();
      }
    } catch (error) {
      throw asRefusal(error, path);
    }
    const secret = mode === SECRET_MODE;
    this.#written.push({ name, secret, ...(secret ? {} : { sha256: sha256Hex(content) }) });
  }
}

function asRefusal(error: unknown, path: string): CountersignError {
  if (error instanceof CountersignError) return error;
  if ((error as NodeJS.ErrnoException).code === 'EEXIST') {
    return new CountersignError('file-exists', `${path} exists already`, { cause: error });
  }
  return unwritable(path, error);
}
