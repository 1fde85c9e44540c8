// Learns what other nodes did: from a session that LISTENs, and while there is none by asking now and then.
//
// A session that hears nothing looks like one in which nothing happens: behind a pooler in transaction mode, or when the
// network has swallowed it. So it is asked for a sign of life, a notice of our own that travels the same way.
import pg from 'pg';
import { messageOf } from '../lib/errors.ts';
import type { LedgerWatcher } from './ledger.ts';
import { clientConfig, type PostgresConnection, type Rows } from './postgres-connection.ts';
import type { PostgresAccess } from './postgres-location.ts';

/** Milliseconds between two questions while nothing is heard. */
const POLL_MS = 200;
/** Milliseconds between two signs of life, and for one to arrive. */
const SIGN_MS = 5_000;
const SIGN_LIMIT_MS = 2_000;
/** Milliseconds: pause before the next session, doubled each time up to the limit, half of it random. */
const FIRST_PAUSE_MS = 250;
const LONGEST_PAUSE_MS = 15_000;

type Notice = 'appended' | 'finished' | 'sign';

interface Mark {
  readonly position: number;
  readonly order: number;
  readonly finished: number;
}

export class PostgresListener {
  readonly #access: PostgresAccess;
  readonly #connection: PostgresConnection;
  /** Tells our own notices from those of others. */
  readonly #name: string;
  readonly #watchers = new Set<LedgerWatcher>();
  #stop: AbortController | undefined;
  #loops: Promise<unknown> = Promise.resolve();
  #hears = false;
  #signs: (() => void) | undefined;

  constructor(access: PostgresAccess, connection: PostgresConnection) {
    this.#access = access;
    this.#connection = connection;
    this.#name = Math.floor(access.random() * 2 ** 48).toString(36);
  }

  /** The text of a notice, to be sent with the transaction that it tells of. */
  notice(kind: Notice): string {
    return `${kind}:${this.#name}`;
  }

  watch(watcher: LedgerWatcher): () => void {
    this.#watchers.add(watcher);
    if (this.#stop === undefined) {
      const stop = new AbortController();
      this.#stop = stop;
      this.#loops = Promise.all([this.#loops, this.#listen(stop.signal), this.#ask(stop.signal)]);
    }
    return () => {
      if (this.#watchers.delete(watcher) && this.#watchers.size === 0) this.#end();
    };
  }

  async close(): Promise<void> {
    this.#watchers.clear();
    this.#end();
    await this.#loops;
  }

  #end(): void {
    this.#stop?.abort();
    this.#stop = undefined;
  }

  #tell(what: 'appended' | 'finished'): void {
    for (const watcher of [...this.#watchers]) watcher[what]();
  }

  async #listen(stop: AbortSignal): Promise<void> {
    const { location, clock, random, warn } = this.#access;
    if (location.listen === 'none') return;
    let pauseMs = FIRST_PAUSE_MS;
    let told = false;
    while (!ended(stop)) {
      try {
        await this.#session(stop, () => {
          pauseMs = FIRST_PAUSE_MS;
          told = false;
        });
      } catch (error) {
        if (!told && !ended(stop)) {
          warn?.(
            `no notices come from ledger ${this.#connection.uri}, it is asked every ${POLL_MS} ms: ${messageOf(error)}`,
          );
        }
        told = true;
      }
      this.#hears = false;
      await clock.sleep(pauseMs * (0.5 + random() / 2), stop);
      pauseMs = Math.min(pauseMs * 2, LONGEST_PAUSE_MS);
    }
  }

  /** Until the session is lost or `stop`. @throws Error when it hears nothing. */
  async #session(stop: AbortSignal, onHeard: () => void): Promise<void> {
    const { location, clock } = this.#access;
    const server = location.listen === undefined || location.listen === 'none' ? location : location.listen;
    const client = new pg.Client({
      ...(await clientConfig(this.#access, server)),
      query_timeout: SIGN_LIMIT_MS,
    });
    const lost = new AbortController();
    const end = (): void => {
      lost.abort();
    };
    client.on('error', end);
    client.on('end', end);
    client.on('notification', ({ payload }) => {
      this.#hear(payload ?? '');
    });
    try {
      await client.connect();
      await client.query('LISTEN countersign');
      const over = AbortSignal.any([stop, lost.signal]);
      while (!ended(over)) {
        await this.#sign(over);
        if (ended(over)) return;
        if (!this.#hears) {
          this.#hears = true;
          onHeard();
          // Whatever happened before this moment may have gone unheard.
          this.#tell('appended');
          this.#tell('finished');
        }
        await clock.sleep(SIGN_MS, over);
      }
    } finally {
      void client.end().catch(() => undefined);
    }
  }

  /** Sends a notice through a connection of the others and waits for it here. */
  async #sign(over: AbortSignal): Promise<void> {
    const arrived = new AbortController();
    this.#signs = () => {
      arrived.abort();
    };
    await this.#connection.write(
      (query) => query("SELECT pg_notify('countersign', $1)", [this.notice('sign')]),
      { transactionMs: SIGN_LIMIT_MS },
    );
    await this.#access.clock.sleep(SIGN_LIMIT_MS, AbortSignal.any([over, arrived.signal]));
    this.#signs = undefined;
    if (ended(arrived.signal) || ended(over)) return;
    throw new Error(
      'a session that listens was told nothing (behind a pooler in transaction mode, add listen=HOST:PORT of the server itself)',
    );
  }

  #hear(notice: string): void {
    const [kind, name] = notice.split(':');
    if (name === this.#name) {
      if (kind === 'sign') this.#signs?.();
    } else if (kind === 'appended' || kind === 'finished') this.#tell(kind);
  }

  async #ask(stop: AbortSignal): Promise<void> {
    let last: Mark | undefined;
    while (!ended(stop)) {
      if (!this.#hears) {
        // When the ledger cannot be asked, whoever uses it finds out and says so.
        const mark = await this.#mark().catch(() => undefined);
        if (mark !== undefined && last !== undefined && !ended(stop)) {
          if (mark.position !== last.position || mark.order !== last.order) this.#tell('appended');
          if (mark.finished !== last.finished) this.#tell('finished');
        }
        last = mark ?? last;
      }
      await this.#access.clock.sleep(POLL_MS, stop);
    }
  }

  #mark(): Promise<Mark | undefined> {
    return this.#connection.read(
      async (query) => {
        const { rows } = (await query(
          `SELECT position,
             (SELECT coalesce(max(number), 0) FROM countersign.orders) AS order,
             (SELECT coalesce(max(snapshot), 0) FROM countersign.publications WHERE finished IS NOT NULL) AS finished
           FROM countersign.counters`,
        )) as Rows<Mark>;
        return rows[0];
      },
      { transactionMs: SIGN_LIMIT_MS },
    );
  }
}

/** Asked anew each time: what is awaited in between may abort it. */
function ended(signal: AbortSignal): boolean {
  return signal.aborted;
}
