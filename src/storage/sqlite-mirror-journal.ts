// The journal of a mirror in an SQLite file, and a lock beside it: held for as long as the process lives, and given up by
// the kernel with the process, however that ends. Losing the newest lines in a power cut costs
// nothing but work: what they said is then verified again.
import { mkdirSync } from 'node:fs';
import { dirname } from 'node:path';
import Database from 'libsql';
import { CountersignError, messageOf } from '../lib/errors.ts';
import { osCode } from './durable-file.ts';
import type { HeldRole, JournalEntry, MirrorJournal, Shown } from './mirror-journal.ts';

const SCHEMA = `
CREATE TABLE IF NOT EXISTS roles (
  role TEXT PRIMARY KEY, version INTEGER NOT NULL, sha256 TEXT NOT NULL, stamp TEXT, trust TEXT NOT NULL,
  scope TEXT NOT NULL, selection INTEGER NOT NULL, delegates INTEGER NOT NULL, taken_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
-- since: milliseconds since the epoch; NULL until the timestamp that supersedes the object is public.
CREATE TABLE IF NOT EXISTS superseded (name TEXT PRIMARY KEY, since INTEGER) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS superseded_since ON superseded (since);
CREATE TABLE IF NOT EXISTS selections (number INTEGER PRIMARY KEY, text TEXT NOT NULL UNIQUE) STRICT;
CREATE TABLE IF NOT EXISTS shown (one INTEGER PRIMARY KEY CHECK (one = 1), timestamp TEXT NOT NULL, snapshot TEXT NOT NULL) STRICT;
`;

/** Of this schema, in SQLite's user_version. */
const SCHEMA_VERSION = 2;

export class SqliteMirrorJournal implements MirrorJournal {
  readonly #database: Database.Database;
  /** In a transaction for as long as the journal is open. */
  readonly #lock: Database.Database;
  readonly #statements;

  private constructor(database: Database.Database, lock: Database.Database) {
    this.#database = database;
    this.#lock = lock;
    const prepare = (sql: string): Database.Statement => database.prepare(sql);
    this.#statements = {
      roles: prepare('SELECT * FROM roles'),
      hold: prepare(
        'INSERT INTO roles VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (role) DO UPDATE SET version = excluded.version, sha256 = excluded.sha256, stamp = excluded.stamp, trust = excluded.trust, scope = excluded.scope, selection = excluded.selection, delegates = excluded.delegates, taken_at = excluded.taken_at',
      ),
      drop: prepare('DELETE FROM roles WHERE role = ?'),
      supersede: prepare('INSERT INTO superseded VALUES (?, NULL) ON CONFLICT (name) DO NOTHING'),
      need: prepare('DELETE FROM superseded WHERE name = ?'),
      date: prepare('UPDATE superseded SET since = ? WHERE since IS NULL'),
      due: prepare('SELECT name FROM superseded WHERE since < ? ORDER BY since LIMIT ?'),
      shown: prepare('SELECT timestamp, snapshot FROM shown'),
      show: prepare(
        'INSERT INTO shown VALUES (1, ?, ?) ON CONFLICT (one) DO UPDATE SET timestamp = excluded.timestamp, snapshot = excluded.snapshot',
      ),
      number: prepare('SELECT number FROM selections WHERE text = ?'),
      addText: prepare('INSERT INTO selections (text) VALUES (?)'),
      text: prepare('SELECT text FROM selections WHERE number = ?'),
    };
  }

  /**
   * Opens the journal, made with its directory when it is absent, and holds it until `close`.
   * @throws CountersignError `mirror-locked` when another process holds it, `mirror-state-invalid`, `store-unavailable`.
   */
  static open(file: string): SqliteMirrorJournal {
    let lock: Database.Database | undefined;
    try {
      mkdirSync(dirname(file), { recursive: true });
      lock = new Database(`${file}.lock`, { timeout: 0 });
      // An empty database: fcntl(2) underneath, which Node does not offer itself (file-lock.ts).
      lock.exec('BEGIN EXCLUSIVE');
      const database = new Database(file, { timeout: 0 });
      database.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL');
      const [row] = database.prepare('PRAGMA user_version').all() as { user_version: number }[];
      const version = row?.user_version ?? 0;
      if (version > SCHEMA_VERSION) throw new Error(`it was written by a newer countersign (${version})`);
      // Version 1 knew nothing of scopes: what it held is verified anew.
      const former = version === 1 ? 'DROP TABLE roles;' : '';
      database.exec(`BEGIN; ${former} ${SCHEMA}; PRAGMA user_version = ${SCHEMA_VERSION}; COMMIT`);
      return new SqliteMirrorJournal(database, lock);
    } catch (error) {
      if (lock?.inTransaction === true) lock.exec('ROLLBACK');
      throw describe(file, error);
    }
  }

  close(): void {
    this.#database.close();
    this.#lock.exec('ROLLBACK');
    this.#lock.close();
  }

  roles(): Map<string, HeldRole> {
    const rows = this.#statements.roles.all() as RoleRow[];
    return new Map(
      rows.map(({ role, version, sha256, stamp, trust, scope, selection, delegates, taken_at: takenAt }) => [
        role,
        {
          version,
          sha256,
          ...(stamp === null ? {} : { stamp }),
          trust,
          scope,
          selection,
          delegates: delegates !== 0,
          takenAt,
        },
      ]),
    );
  }

  shown(): Shown | undefined {
    return this.#statements.shown.get() as Shown | undefined;
  }

  record(entries: Iterable<JournalEntry>): void {
    const { hold, drop, supersede, need } = this.#statements;
    this.#write(() => {
      for (const { role, dropped, superseded = [], needed = [] } of entries) {
        for (const name of superseded) supersede.run(name);
        for (const name of needed) need.run(name);
        if (dropped !== undefined) drop.run(dropped);
        if (role === undefined) continue;
        const { version, sha256, stamp, trust, scope, selection, delegates, takenAt } = role.held;
        hold.run(
          role.name,
          version,
          sha256,
          stamp ?? null,
          trust,
          scope,
          selection,
          delegates ? 1 : 0,
          takenAt,
        );
      }
    });
  }

  show({ timestamp, snapshot }: Shown, at: number): void {
    this.#write(() => {
      this.#statements.date.run(at);
      this.#statements.show.run(timestamp, snapshot);
    });
  }

  due(before: number, limit: number): string[] {
    return (this.#statements.due.all(before, limit) as { name: string }[]).map(({ name }) => name);
  }

  selectionNumber(text: string): number {
    const { number, addText } = this.#statements;
    const known = number.get(text) as { number: number } | undefined;
    if (known !== undefined) return known.number;
    this.#write(() => addText.run(text));
    return (number.get(text) as { number: number }).number;
  }

  selectionText(number: number): string | undefined {
    return (this.#statements.text.get(number) as { text: string } | undefined)?.text;
  }

  #write(work: () => unknown): void {
    this.#database.exec('BEGIN');
    try {
      work();
      this.#database.exec('COMMIT');
    } catch (error) {
      if (this.#database.inTransaction) this.#database.exec('ROLLBACK');
      throw describe(this.#database.name, error);
    }
  }
}

interface RoleRow {
  readonly role: string;
  readonly version: number;
  readonly sha256: string;
  readonly stamp: string | null;
  readonly trust: string;
  readonly scope: string;
  readonly selection: number;
  readonly delegates: number;
  readonly taken_at: number;
}

function describe(file: string, error: unknown): CountersignError {
  if (error instanceof CountersignError) return error;
  const code = osCode(error) ?? '';
  const problem = messageOf(error);
  if (code.startsWith('SQLITE_BUSY')) {
    return new CountersignError('mirror-locked', `another process works on this mirror: it holds ${file}`, {
      cause: error,
    });
  }
  const isDisk = /^(SQLITE_(FULL|IOERR|CANTOPEN|READONLY|PERM)|E[A-Z]+)/.test(code);
  return new CountersignError(isDisk ? 'store-unavailable' : 'mirror-state-invalid', `${file}: ${problem}`, {
    cause: error,
  });
}
