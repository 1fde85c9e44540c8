// Notices what other processes wrote to the same database file. SQLite tells nobody, but counts: the data version that
// a connection sees changes with every commit of another one, and asking for it costs microseconds.
import type { LedgerWatcher } from './ledger.ts';
import type { SqliteConnection, Statement } from './sqlite-connection.ts';

/** Milliseconds between two looks. */
const LOOK_MS = 100;

export class SqliteWatch {
  readonly #connection: SqliteConnection;
  readonly #watchers = new Set<LedgerWatcher>();
  readonly #dataVersion: Statement;
  #timer: NodeJS.Timeout | undefined;
  #seen = 0;

  constructor(connection: SqliteConnection) {
    this.#connection = connection;
    this.#dataVersion = connection.prepare('PRAGMA data_version');
  }

  add(watcher: LedgerWatcher): () => void {
    if (this.#watchers.size === 0) {
      this.#seen = this.#version();
      this.#timer = setInterval(() => {
        this.#look();
      }, LOOK_MS).unref();
    }
    this.#watchers.add(watcher);
    return () => {
      if (this.#watchers.delete(watcher) && this.#watchers.size === 0) this.end();
    };
  }

  end(): void {
    this.#watchers.clear();
    clearInterval(this.#timer);
  }

  #look(): void {
    const version = this.#version();
    if (version === this.#seen) return;
    this.#seen = version;
    for (const watcher of [...this.#watchers]) {
      watcher.appended();
      watcher.finished();
    }
  }

  /** The last known one when the file cannot be read: whoever uses the ledger finds out and says so. */
  #version(): number {
    try {
      const row = this.#connection.read(() => this.#dataVersion.get());
      return (row as { data_version: number }).data_version;
    } catch {
      return this.#seen;
    }
  }
}
