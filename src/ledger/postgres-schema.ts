// The tables of the PostgreSQL ledger, in the schema `countersign` of its database, as numbered steps.
//
// Texts that are looked up are compared byte by byte (COLLATE "C"): an index in the order of a language is damaged by a
// failover to a server whose library sorts otherwise.
import { CountersignError } from '../lib/errors.ts';
import type { PostgresConnection, Query, Rows } from './postgres-connection.ts';

/** Held while the schema changes; "csgn" in ASCII. */
const MIGRATION_LOCK = 0x6373676e;

/** Step N brings a ledger of schema version N - 1 to N. A step that was released is never changed. */
const MIGRATIONS: readonly string[] = [
  `
  CREATE TABLE countersign.schema_version (version integer PRIMARY KEY, applied timestamptz NOT NULL DEFAULT now());

  -- position: taken from counters, not from a sequence (see postgres-events.ts). An event that is settled keeps its
  -- digest only: that is enough to recognise it when it comes again.
  CREATE TABLE countersign.events (
    position bigint PRIMARY KEY,
    id text COLLATE "C" NOT NULL UNIQUE,
    digest text NOT NULL,
    accepted_at bigint NOT NULL,
    changes text,
    snapshot bigint,
    code text,
    reason text,
    CHECK ((snapshot IS NULL) = (changes IS NOT NULL)),
    CHECK ((code IS NULL) = (reason IS NULL))
  ) WITH (autovacuum_vacuum_scale_factor = 0.02);
  CREATE INDEX events_pending ON countersign.events (position) WHERE snapshot IS NULL;
  CREATE INDEX events_settled ON countersign.events (snapshot) WHERE snapshot IS NOT NULL;

  -- finished: milliseconds since the epoch, never less than the predecessor's. intent: NULL once forgotten.
  CREATE TABLE countersign.publications (
    snapshot bigint PRIMARY KEY,
    timestamp bigint NOT NULL,
    at bigint NOT NULL,
    root bigint NOT NULL,
    targets bigint NOT NULL,
    bins bigint NOT NULL,
    digest text NOT NULL,
    intent text,
    finished bigint
  );
  CREATE INDEX publications_finished ON countersign.publications (finished, snapshot) WHERE finished IS NOT NULL;
  CREATE INDEX publications_kept ON countersign.publications (snapshot) WHERE intent IS NOT NULL;

  -- ended: this row, or an older one, says that the path named something before. Most uploads only add new paths:
  -- they stay out of the index.
  CREATE TABLE countersign.changes (
    snapshot bigint NOT NULL,
    item integer NOT NULL,
    op text NOT NULL CHECK (op IN ('added', 'replaced', 'removed')),
    path text COLLATE "C" NOT NULL,
    target text,
    previous text,
    ended boolean NOT NULL,
    PRIMARY KEY (snapshot, item)
  );
  CREATE INDEX changes_ended ON countersign.changes (path, snapshot, item) WHERE ended;

  -- Rewritten every half day, each row: room for the next version beside it. keyids: comma-separated.
  CREATE TABLE countersign.bins (
    bin integer PRIMARY KEY,
    version bigint NOT NULL,
    sha256 text NOT NULL,
    signed_at bigint NOT NULL,
    expires bigint NOT NULL,
    keyids text NOT NULL
  ) WITH (fillfactor = 50);

  -- content: NULL once settled; outcome: JSON, NULL while open.
  CREATE TABLE countersign.orders (
    number bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    kind text NOT NULL,
    digest text NOT NULL,
    content text,
    placed_at bigint NOT NULL,
    outcome text,
    settled_at bigint,
    CHECK ((outcome IS NULL) = (content IS NOT NULL)),
    CHECK ((outcome IS NULL) = (settled_at IS NULL))
  );
  CREATE INDEX orders_open ON countersign.orders (number) WHERE outcome IS NULL;

  -- One row each. They are also the locks: counters of those who append, head of those who publish, lease of its own,
  -- so that a heartbeat never waits for a publication.
  CREATE TABLE countersign.counters (
    one integer PRIMARY KEY CHECK (one = 1),
    position bigint NOT NULL,
    backlog bigint NOT NULL CHECK (backlog >= 0)
  ) WITH (fillfactor = 10);
  CREATE TABLE countersign.head (
    one integer PRIMARY KEY CHECK (one = 1),
    forgotten bigint NOT NULL,
    trusted_root text
  );
  CREATE TABLE countersign.lease (
    one integer PRIMARY KEY CHECK (one = 1),
    holder text,
    epoch bigint NOT NULL,
    until bigint NOT NULL
  ) WITH (fillfactor = 10);
  INSERT INTO countersign.counters (one, position, backlog) VALUES (1, 0, 0);
  INSERT INTO countersign.head (one, forgotten) VALUES (1, 0);
  INSERT INTO countersign.lease (one, holder, epoch, until) VALUES (1, NULL, 0, 0);
  `,
  `
  -- record: canonical JSON; hash: its SHA-256, which the next record carries.
  CREATE TABLE countersign.audit (
    number bigint PRIMARY KEY,
    kind text NOT NULL,
    snapshot bigint NOT NULL,
    hash text NOT NULL,
    record text NOT NULL
  );
  CREATE INDEX audit_announced ON countersign.audit (snapshot, number) WHERE kind IN ('announced', 'resumed');
  `,
  `
  -- bins: BIN:VERSION,...; claimed_until: milliseconds since the epoch; digests: base64, NULL until all are in the store.
  CREATE TABLE countersign.shares (
    snapshot bigint NOT NULL,
    number integer NOT NULL,
    bins text NOT NULL,
    claimed_until bigint NOT NULL DEFAULT 0,
    digests text,
    PRIMARY KEY (snapshot, number)
  );
  `,
];

/**
 * Creates the tables in a database that has none, brings older ones up to date, and makes sure that the server keeps
 * what it confirms. Several processes may do so at once.
 * @throws CountersignError `ledger-invalid` for the ledger of a newer version and for tables of something else;
 *   `ledger-unavailable` for a server that loses commits, or a user who may not create the tables.
 */
export async function ensurePostgresSchema(connection: PostgresConnection): Promise<void> {
  const found = await connection.read(async (query) => {
    await checkServer(query, connection.uri);
    return schemaVersion(query, connection.uri);
  });
  if (found === MIGRATIONS.length) return;
  await connection.write(async (query) => {
    await query('SELECT pg_advisory_xact_lock($1)', [MIGRATION_LOCK]);
    // Asked again: another process may have been faster.
    const version = await schemaVersion(query, connection.uri);
    if (version === 'none') await query('CREATE SCHEMA countersign');
    const steps = MIGRATIONS.slice(version === 'none' ? 0 : version);
    for (const [index, step] of steps.entries()) {
      await query(step);
      const reached = MIGRATIONS.length - steps.length + index + 1;
      await query('INSERT INTO countersign.schema_version (version) VALUES ($1)', [reached]);
    }
  });
}

async function checkServer(query: Query, uri: string): Promise<void> {
  const { rows } = (await query(
    `SELECT current_setting('server_version_num')::integer AS version,
       current_setting('server_encoding') AS encoding, current_setting('fsync') AS fsync`,
  )) as Rows<{ version: number; encoding: string; fsync: string }>;
  const [server] = rows;
  if (server === undefined || server.version < 130_000) {
    throw new CountersignError(
      'ledger-invalid',
      `ledger ${uri} is on PostgreSQL ${Math.floor((server?.version ?? 0) / 10_000)}, 13 is the oldest that will do`,
    );
  }
  if (server.encoding !== 'UTF8') {
    throw new CountersignError(
      'ledger-invalid',
      `database of ledger ${uri} has the encoding ${server.encoding}: create it with ENCODING 'UTF8'`,
    );
  }
  if (server.fsync !== 'on') {
    throw new CountersignError(
      'ledger-unavailable',
      `server of ledger ${uri} runs with fsync = ${server.fsync}: a power cut would lose events that were answered`,
    );
  }
}

/** 0: the schema is there, and empty. */
async function schemaVersion(query: Query, uri: string): Promise<number | 'none'> {
  const { rows } = (await query(
    `SELECT n.oid IS NOT NULL AS schema, to_regclass('countersign.schema_version') IS NOT NULL AS ledger,
       (SELECT count(*) FROM pg_class WHERE relnamespace = n.oid) AS objects
     FROM (SELECT 1) AS always LEFT JOIN pg_namespace AS n ON n.nspname = 'countersign'`,
  )) as Rows<{ schema: boolean; ledger: boolean; objects: number }>;
  const [state] = rows;
  if (state?.schema !== true) return 'none';
  if (!state.ledger) {
    if (state.objects === 0) return 0;
    throw new CountersignError(
      'ledger-invalid',
      `schema countersign in ${uri} has tables, but is not a ledger of countersign`,
    );
  }
  const { rows: versions } = (await query(
    'SELECT max(version) AS version FROM countersign.schema_version',
  )) as Rows<{ version: number | null }>;
  const version = versions[0]?.version ?? 0;
  if (version > MIGRATIONS.length) {
    throw new CountersignError(
      'ledger-invalid',
      `ledger ${uri} has schema version ${version}, this program knows ${MIGRATIONS.length}: use the newer program`,
    );
  }
  return version;
}
