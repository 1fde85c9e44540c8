// What `countersign follow` remembers between two passes, in one SQLite file: what each page of the index said last, and
// the events that follow from it until the service has settled them. A page and its events are one transaction, and
// an event keeps its id, so a run that is killed at any line neither forgets a change nor sends it as two events.
import { SqliteConnection, type Statement } from '../ledger/sqlite-connection.ts';
import { CountersignError } from '../lib/errors.ts';
import type { FollowedFile, FollowEvent, KnownFile, PageRecord, Refusal } from './compare-page.ts';

/** An event that waits for the service. */
export interface QueuedEvent {
  readonly position: number;
  readonly id: string;
  /** One line of JSON, the id included. */
  readonly line: string;
  readonly op: FollowEvent['op'];
  readonly path: string;
}

export interface ProjectState {
  readonly etag?: string;
  /** State of the index that the page showed; with one, the page is asked for again only when the index names a newer. */
  readonly serial?: number;
}

const SCHEMA = `
CREATE TABLE IF NOT EXISTS origin (url TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS placement (prefix TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS projects (name TEXT PRIMARY KEY, etag TEXT, serial INTEGER) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS files (
  path TEXT PRIMARY KEY, project TEXT NOT NULL, length INTEGER NOT NULL, sha256 TEXT NOT NULL,
  missing_since INTEGER
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS files_of_project ON files (project);
CREATE INDEX IF NOT EXISTS missing_files ON files (missing_since) WHERE missing_since IS NOT NULL;
CREATE TABLE IF NOT EXISTS queue (
  position INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL, line TEXT NOT NULL, op TEXT NOT NULL, path TEXT NOT NULL
);
-- project: whose page names a file that cannot be signed; NULL: the service refused its event.
CREATE TABLE IF NOT EXISTS refused (path TEXT PRIMARY KEY, reason TEXT NOT NULL, project TEXT) WITHOUT ROWID;
`;

/** What a state belongs to: under another prefix, everything that it remembers would be gone from the index. */
export interface Origin {
  readonly url: string;
  /** Stands before every path. */
  readonly prefix: string;
}

export class FollowState {
  readonly #database: SqliteConnection;
  readonly #newId: () => string;
  readonly #statements = new Map<string, Statement>();

  private constructor(database: SqliteConnection, newId: () => string) {
    this.#database = database;
    this.#newId = newId;
  }

  /**
   * Opens the file, or makes it, for one index and prefix.
   * @throws CountersignError `follow-state` when it belongs to another one; `ledger-unavailable`, `ledger-invalid`
   *   when it cannot be read or written.
   */
  static async open(file: string, { url, prefix }: Origin, newId: () => string): Promise<FollowState> {
    const database = await SqliteConnection.open(file, (connection) => {
      connection.execute(SCHEMA);
    });
    const state = new FollowState(database, newId);
    const origin = state.#prepared('SELECT url FROM origin').get() as { url: string } | undefined;
    if (origin === undefined) state.#prepared('INSERT INTO origin VALUES (?)').run(url);
    else if (origin.url !== url) {
      database.close();
      throw new CountersignError('follow-state', `${file} follows ${origin.url}, not ${url}`);
    }
    const placed = state.#prepared('SELECT prefix FROM placement').get() as { prefix: string } | undefined;
    if (placed === undefined) state.#prepared('INSERT INTO placement VALUES (?)').run(prefix);
    else if (placed.prefix !== prefix) {
      database.close();
      throw new CountersignError(
        'follow-state',
        `${file} follows with --prefix ${JSON.stringify(placed.prefix)}, not ${JSON.stringify(prefix)}`,
      );
    }
    return state;
  }

  project(name: string): ProjectState | undefined {
    const row = this.#prepared('SELECT etag, serial FROM projects WHERE name = ?').get(name) as
      { etag: string | null; serial: number | null } | undefined;
    return (
      row && {
        ...(row.etag !== null && { etag: row.etag }),
        ...(row.serial !== null && { serial: row.serial }),
      }
    );
  }

  /** The files of a project that are signed, by path: those that its page names, and those that wait for removal. */
  filesOf(project: string): Map<string, KnownFile> {
    const rows = this.#prepared(
      'SELECT path, length, sha256, missing_since IS NOT NULL AS missing FROM files WHERE project = ?',
    ).all(project) as (FollowedFile & { missing: 0 | 1 })[];
    return new Map(rows.map(({ missing, ...file }) => [file.path, { ...file, missing: missing === 1 }]));
  }

  /** Every project that is remembered and not among `listed`. */
  projectsBeside(listed: ReadonlySet<string>): string[] {
    const rows = this.#prepared('SELECT name FROM projects').all() as { name: string }[];
    return rows.map(({ name }) => name).filter((name) => !listed.has(name));
  }

  /** Remembers what a page says now; what is new becomes events, what is gone waits for `queueRemovals`. */
  record(project: string, page: ProjectState, difference: PageRecord, now: number): void {
    this.#database.write(() => {
      for (const { path, length, sha256 } of difference.files) {
        this.#prepared(
          `INSERT INTO files (path, project, length, sha256) VALUES (?, ?, ?, ?)
           ON CONFLICT (path) DO UPDATE SET project = excluded.project, length = excluded.length,
             sha256 = excluded.sha256, missing_since = NULL`,
        ).run(path, project, length, sha256);
      }
      for (const path of difference.gone) {
        // Another project's page may name it by now.
        this.#prepared(
          'UPDATE files SET missing_since = ? WHERE path = ? AND project = ? AND missing_since IS NULL',
        ).run(now, path, project);
      }
      for (const event of difference.events) this.#queue(event);
      this.#prepared('DELETE FROM refused WHERE project = ?').run(project);
      for (const refusal of difference.refused) this.#refuse(refusal, project);
      this.#prepared('INSERT OR REPLACE INTO projects (name, etag, serial) VALUES (?, ?, ?)').run(
        project,
        page.etag ?? null,
        page.serial ?? null,
      );
    });
  }

  /** A project that the index no longer lists: all its files are gone. */
  recordGone(project: string, now: number): void {
    this.#database.write(() => {
      this.#prepared('UPDATE files SET missing_since = ? WHERE project = ? AND missing_since IS NULL').run(
        now,
        project,
      );
      this.#prepared('DELETE FROM refused WHERE project = ?').run(project);
      this.#prepared('DELETE FROM projects WHERE name = ?').run(project);
    });
  }

  /** Files that the index has not named since `since` or longer, milliseconds since the epoch. */
  missing(since: number): number {
    const row = this.#prepared('SELECT count(*) AS count FROM files WHERE missing_since <= ?').get(since);
    return (row as { count: number }).count;
  }

  /** Makes events of them. */
  queueRemovals(since: number): void {
    this.#database.write(() => {
      const rows = this.#prepared('SELECT path FROM files WHERE missing_since <= ?').all(since) as {
        path: string;
      }[];
      for (const { path } of rows) this.#queue({ op: 'remove', path });
      this.#prepared('DELETE FROM files WHERE missing_since <= ?').run(since);
    });
  }

  queued(): number {
    return (this.#prepared('SELECT count(*) AS count FROM queue').get() as { count: number }).count;
  }

  /** The oldest events that wait. */
  oldest(limit: number): QueuedEvent[] {
    return this.#prepared('SELECT position, id, line, op, path FROM queue ORDER BY position LIMIT ?').all(
      limit,
    ) as QueuedEvent[];
  }

  /** The service has settled these; `refusals` of them it did not take. */
  settled(events: readonly QueuedEvent[], refusals: readonly Refusal[]): void {
    this.#database.write(() => {
      for (const { position, path } of events) {
        this.#prepared('DELETE FROM queue WHERE position = ?').run(position);
        this.#prepared('DELETE FROM refused WHERE path = ?').run(path);
      }
      for (const refusal of refusals) this.#refuse(refusal, null);
    });
  }

  /** Files that are not signed although the index names them, at most `limit`, and how many there are. */
  refusals(limit: number): { readonly count: number; readonly first: readonly Refusal[] } {
    const { count } = this.#prepared('SELECT count(*) AS count FROM refused').get() as { count: number };
    const first = this.#prepared('SELECT path, reason FROM refused ORDER BY path LIMIT ?').all(
      limit,
    ) as Refusal[];
    return { count, first };
  }

  close(): void {
    this.#database.close();
  }

  #queue({ op, path, length, sha256 }: FollowEvent): void {
    const id = this.#newId();
    const content = sha256 === undefined ? {} : { length, hashes: { sha256 } };
    const line = JSON.stringify({ id, changes: [{ op, path, ...content }] });
    this.#prepared('INSERT INTO queue (id, line, op, path) VALUES (?, ?, ?, ?)').run(id, line, op, path);
  }

  #refuse({ path, reason }: Refusal, project: string | null): void {
    this.#prepared('INSERT OR REPLACE INTO refused (path, reason, project) VALUES (?, ?, ?)').run(
      path,
      reason,
      project,
    );
  }

  #prepared(sql: string): Statement {
    const known = this.#statements.get(sql) ?? this.#database.prepare(sql);
    this.#statements.set(sql, known);
    return known;
  }
}
