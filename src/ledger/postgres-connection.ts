// Connections to PostgreSQL, and what a transaction is here: it stands for itself, with all its settings, so that it
// may run on any connection that a pooler gives it. Nothing is prepared by name, no session is configured.
import { readFile } from 'node:fs/promises';
import pg from 'pg';
import type { Clock } from '../lib/clock.ts';
import { CountersignError, messageOf } from '../lib/errors.ts';
import { connectionGoesOn, ledgerError, StandbyError } from './postgres-errors.ts';
import { postgresUri, type PostgresAccess, type PostgresServer } from './postgres-location.ts';

/** Connections for writing and for reading, apart: readers of long histories cannot cost the publisher its lease. */
const WRITERS = 4;
const READERS = 6;

/** Milliseconds: for a connection to be made or to become free. */
const CONNECT_MS = 5_000;

/**
 * Milliseconds. The server gives up a statement, and a transaction whose owner says nothing: one that was paused must
 * not keep its locks from the others. The last limit is ours, for a server that cannot even say no.
 */
const STATEMENT_MS = 30_000;
const SILENCE_MS = 3_000;
const TRANSACTION_MS = 40_000;
const ROLLBACK_MS = 2_000;

export interface Rows<R> {
  readonly rows: R[];
  /** Rows that were found or changed. */
  readonly count: number;
}

/** One statement of a transaction; `values` are `$1`, `$2` … */
export type Query = (text: string, values?: readonly unknown[]) => Promise<Rows<unknown>>;

export interface Limits {
  /** Milliseconds for one statement. */
  readonly statementMs?: number;
  /** Milliseconds for the whole transaction. */
  readonly transactionMs?: number;
  /** Milliseconds in which this process may say nothing. */
  readonly silenceMs?: number;
}

/** Rows in one statement: putting more of them into words keeps this process, and the server waiting. */
export const STATEMENT_ROWS = 20_000;

/**
 * For a transaction that writes this many rows. Putting them into words is silence for the server: a publication of hundreds
 * of thousands of events would never be settled. 100 rows a millisecond and one row a millisecond are slow machines.
 */
export function limitsFor(rows: number): Limits {
  return {
    silenceMs: SILENCE_MS + Math.ceil(rows / 100),
    transactionMs: TRANSACTION_MS + rows,
  };
}

export class PostgresConnection {
  /** For messages. */
  readonly uri: string;
  readonly #clock: Clock;
  readonly #writers: pg.Pool;
  readonly #readers: pg.Pool;
  #ending: Promise<unknown> | undefined;

  private constructor(access: PostgresAccess, config: pg.ClientConfig) {
    this.uri = postgresUri(access.location);
    this.#clock = access.clock;
    this.#writers = pool(config, WRITERS);
    this.#readers = pool(config, READERS);
  }

  /**
   * Lets `prepare` look at the server and bring the schema up to date.
   * @throws CountersignError `config-invalid` for a root certificate that cannot be read, `ledger-unavailable`; what
   *   `prepare` throws.
   */
  static async open(
    access: PostgresAccess,
    prepare: (connection: PostgresConnection) => Promise<void>,
  ): Promise<PostgresConnection> {
    const connection = new PostgresConnection(access, await clientConfig(access, access.location));
    try {
      await prepare(connection);
      return connection;
    } catch (error) {
      await connection.close();
      throw error;
    }
  }

  /** Runs `work` in a transaction whose statements each see what others have committed before it; then it is on disk. */
  write<T>(work: (query: Query) => Promise<T>, limits: Limits = {}): Promise<T> {
    return this.#transaction(this.#writers, 'READ COMMITTED', work, limits);
  }

  /** Runs `work` on one state of the database, whatever others commit meanwhile. */
  read<T>(work: (query: Query) => Promise<T>, limits: Limits = {}): Promise<T> {
    return this.#transaction(this.#readers, 'REPEATABLE READ, READ ONLY', work, limits);
  }

  /** Waits for transactions in hand. Further use is `ledger-unavailable`. */
  async close(): Promise<void> {
    this.#ending ??= Promise.all([this.#writers.end(), this.#readers.end()]);
    await this.#ending;
  }

  async #transaction<T>(
    from: pg.Pool,
    mode: string,
    work: (query: Query) => Promise<T>,
    limits: Limits,
  ): Promise<T> {
    const limitMs = limits.transactionMs ?? TRANSACTION_MS;
    if (this.#ending !== undefined) {
      throw new CountersignError('ledger-unavailable', `ledger ${this.uri} is closed`);
    }
    let client: pg.PoolClient;
    try {
      client = await from.connect();
    } catch (error) {
      throw ledgerError(this.uri, error);
    }
    let usable = true;
    try {
      const begin = beginning(
        mode,
        Math.min(limits.statementMs ?? STATEMENT_MS, limitMs),
        limits.silenceMs ?? SILENCE_MS,
      );
      return await this.#within(limitMs, this.#perform(client, begin, work));
    } catch (error) {
      usable = connectionGoesOn(error) && (await this.#rollBack(client));
      throw ledgerError(this.uri, error);
    } finally {
      client.release(!usable);
    }
  }

  async #perform<T>(client: pg.PoolClient, begin: string, work: (query: Query) => Promise<T>): Promise<T> {
    // Several statements in one message have several results, which the types of the driver do not know.
    const begun = (await client.query(begin)) as unknown as pg.QueryResult<{ standby: boolean }>[];
    if (begun[1]?.rows[0]?.standby !== false) {
      throw new StandbyError(this.uri);
    }
    const result = await work(async (text, values = []) => {
      const { rows, rowCount } = await client.query(text, [...values]);
      return { rows, count: rowCount ?? 0 };
    });
    const { command } = await client.query('COMMIT');
    if (command !== 'COMMIT') {
      throw new CountersignError('ledger-unavailable', `ledger ${this.uri} rolled the transaction back`);
    }
    return result;
  }

  /** Whether the connection is good for another transaction. */
  #rollBack(client: pg.PoolClient): Promise<boolean> {
    return this.#within(ROLLBACK_MS, client.query('ROLLBACK')).then(
      () => true,
      () => false,
    );
  }

  async #within<T>(ms: number, work: Promise<T>): Promise<T> {
    const done = new AbortController();
    const overdue = this.#clock.sleep(ms, done.signal).then((): never => {
      throw new Error(`no answer within ${ms / 1000} s`);
    });
    try {
      return await Promise.race([work, overdue]);
    } finally {
      done.abort();
    }
  }
}

/** How a client connects to `server`: that of the location, or the one to listen at. */
export async function clientConfig(
  { location, password }: PostgresAccess,
  server: PostgresServer,
): Promise<pg.ClientConfig> {
  const { user, database, tls, rootCertificate } = location;
  const { host, port } = server;
  return {
    host,
    port,
    user,
    database,
    ...(password === undefined ? {} : { password }),
    // Given always: the driver would otherwise look into the environment.
    ssl: tls === 'disable' ? false : await authorities(rootCertificate),
    keepAlive: true,
    connectionTimeoutMillis: CONNECT_MS,
    application_name: 'countersign',
    types: { getTypeParser },
  };
}

async function authorities(file: string | undefined): Promise<{ rejectUnauthorized: true; ca?: string }> {
  if (file === undefined) return { rejectUnauthorized: true };
  try {
    return { rejectUnauthorized: true, ca: await readFile(file, 'utf8') };
  } catch (error) {
    throw new CountersignError(
      'config-invalid',
      `sslrootcert of the ledger names ${file}: ${messageOf(error)}`,
      { cause: error },
    );
  }
}

/** The type of bigint. */
const INT8: number = pg.types.builtins.INT8;

/** Positions, versions and milliseconds all fit into a number of JavaScript. */
const getTypeParser = ((oid: number, format?: 'text') =>
  oid === INT8
    ? Number
    : (pg.types.getTypeParser as (oid: number, format?: 'text') => unknown)(
        oid,
        format,
      )) as typeof pg.types.getTypeParser;

function pool(config: pg.ClientConfig, max: number): pg.Pool {
  const made = new pg.Pool({ ...config, max, idleTimeoutMillis: 30_000 });
  // A connection that is lost is noticed by whoever uses it next; without a listener it would end the process.
  made.on('error', () => undefined);
  made.on('connect', (client) => client.on('error', () => undefined));
  return made;
}

/**
 * Durable when committed, whatever the server's default; `remote_apply` is more than `on` and stays. Tables are named
 * with their schema, so the search path holds nothing of others.
 */
function beginning(mode: string, statementMs: number, silenceMs: number): string {
  return `BEGIN ISOLATION LEVEL ${mode};
    SELECT pg_is_in_recovery() AS standby,
      set_config('synchronous_commit',
        CASE current_setting('synchronous_commit') WHEN 'remote_apply' THEN 'remote_apply' ELSE 'on' END, true),
      set_config('statement_timeout', '${statementMs}', true),
      set_config('lock_timeout', '${statementMs}', true),
      set_config('idle_in_transaction_session_timeout', '${silenceMs}', true),
      set_config('search_path', 'pg_catalog', true)`;
}
