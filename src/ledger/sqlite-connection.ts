// One SQLite database file, opened so that what is committed survives a power cut. Everything SQLite reports leaves
// here as a CountersignError that names the file.
import { closeSync, fsyncSync, openSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import Database from 'libsql';
import { systemClock } from '../lib/clock.ts';
import { CountersignError, messageOf } from '../lib/errors.ts';

/** How long a statement waits for another process's transaction, milliseconds; the event loop stands still. */
const BUSY_TIMEOUT_MS = 5_000;
/** Changing to WAL does not wait for a lock as statements do: attempts, and the pause between two, milliseconds. */
const OPEN_ATTEMPTS = 100;
const OPEN_PAUSE_MS = 20;

export type SqlValue = string | number | null;

export interface Statement {
  run(...values: SqlValue[]): { readonly changes: number; readonly lastInsertRowid: number | bigint };
  get(...values: SqlValue[]): unknown;
  all(...values: SqlValue[]): unknown[];
}

export class SqliteConnection {
  readonly path: string;
  readonly #database: Database.Database;
  readonly #begin: Statement;
  readonly #beginImmediate: Statement;
  readonly #commit: Statement;
  #open = true;

  private constructor(path: string, database: Database.Database) {
    this.path = path;
    this.#database = database;
    this.#begin = this.prepare('BEGIN');
    this.#beginImmediate = this.prepare('BEGIN IMMEDIATE');
    this.#commit = this.prepare('COMMIT');
  }

  /**
   * Opens the file, creating it with mode 0600, and lets `prepare` bring its schema up to date before anything else
   * happens; `:memory:` is a database of its own. `prepare` may run more than once.
   * @throws CountersignError `ledger-unavailable` when the file cannot be opened or cannot be made durable,
   *   `ledger-invalid` when it is not a database; what `prepare` throws.
   */
  static async open(
    path: string,
    prepare: (connection: SqliteConnection) => void,
  ): Promise<SqliteConnection> {
    for (let attempt = 1; ; attempt++) {
      try {
        if (path !== ':memory:') createFile(path);
        return openOnce(path, (database) => new SqliteConnection(path, database), prepare);
      } catch (error) {
        if (attempt === OPEN_ATTEMPTS || !isBusy(error)) throw describe(path, error, 'ledger-unavailable');
        await systemClock.sleep(OPEN_PAUSE_MS);
      }
    }
  }

  /** A statement that is compiled once. */
  prepare(sql: string): Statement {
    return this.#database.prepare(sql);
  }

  /** Runs statements that have no parameters and no result. */
  execute(sql: string): void {
    this.#database.exec(sql);
  }

  /** Runs `work` in a transaction that holds the write lock from its beginning; on return it is on disk. */
  write<T>(work: () => T): T {
    return this.#transaction(this.#beginImmediate, work);
  }

  /** Runs `work` on one state of the database, whatever other processes commit meanwhile. */
  read<T>(work: () => T): T {
    return this.#transaction(this.#begin, work);
  }

  /** Further use is `ledger-unavailable`. */
  close(): void {
    if (!this.#open) return;
    this.#open = false;
    try {
      // The driver lets go of the file only when its statements are collected, so SQLite's own checkpoint at the last
      // close may not happen: without this one, a copy of the file alone would miss the newest commits.
      this.#database.exec('PRAGMA busy_timeout = 0');
      this.#database.prepare('PRAGMA wal_checkpoint(TRUNCATE)').all();
    } catch {
      // Somebody else is reading or writing: the log beside the file stays, and nothing is lost.
    }
    this.#database.close();
  }

  #transaction<T>(begin: Statement, work: () => T): T {
    if (!this.#open) throw new CountersignError('ledger-unavailable', `ledger ${this.path} is closed`);
    try {
      begin.run();
      const result = work();
      this.#commit.run();
      return result;
    } catch (error) {
      this.#rollBack();
      throw describe(this.path, error, 'internal');
    }
  }

  #rollBack(): void {
    try {
      // SQLite has ended the transaction itself after some failures (a full disk, an I/O error).
      if (this.#database.inTransaction) this.#database.exec('ROLLBACK');
    } catch {
      // The first error is the one to report; the next BEGIN fails if this connection is beyond use.
    }
  }
}

function openOnce(
  path: string,
  connect: (database: Database.Database) => SqliteConnection,
  prepare: (connection: SqliteConnection) => void,
): SqliteConnection {
  const database = new Database(path, { timeout: BUSY_TIMEOUT_MS });
  try {
    configure(path, database);
    const connection = connect(database);
    prepare(connection);
    return connection;
  } catch (error) {
    database.close();
    throw error;
  }
}

function configure(path: string, database: Database.Database): void {
  const pragma = (name: string, assignment = ''): unknown =>
    (database.prepare(`PRAGMA ${name} ${assignment}`).get() as Record<string, unknown>)[name];
  database.exec(`PRAGMA busy_timeout = ${BUSY_TIMEOUT_MS}; PRAGMA foreign_keys = ON`);
  const journal = pragma('journal_mode', '= WAL');
  database.exec('PRAGMA synchronous = FULL');
  const synchronous = pragma('synchronous');
  if (path === ':memory:') return;
  // In WAL mode anything below FULL may lose the last commits at a power cut: 202 would have been a lie.
  if (journal !== 'wal' || synchronous !== 2) {
    throw new CountersignError(
      'ledger-unavailable',
      `ledger ${path} has journal mode ${String(journal)} and synchronous ${String(synchronous)}, not wal and 2 (FULL): ` +
        'put it on a local file system',
    );
  }
}

/** Makes sure that the file exists, private from its first moment, and that its name survives a power cut. */
function createFile(path: string): void {
  let file: number;
  try {
    file = openSync(path, 'ax', 0o600);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return;
    throw error;
  }
  closeSync(file);
  const directory = openSync(dirname(resolve(path)), 'r');
  try {
    fsyncSync(directory);
  } finally {
    closeSync(directory);
  }
}

function isBusy(error: unknown): boolean {
  return error instanceof Database.SqliteError && error.code.startsWith('SQLITE_BUSY');
}

function describe(path: string, error: unknown, otherwise: 'ledger-unavailable' | 'internal'): unknown {
  if (error instanceof CountersignError) return error;
  if (!(error instanceof Database.SqliteError)) {
    if (otherwise === 'internal') return error;
    return new CountersignError(otherwise, `ledger ${path}: ${messageOf(error)}`, { cause: error });
  }
  const message = `ledger ${path}: ${error.message} (${error.code})`;
  // Neither a retry nor disk space helps when the bytes are not a database, or when a row breaks a constraint.
  if (/^SQLITE_(NOTADB|CORRUPT|FORMAT)/.test(error.code)) {
    return new CountersignError('ledger-invalid', message, { cause: error });
  }
  if (/^SQLITE_(CONSTRAINT|MISMATCH|MISUSE|RANGE)/.test(error.code)) {
    return new CountersignError('internal', message, { cause: error });
  }
  return new CountersignError('ledger-unavailable', message, { cause: error });
}
