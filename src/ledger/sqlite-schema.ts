// The tables of the embedded ledger. STRICT: a column never holds another type than the one declared here.
import { CountersignError } from '../lib/errors.ts';
import type { SqliteConnection } from './sqlite-connection.ts';

/** Recorded as `user_version`. Raise it with every change of the tables, and add the step that brings older ones here. */
const SCHEMA_VERSION = 4;
/** Recorded as `application_id`, so that another program's database is never taken for a ledger: "csgn" in ASCII. */
const APPLICATION_ID = 0x6373676e;

/** New in version 2. keyids: comma-separated. content: NULL once settled; outcome: JSON, NULL while open. */
const SINCE_VERSION_2 = `
  ALTER TABLE bins ADD COLUMN keyids TEXT NOT NULL DEFAULT '';
  CREATE TABLE orders (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    kind TEXT NOT NULL,
    digest TEXT NOT NULL,
    content TEXT,
    placed_at INTEGER NOT NULL,
    outcome TEXT,
    settled_at INTEGER,
    CHECK ((outcome IS NULL) = (content IS NOT NULL)),
    CHECK ((outcome IS NULL) = (settled_at IS NULL))
  ) STRICT;
  CREATE INDEX orders_open ON orders (number) WHERE outcome IS NULL;
  PRAGMA user_version = 2;
`;

/** New in version 3. record: canonical JSON; hash: its SHA-256, which the next record carries. */
const SINCE_VERSION_3 = `
  CREATE TABLE audit (
    number INTEGER PRIMARY KEY,
    kind TEXT NOT NULL,
    snapshot INTEGER NOT NULL,
    hash TEXT NOT NULL,
    record TEXT NOT NULL
  ) STRICT;
  CREATE INDEX audit_announced ON audit (snapshot, number) WHERE kind IN ('announced', 'resumed');
  PRAGMA user_version = 3;
`;

/** New in version 4. bins: BIN:VERSION,…; digests: base64, NULL until all of them are in the store. */
const SINCE_VERSION_4 = `
  CREATE TABLE shares (
    snapshot INTEGER NOT NULL,
    number INTEGER NOT NULL,
    bins TEXT NOT NULL,
    claimed_until INTEGER NOT NULL DEFAULT 0,
    digests TEXT,
    PRIMARY KEY (snapshot, number)
  ) STRICT, WITHOUT ROWID;
  PRAGMA user_version = 4;
`;

/** What brings a ledger of version 1, 2 … to the next one. */
const STEPS = [SINCE_VERSION_2, SINCE_VERSION_3, SINCE_VERSION_4];

const TABLES = `
  -- Positions are never used again (AUTOINCREMENT), not even after the newest events were forgotten.
  -- An event that is settled keeps its digest only: that is enough to recognise it when it comes again.
  CREATE TABLE events (
    position INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    digest TEXT NOT NULL,
    accepted_at INTEGER NOT NULL,
    changes TEXT,
    snapshot INTEGER,
    code TEXT,
    reason TEXT,
    CHECK ((snapshot IS NULL) = (changes IS NOT NULL)),
    CHECK ((code IS NULL) = (reason IS NULL))
  ) STRICT;
  CREATE INDEX events_pending ON events (position) WHERE snapshot IS NULL;

  -- finished: milliseconds since the epoch, never less than the predecessor's. intent: NULL once forgotten.
  CREATE TABLE publications (
    snapshot INTEGER PRIMARY KEY,
    timestamp INTEGER NOT NULL,
    at INTEGER NOT NULL,
    root INTEGER NOT NULL,
    targets INTEGER NOT NULL,
    bins INTEGER NOT NULL,
    digest TEXT NOT NULL,
    intent TEXT,
    finished INTEGER
  ) STRICT;
  CREATE INDEX publications_finished ON publications (finished, snapshot) WHERE finished IS NOT NULL;

  -- ended: this row, or an older one, says that the path named something before. Most uploads only add new paths:
  -- they stay out of the index.
  CREATE TABLE changes (
    snapshot INTEGER NOT NULL,
    item INTEGER NOT NULL,
    op TEXT NOT NULL CHECK (op IN ('added', 'replaced', 'removed')),
    path TEXT NOT NULL,
    target TEXT,
    previous TEXT,
    ended INTEGER NOT NULL,
    PRIMARY KEY (snapshot, item)
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX changes_ended ON changes (path, snapshot, item) WHERE ended = 1;

  CREATE TABLE bins (
    bin INTEGER PRIMARY KEY,
    version INTEGER NOT NULL,
    sha256 TEXT NOT NULL,
    signed_at INTEGER NOT NULL,
    expires INTEGER NOT NULL
  ) STRICT;

  -- One row each.
  CREATE TABLE counters (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    backlog INTEGER NOT NULL CHECK (backlog >= 0),
    forgotten INTEGER NOT NULL
  ) STRICT;
  INSERT INTO counters (one, backlog, forgotten) VALUES (1, 0, 0);
  CREATE TABLE trust (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    root TEXT NOT NULL
  ) STRICT;
  CREATE TABLE lease (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    holder TEXT NOT NULL,
    epoch INTEGER NOT NULL,
    until INTEGER NOT NULL
  ) STRICT;

  PRAGMA application_id = ${APPLICATION_ID};
  ${STEPS.join('')}
`;

/**
 * Creates the tables in an empty database, brings those of an older version here, and otherwise makes sure that they
 * are the ones this program knows. Two processes may do so at once.
 * @throws CountersignError `ledger-invalid` for the ledger of a newer version, and for another program's database.
 */
export function ensureSchema(connection: SqliteConnection): void {
  connection.write(() => {
    const found = connection
      .prepare(
        `SELECT (SELECT application_id FROM pragma_application_id) AS application,
                (SELECT user_version FROM pragma_user_version) AS version,
                (SELECT count(*) FROM sqlite_schema) AS objects`,
      )
      .get() as { application: number; version: number; objects: number };
    if (found.application === 0 && found.version === 0 && found.objects === 0) {
      connection.execute(TABLES);
      return;
    }
    if (found.application !== APPLICATION_ID) {
      throw new CountersignError(
        'ledger-invalid',
        `${connection.path} is a database, but not a ledger of countersign`,
      );
    }
    if (found.version < 1 || found.version > SCHEMA_VERSION) {
      throw new CountersignError(
        'ledger-invalid',
        `ledger ${connection.path} has schema version ${found.version}, this program knows ${SCHEMA_VERSION}: use the newer program`,
      );
    }
    for (const step of STEPS.slice(found.version - 1)) connection.execute(step);
  });
}
