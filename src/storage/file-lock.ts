// One lock between all processes that use a directory: for sections that run to their end without waiting, or for as long
// as a process works in it.
//
// It is an SQLite transaction on an empty database: that is fcntl(2) underneath, which Node does not offer itself. The
// kernel gives the lock up when its holder dies, however it dies, so nothing is left to clean up and no lease can
// expire under a holder that was merely paused: a stopped process keeps the lock, and the others report it.
import { lstatSync } from 'node:fs';
import Database from 'libsql';
import { setTimeout as sleep } from 'node:timers/promises';
import { CountersignError, messageOf } from '../lib/errors.ts';

/** Longest time to wait for another process, milliseconds. A section takes less than one. */
const MAX_WAIT_MS = 2_000;
const FIRST_PAUSE_MS = 1;
const LONGEST_PAUSE_MS = 100;

export class FileLock {
  readonly #path: string;
  #database: Database.Database | undefined;

  /**
   * `path`: of the lock file. No one else may open it: closing it anywhere in the process would drop the lock;
   * nor remove it while a process uses it: the next one would lock another file.
   */
  constructor(path: string) {
    this.#path = path;
  }

  /**
   * Runs `section` while no other holder of this lock runs one, in this process or in another. `section` is
   * synchronous, so that the lock is never held over a wait.
   * @throws CountersignError `store-unavailable` when others have held it for two seconds; `section` did not run.
   */
  async run<T>(section: () => T): Promise<T> {
    let waitedMs = 0;
    for (let pauseMs = FIRST_PAUSE_MS; ; pauseMs = Math.min(pauseMs * 2, LONGEST_PAUSE_MS)) {
      const database = (this.#database ??= open(this.#path));
      if (begin(database)) {
        try {
          return section();
        } finally {
          database.exec('ROLLBACK');
        }
      }
      if (waitedMs >= MAX_WAIT_MS) {
        throw new CountersignError(
          'store-unavailable',
          `${this.#path} is locked by another process for more than ${MAX_WAIT_MS} ms`,
        );
      }
      await sleep(pauseMs);
      waitedMs += pauseMs;
    }
  }
}

/**
 * Takes the lock until the answered function is called, or the process ends; undefined while another holder has it.
 * `path`: as for `FileLock`.
 * @throws CountersignError `store-unavailable` when there can be no such file.
 */
export function holdLock(path: string): (() => void) | undefined {
  const database = open(path);
  const release = (): void => {
    database.close();
  };
  try {
    if (begin(database)) return release;
  } catch (error) {
    release();
    throw error;
  }
  release();
  return undefined;
}

function open(path: string): Database.Database {
  try {
    if (lstatSync(path, { throwIfNoEntry: false })?.isSymbolicLink() === true) {
      throw new Error('it is a symbolic link');
    }
    // No busy timeout: SQLite's own waiting would stop the event loop.
    return new Database(path, { timeout: 0 });
  } catch (error) {
    throw new CountersignError('store-unavailable', `cannot open ${path}: ${messageOf(error)}`, {
      cause: error,
    });
  }
}

function begin(database: Database.Database): boolean {
  try {
    // Nothing is ever written into it: a journal file for each section would be two names in the directory for nothing.
    // Said each time, because to say it once needs the lock too; it costs microseconds.
    database.exec('PRAGMA journal_mode = MEMORY; BEGIN EXCLUSIVE');
    return true;
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'SQLITE_BUSY') return false;
    throw new CountersignError('store-unavailable', `cannot lock ${database.name}: ${messageOf(error)}`, {
      cause: error,
    });
  }
}
