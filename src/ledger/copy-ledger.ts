// Moving house: everything that a SQLite ledger holds, into an empty PostgreSQL ledger.
import { createHash, type Hash } from 'node:crypto';
import { access } from 'node:fs/promises';
import { CountersignError, messageOf } from '../lib/errors.ts';
import {
  COPIED_TABLES,
  insertRows,
  postgresRows,
  sqliteRows,
  type CopiedRow,
  type CopiedTable,
} from './copied-tables.ts';
import { PostgresConnection, type Query, type Rows } from './postgres-connection.ts';
import type { PostgresAccess } from './postgres-location.ts';
import { ensurePostgresSchema } from './postgres-schema.ts';
import { SqliteConnection } from './sqlite-connection.ts';
import { ensureSchema } from './sqlite-schema.ts';

/** Milliseconds for the whole copy, and in which this process may be silent while it reads. */
const COPY_MS = 86_400_000;
const SILENCE_MS = 600_000;

/** What was copied, and read back. */
export interface LedgerCopy {
  /** Rows of each table, by its name. */
  readonly rows: Readonly<Record<string, number>>;
  /** SHA-256 over all rows in the order of their keys, lower-case hex: the same on both sides. */
  readonly digest: string;
}

/** What a ledger has one row of. */
interface Single {
  readonly position: number;
  readonly orders: number;
  readonly backlog: number;
  readonly forgotten: number;
  readonly root: string | null;
  readonly holder: string | null;
  readonly epoch: number;
  readonly until: number;
}

/**
 * Copies the ledger in the file `from` into the empty database that `to` names, in one transaction: everything is
 * there afterwards, and was read back and compared, or nothing is. May be run again after it failed.
 * @param progress Told how many rows of how many are done; each row counts twice, written and read back.
 * @throws CountersignError `lease-lost` when a publisher holds the lease of `from`, `head-moved` when `from` was
 *   written to meanwhile, `not-empty` when `to` holds something, `ledger-unavailable`, `ledger-invalid`.
 */
export async function copyLedger(
  from: string,
  to: PostgresAccess,
  progress: (done: number, total: number) => void = () => undefined,
): Promise<LedgerCopy> {
  // Opening a file creates it: a wrong path must not become an empty ledger.
  await access(from).catch((cause: unknown) => {
    throw new CountersignError('ledger-unavailable', `ledger ${from} cannot be read: ${messageOf(cause)}`, {
      cause,
    });
  });
  const source = await SqliteConnection.open(from, ensureSchema);
  try {
    const version = dataVersion(source);
    const single = readSource(source);
    if (single.holder !== null && single.until > to.clock.now()) {
      throw new CountersignError(
        'lease-lost',
        `${single.holder} publishes from ledger ${from} until ${new Date(single.until).toISOString()}: stop it first`,
        { details: { holder: single.holder, until: single.until } },
      );
    }
    const target = await PostgresConnection.open(to, ensurePostgresSchema);
    try {
      return await target.write(
        async (query) => {
          await query("SELECT set_config('idle_in_transaction_session_timeout', $1, true)", [
            String(SILENCE_MS),
          ]);
          await requireEmpty(query, target.uri);
          const copy = await copyRows(source, query, single, progress);
          if (dataVersion(source) !== version) {
            throw new CountersignError(
              'head-moved',
              `ledger ${from} was written to while it was copied: stop every process that uses it, and copy again`,
            );
          }
          return copy;
        },
        { transactionMs: COPY_MS },
      );
    } finally {
      await target.close();
    }
  } finally {
    source.close();
  }
}

async function copyRows(
  source: SqliteConnection,
  query: Query,
  single: Single,
  progress: (done: number, total: number) => void,
): Promise<LedgerCopy> {
  const counts = Object.fromEntries(COPIED_TABLES.map((table) => [table.name, countRows(source, table)]));
  const total = 2 * Object.values(counts).reduce((sum, count) => sum + count, 0);
  const [written, read] = [createHash('sha256'), createHash('sha256')];
  const rows: Record<string, number> = {};
  let done = 0;
  const count = (table: CopiedTable, page: readonly CopiedRow[], hash: Hash): void => {
    for (const row of page) hash.update(JSON.stringify([table.name, ...row]));
    done += page.length;
    progress(done, total);
  };
  for (const table of COPIED_TABLES) {
    rows[table.name] = 0;
    for (const page of sqliteRows(source, table)) {
      await insertRows(query, table, page);
      rows[table.name] = (rows[table.name] ?? 0) + page.length;
      count(table, page, written);
    }
  }
  await writeSingle(query, single);
  for (const table of COPIED_TABLES) {
    for await (const page of postgresRows(query, table)) count(table, page, read);
  }
  written.update(JSON.stringify(single));
  read.update(JSON.stringify(await readTarget(query)));
  const [digest, copied] = [written.digest('hex'), read.digest('hex')];
  if (digest === copied) return { rows, digest };
  throw new CountersignError(
    'ledger-invalid',
    `what was read back has the digest ${copied}, what was copied ${digest}: nothing is kept of it`,
  );
}

async function requireEmpty(query: Query, uri: string): Promise<void> {
  // Whoever would write waits until the copy is there, and then finds it.
  await query('LOCK TABLE countersign.counters, countersign.head, countersign.lease IN EXCLUSIVE MODE');
  const tables = COPIED_TABLES.map(({ name }) => `EXISTS (SELECT 1 FROM countersign.${name})`);
  const { rows } = (await query(
    `SELECT ${tables.join(' OR ')} OR (SELECT position > 0 FROM countersign.counters)
       OR (SELECT holder IS NOT NULL FROM countersign.lease) AS used`,
  )) as Rows<{ used: boolean }>;
  if (rows[0]?.used === false) return;
  throw new CountersignError('not-empty', `ledger ${uri} holds something: copy into an empty database`);
}

function readSource(source: SqliteConnection): Single {
  const statement = source.prepare(
    `SELECT (SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'events') AS position,
       (SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'orders') AS orders,
       backlog, forgotten, (SELECT root FROM trust) AS root, (SELECT holder FROM lease) AS holder,
       (SELECT coalesce(max(epoch), 0) FROM lease) AS epoch, (SELECT coalesce(max(until), 0) FROM lease) AS until
     FROM counters`,
  );
  return singleOf(source.read(() => statement.get()));
}

async function writeSingle(query: Query, single: Single): Promise<void> {
  const { position, orders, backlog, forgotten, root, holder, epoch, until } = single;
  await query('UPDATE countersign.counters SET position = $1, backlog = $2', [position, backlog]);
  await query('UPDATE countersign.head SET forgotten = $1, trusted_root = $2', [forgotten, root]);
  await query('UPDATE countersign.lease SET holder = $1, epoch = $2, until = $3', [holder, epoch, until]);
  if (orders > 0) {
    await query(`SELECT setval(pg_get_serial_sequence('countersign.orders', 'number'), $1)`, [orders]);
  }
}

async function readTarget(query: Query): Promise<Single> {
  const { rows } = await query(
    `SELECT c.position,
       CASE WHEN s.is_called THEN s.last_value ELSE 0 END AS orders,
       c.backlog, h.forgotten, h.trusted_root AS root, l.holder, l.epoch, l.until
     FROM countersign.counters AS c, countersign.head AS h, countersign.lease AS l, countersign.orders_number_seq AS s`,
  );
  return singleOf(rows[0]);
}

/** In one order of members: two of them are compared as JSON. */
function singleOf(row: unknown): Single {
  const { position, orders, backlog, forgotten, root, holder, epoch, until } = row as Single;
  return { position, orders, backlog, forgotten, root, holder, epoch, until };
}

function countRows(source: SqliteConnection, { name }: CopiedTable): number {
  const statement = source.prepare(`SELECT count(*) AS count FROM ${name}`);
  return (source.read(() => statement.get()) as { count: number }).count;
}

/** Changes when another connection writes. */
function dataVersion(source: SqliteConnection): number {
  const statement = source.prepare('PRAGMA data_version');
  return (source.read(() => statement.get()) as { data_version: number }).data_version;
}
