// What a server, a network and a pooler do to a PostgreSQL ledger: nothing that was answered is lost, nothing hangs, and
// every failure is ledger-unavailable with its reason.
import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, onTestFinished, test } from 'vitest';
import { systemClock } from '../../src/lib/clock.ts';
import { copyLedger } from '../../src/ledger/copy-ledger.ts';
import type { LedgerWatcher } from '../../src/ledger/ledger.ts';
import { openPostgresLedger, type PostgresLedger } from '../../src/ledger/postgres-ledger.ts';
import type { PostgresLocation } from '../../src/ledger/postgres-location.ts';
import { openSqliteLedger } from '../../src/ledger/sqlite-ledger.ts';
import { checkedChain, ledgerLines } from '../../src/publish/audit-chain.ts';
import { publish, refused } from '../contracts/ledger.contract.ts';
import { digests, event, intent, target } from '../support/ledger-fixtures.ts';
import { eventually } from '../support/publisher-process.ts';
import { tempDir } from '../support/temp-dir.ts';
import { startPostgres, type PostgresServer } from '../../scripts/interop/postgres-server.ts';

let server: PostgresServer;
let location: PostgresLocation;
let opened: PostgresLedger[];
let databases = 0;
beforeAll(async () => {
  server = await startPostgres();
});
afterAll(() => server.stop());
beforeEach(async () => {
  opened = [];
  location = await server.createDatabase(`faults_${(databases += 1)}`);
});
afterEach(async () => {
  for (const ledger of opened) await ledger.close();
});

async function open(at = location, more: { warn?: (message: string) => void } = {}): Promise<PostgresLedger> {
  const ledger = await openPostgresLedger(server.access(at, more));
  opened.push(ledger);
  return ledger;
}

function counting(): LedgerWatcher & { counts: { appended: number; finished: number } } {
  const counts = { appended: 0, finished: 0 };
  return {
    counts,
    appended: () => void (counts.appended += 1),
    finished: () => void (counts.finished += 1),
  };
}

/** An address that leads to one server and then to another, as a name does after a failover. */
async function movableAddress(first: number): Promise<{
  readonly port: number;
  leadTo(port: number): void;
  /** Ends all connections. */
  cut(): void;
}> {
  let target = first;
  const sockets = new Set<Socket>();
  const forwarder = createServer((incoming) => {
    const outgoing = connect(target, '127.0.0.1');
    for (const socket of [incoming, outgoing]) {
      sockets.add(socket);
      socket.on('error', () => undefined);
      socket.on('close', () => {
        incoming.destroy();
        outgoing.destroy();
        sockets.delete(socket);
      });
    }
    incoming.pipe(outgoing).pipe(incoming);
  }).listen(0, '127.0.0.1');
  await once(forwarder, 'listening');
  const cut = (): void => {
    for (const socket of sockets) socket.destroy();
  };
  onTestFinished(() => {
    cut();
    forwarder.close();
  });
  return { port: (forwarder.address() as AddressInfo).port, leadTo: (port) => (target = port), cut };
}

const cutAll = () =>
  server.sql(
    'postgres',
    'SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1 AND usename = $2',
    [location.database, location.user],
  );

describe('several nodes', () => {
  test('opened by many at once, at its creation, it is created once', async () => {
    const ledgers = await Promise.all(Array.from({ length: 8 }, () => open()));
    await Promise.all(ledgers.map((ledger, i) => ledger.append([event('same'), event(`own-${i}`)], 1)));
    expect(await ledgers[0]!.read(0, 100)).toHaveLength(9);
    expect((await ledgers[7]!.backlog()).events).toBe(9);
  });

  test('a reader that follows eight writers misses no event, and sees them in their order', async () => {
    const ledgers = await Promise.all(Array.from({ length: 8 }, () => open()));
    const reader = await open();
    let writing = 8;
    const writers = ledgers.map(async (ledger, node) => {
      for (let call = 0; call < 60; call++) {
        const events = Array.from({ length: 5 }, (_, i) => event(`${node}-${call}-${i}`));
        const receipts = await ledger.append(events, call);
        expect(receipts.map(({ id }) => id)).toEqual(events.map(({ id }) => id));
      }
      writing -= 1;
    });
    const seen: number[] = [];
    for (let last = 0; ;) {
      const over = writing === 0;
      const page = await reader.read(last, 50);
      seen.push(...page.map(({ position }) => position));
      last = seen.at(-1) ?? 0;
      if (over && page.length === 0) break;
    }
    await Promise.all(writers);
    expect(seen).toEqual(Array.from({ length: 8 * 60 * 5 }, (_, i) => i + 1));
  });

  test('of many nodes one gets the lease, and one the head', async () => {
    const ledgers = await Promise.all(Array.from({ length: 4 }, () => open()));
    const leases = await Promise.allSettled(
      ledgers.map((ledger, i) => ledger.lease({ holder: `h${i}`, ttlMs: 100, now: 0 })),
    );
    expect(leases.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
    const { epoch } = (await ledgers[0]!.currentLease())!;
    const heads = await Promise.allSettled(ledgers.map((ledger) => ledger.advance(epoch, intent(1))));
    expect(heads.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
    const finishes = ledgers.map((ledger) => ledger.finish(intent(1), [], digests(intent(1)), 1));
    await Promise.all(finishes);
    await ledgers[1]!.lease({ holder: 'late', ttlMs: 100, now: 500 });
    await refused('lease-lost', ledgers[2]!.advance(epoch, intent(2)));
  });

  test('each is told within 500 ms what another one did, and not what it did itself', async () => {
    const [a, b] = [await open(), await open()];
    const [watcherA, watcherB] = [counting(), counting()];
    a.watch(watcherA);
    b.watch(watcherB);
    // The first notice says that the session listens.
    await eventually('both listen', () => watcherA.counts.appended > 0 && watcherB.counts.appended > 0);
    watcherA.counts.appended = watcherB.counts.appended = watcherB.counts.finished = 0;
    const startedAt = systemClock.now();
    await a.append([event('x')], 1);
    await eventually('b is told', () => watcherB.counts.appended === 1);
    expect(systemClock.now() - startedAt).toBeLessThan(500);
    await publish(a, intent(1));
    await eventually('b is told of the publication', () => watcherB.counts.finished === 1);
    expect(watcherA.counts.appended).toBe(0);
  });
});

describe('a server that goes away', () => {
  const calls: [string, (ledger: PostgresLedger) => Promise<unknown>][] = [
    ['append', (ledger) => ledger.append([event('cut')], 1)],
    ['read', (ledger) => ledger.read(0, 1)],
    ['lease', (ledger) => ledger.lease({ holder: 'h', ttlMs: 1000, now: 1 })],
    ['advance', (ledger) => ledger.advance(1, intent(2))],
    ['finish', (ledger) => ledger.finish(intent(1), [], digests(intent(1)), 9)],
    ['head', (ledger) => ledger.head()],
    ['events', (ledger) => ledger.events(['cut'])],
    ['changes', (ledger) => ledger.changes(0, 1)],
    ['bins', (ledger) => ledger.bins()],
    ['backlog', (ledger) => ledger.backlog()],
    ['prune', (ledger) => ledger.prune(1)],
  ];

  test.each(calls)(
    'a connection cut in the middle of %s is unavailable, and the next call works',
    async (name, call) => {
      const ledger = await open();
      await publish(ledger, intent(1));
      // Holds the call up, so that the cut comes while it is at work.
      const release = await server.hold(
        location.database,
        `LOCK TABLE countersign.counters, countersign.head, countersign.lease, countersign.events,
           countersign.publications, countersign.bins, countersign.orders IN ACCESS EXCLUSIVE MODE`,
      );
      const waiting = async (): Promise<boolean> => {
        const rows = await server.sql(
          'postgres',
          `SELECT 1 FROM pg_stat_activity WHERE datname = $1 AND wait_event_type = 'Lock'`,
          [location.database],
        );
        return rows.length > 0;
      };
      const outcome = call(ledger).then(
        () => undefined,
        (error: unknown) => error,
      );
      await eventually(`${name} waits`, waiting);
      await cutAll();
      expect(await outcome).toMatchObject({ code: 'ledger-unavailable' });
      expect(String(await outcome)).toMatch(/terminating connection|Connection terminated/);
      await release();
      await call(ledger).catch((error: unknown) => {
        expect(error).toMatchObject({ code: 'head-moved' });
      });
      expect(await ledger.append([event('after')], 2)).toMatchObject([{ id: 'after' }]);
    },
  );

  test('a crash loses nothing that was answered, and watching goes on', async () => {
    const [a, b] = [await open(), await open()];
    const warnings: string[] = [];
    const watching = await open(location, { warn: (message) => void warnings.push(message) });
    const watcher = counting();
    watching.watch(watcher);
    const answered: string[] = [];
    let stop = false;
    const writers = [a, b].map(async (ledger, node) => {
      for (let i = 0; !stop; i++) {
        const id = `${node}-${i}`;
        await ledger.append([event(id)], i).then(
          () => answered.push(id),
          (error: unknown) => {
            expect(error).toMatchObject({ code: 'ledger-unavailable' });
            return systemClock.sleep(20);
          },
        );
      }
    });
    for (let round = 0; round < 2; round++) {
      const before = answered.length;
      await eventually('events are answered', () => answered.length > before + 50);
      await server.crash();
    }
    stop = true;
    await Promise.all(writers);
    const known = await a.events(answered);
    expect(answered.filter((id) => !known.has(id))).toEqual([]);
    expect(answered.length).toBeGreaterThan(100);
    const seen = watcher.counts.appended;
    await a.append([event('later')], 1);
    await eventually('the watcher hears again', () => watcher.counts.appended > seen);
    expect(warnings.length).toBeGreaterThan(0);
  });

  test('one that nobody answers for is unavailable, by name, in time', async () => {
    const error = await refused('ledger-unavailable', open({ ...location, port: 1 }));
    expect(error.message).toMatch(/127\.0\.0\.1:1.*ECONNREFUSED/);
    const wrong = server.access(location, { password: () => Promise.resolve('wrong') });
    expect((await refused('ledger-unavailable', openPostgresLedger(wrong))).message).toContain('28P01');
    expect((await refused('ledger-unavailable', open({ ...location, database: 'none' }))).message).toContain(
      '3D000',
    );
  });

  test('all connections in use: unavailable after a while, and over when they are free', async () => {
    const ledger = await open();
    const release = await server.hold(
      location.database,
      'LOCK TABLE countersign.events IN ACCESS EXCLUSIVE MODE',
    );
    const reads = Array.from({ length: 10 }, () =>
      ledger.read(0, 1).then(
        () => undefined,
        (error: unknown) => String(error),
      ),
    );
    await Promise.race(reads);
    await release();
    const failed = (await Promise.all(reads)).filter((reason) => reason !== undefined);
    expect(failed).toHaveLength(4);
    for (const message of failed) expect(message).toContain('no connection became free in time');
    expect(await ledger.read(0, 1)).toEqual([]);
  });

  test('a database that has become read-only is unavailable', async () => {
    const ledger = await open();
    await server.sql(
      'postgres',
      `ALTER DATABASE ${location.database} SET default_transaction_read_only = on`,
    );
    await cutAll();
    await ledger.head().catch(() => undefined);
    const error = await refused('ledger-unavailable', ledger.append([event('a')], 1));
    expect(error.message).toContain('25006');
    // Its connections would stay read-only: they are not used again.
    await server.sql('postgres', `ALTER DATABASE ${location.database} RESET default_transaction_read_only`);
    expect(await ledger.append([event('a')], 1)).toMatchObject([{ id: 'a' }]);
  });

  test(
    'an address that led to a standby for a moment is asked anew: a connection to it is not kept',
    { timeout: 60_000 },
    async () => {
      const other = await startPostgres();
      onTestFinished(() => other.stop());
      await (await open()).head();
      const copy = await other.createDatabase(location.database);
      await (await openPostgresLedger(other.access(copy))).close();
      await other.restart('standby');
      const name = await movableAddress(other.port);
      const early = await refused('ledger-unavailable', open({ ...location, port: name.port }));
      expect(early.message).toContain('standby (25006)');
      name.leadTo(server.port);
      const ledger = await open({ ...location, port: name.port });
      expect(await ledger.append([event('before')], 1)).toHaveLength(1);
      name.leadTo(other.port);
      name.cut();
      for (const call of [() => ledger.head(), () => ledger.append([event('after')], 2)]) {
        await eventually('the standby is named', async () =>
          (await refused('ledger-unavailable', call())).message.includes('standby (25006)'),
        );
      }
      // Connections to the standby are left alone: nobody but us can end them.
      name.leadTo(server.port);
      expect(await ledger.head()).toBeUndefined();
      expect(await ledger.append([event('after')], 2)).toHaveLength(1);
    },
  );

  test(
    'a standby is unavailable, for reading too: what it says may be old',
    { timeout: 60_000 },
    async () => {
      const ledger = await open();
      await server.restart('standby');
      try {
        for (const call of [
          () => ledger.append([event('a')], 1),
          () => ledger.head(),
          () => ledger.currentLease(),
        ]) {
          await eventually('it is named', async () => {
            const error = await refused('ledger-unavailable', call());
            return error.message.includes('standby (25006)');
          });
        }
      } finally {
        await server.restart('primary');
      }
      await eventually('it goes on', () =>
        ledger.append([event('a')], 1).then(
          () => true,
          () => false,
        ),
      );
    },
  );
});

// SLOW=1: as many as a key compromise may have to settle at once, more than the server used to wait for.
const MANY = process.env['SLOW'] === undefined ? 45_000 : 600_000;

test(`a publication of ${MANY} events is settled`, { timeout: 900_000 }, async () => {
  const ledger = await open();
  const positions: number[] = [];
  for (let first = 0; first < MANY; first += 4000) {
    const ids = Array.from({ length: Math.min(4000, MANY - first) }, (_, i) => `many-${first + i}`);
    const receipts = await ledger.append(
      ids.map((id) => event(id)),
      1,
    );
    positions.push(...receipts.map(({ position }) => position));
  }
  const { epoch } = await ledger.lease({ holder: 'h', ttlMs: 9e8, now: 1 });
  const last = positions.at(-1) ?? 0;
  const rejected = [{ position: last, code: 'target-exists', reason: 'it is there' }];
  const publication = intent(1, { events: positions, rejected });
  await ledger.advance(epoch, publication);
  const changes = positions.slice(0, -1).map((position) => ({
    op: 'added' as const,
    path: `packages/project-${position}.whl`,
    target: target(String(position)),
  }));
  await ledger.finish(publication, changes, digests(publication), 2);
  expect(await ledger.backlog()).toEqual({ events: 0 });
  const states = await ledger.events(['many-0', `many-${MANY - 2}`, `many-${MANY - 1}`]);
  expect([...states.values()].map(({ state }) => state.state)).toEqual([
    'published',
    'published',
    'rejected',
  ]);
  const [first] = await ledger.changes(0, 1);
  expect(first?.changes).toEqual(changes);
});

describe('tables', () => {
  test('those of a newer version and of somebody else are refused', async () => {
    await (await open()).head();
    await server.sql(location.database, 'INSERT INTO countersign.schema_version (version) VALUES (999)');
    expect((await refused('ledger-invalid', open())).message).toContain('999');
    await server.sql(
      location.database,
      'DROP SCHEMA countersign CASCADE; CREATE SCHEMA countersign AUTHORIZATION countersign',
    );
    await server.sql(location.database, 'CREATE TABLE countersign.other (a integer)');
    expect((await refused('ledger-invalid', open())).message).toContain('is not a ledger');
  });

  test('a user who may only read and write the rows is enough once they exist', async () => {
    await (await open()).append([event('a')], 1);
    await server.sql(
      location.database,
      `DROP ROLE IF EXISTS app; CREATE ROLE app LOGIN PASSWORD 'x'; GRANT USAGE ON SCHEMA countersign TO app;
       GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA countersign TO app;
       GRANT USAGE ON ALL SEQUENCES IN SCHEMA countersign TO app`,
    );
    const as = { ...server.access({ ...location, user: 'app' }), password: () => Promise.resolve('x') };
    const ledger = await openPostgresLedger(as);
    opened.push(ledger);
    const [receipt] = await ledger.append([event('b')], 1);
    await publish(ledger, intent(1, { events: [receipt!.position] }));
    expect(await ledger.placeOrder('renew', '', 1)).toBe(1);
    expect(await ledger.prune(9e12)).toBe(1);
  });

  test('what is confirmed is durable, whatever the role says', async () => {
    await server.sql('postgres', `ALTER DATABASE ${location.database} SET synchronous_commit = off`);
    const ledger = await open();
    await server.sql(
      location.database,
      `CREATE TABLE public.seen (setting text); GRANT INSERT ON public.seen TO countersign;
       CREATE FUNCTION public.note() RETURNS trigger LANGUAGE plpgsql AS
         'BEGIN INSERT INTO public.seen VALUES (current_setting(''synchronous_commit'')); RETURN NEW; END';
       CREATE TRIGGER note AFTER INSERT ON countersign.events EXECUTE FUNCTION public.note()`,
    );
    await ledger.append([event('a')], 1);
    expect(await server.sql(location.database, 'SELECT DISTINCT setting FROM public.seen')).toEqual([
      { setting: 'on' },
    ]);
  });
});

describe('a pooler in transaction mode', () => {
  test('carries the ledger; watching needs the server itself, or asks', { timeout: 60_000 }, async () => {
    const port = await server.startPooler();
    const warnings: string[] = [];
    const pooled = await open({ ...location, port }, { warn: (message) => void warnings.push(message) });
    const direct = await open({ ...location, port, listen: { host: location.host, port: location.port } });
    const asking = await open({ ...location, port, listen: 'none' });
    const others = await Promise.all(Array.from({ length: 4 }, () => open({ ...location, port })));
    const watchers = [pooled, direct, asking].map((ledger) => {
      const watcher = counting();
      ledger.watch(watcher);
      return watcher;
    });
    await Promise.all(
      others.flatMap((ledger, node) =>
        Array.from({ length: 20 }, (_, call) => ledger.append([event(`${node}-${call}`)], 1)),
      ),
    );
    expect((await pooled.backlog()).events).toBe(80);
    await publish(pooled, intent(1));
    await eventually('everybody is told', () => watchers.every(({ counts }) => counts.appended > 0));
    await eventually('the pooler is named', () => warnings.some((text) => text.includes('listen=HOST:PORT')));
    await eventually('and of publications', async () => {
      const { snapshot } = (await pooled.head())!;
      await publish(pooled, intent(snapshot + 1));
      return watchers.slice(1).every(({ counts }) => counts.finished > 0);
    });
  });
});

describe('copy from SQLite', () => {
  async function filled(path: string) {
    const source = await openSqliteLedger(path);
    const receipts = await source.append(
      Array.from({ length: 4_500 }, (_, i) => event(`e${i} "\\ é`)),
      1,
    );
    const positions = receipts.map(({ position }) => position);
    const rejected = [{ position: positions[1]!, code: 'target-exists', reason: 'is "there"' }];
    await publish(source, intent(1, { events: positions.slice(0, 10) }), [], 50);
    await publish(
      source,
      intent(2, {
        events: positions.slice(10, 20),
        rejected: rejected.map((r) => ({ ...r, position: positions[10]! })),
      }),
      [{ op: 'replaced', path: 'p', target: target('2'), previous: target('1') }],
      100,
    );
    await source.prune(60);
    await source.placeOrder('renew', '', 5);
    return source;
  }

  test('everything is there, to the byte, and goes on', async () => {
    const path = `${await tempDir()}/ledger.db`;
    const source = await filled(path);
    const told: number[] = [];
    const copy = await copyLedger(path, server.access(location), (done, total) => told.push(done / total));
    expect(copy.rows).toMatchObject({ events: 4_490, publications: 2, changes: 1, bins: 1, orders: 1 });
    expect(told.at(-1)).toBe(1);
    const ledger = await open();
    for (const ask of [
      (of: typeof source | PostgresLedger) => of.head(),
      (of: typeof source | PostgresLedger) => of.read(0, 10_000),
      (of: typeof source | PostgresLedger) => of.changes(1, 10),
      (of: typeof source | PostgresLedger) => of.formerTargets('p', 0),
      (of: typeof source | PostgresLedger) => of.bins(),
      (of: typeof source | PostgresLedger) => of.backlog(),
      (of: typeof source | PostgresLedger) => of.openOrders(),
      (of: typeof source | PostgresLedger) => of.currentLease(),
      (of: typeof source | PostgresLedger) => of.snapshotAt(9e12),
      (of: typeof source | PostgresLedger) =>
        of.events(['e15 "\\ é', 'e10 "\\ é', 'e3 "\\ é', 'e4000 "\\ é']),
    ]) {
      expect(await ask(ledger)).toEqual(await ask(source));
    }
    await source.close();
    const [next] = await ledger.append([event('new')], 1);
    expect(next!.position).toBe(4_501);
    expect(await ledger.placeOrder('renew-all', '', 1)).toBe(2);
    await refused('not-empty', copyLedger(path, server.access(location)));
  });

  test('the audit log comes with it, and its chain goes on where it ended', async () => {
    const path = `${await tempDir()}/ledger.db`;
    const source = await filled(path);
    const before = await source.auditLines(0, 100);
    expect(before.map(({ text }) => (JSON.parse(text) as { kind: string }).kind)).toEqual([
      'began',
      ...['announced', 'signed'],
      ...['announced', 'signed'],
    ]);
    await source.close();
    const copy = await copyLedger(path, server.access(location));
    expect(copy.rows).toMatchObject({ audit: before.length });
    const ledger = await open();
    expect(await ledger.auditLines(0, 100)).toEqual(before);
    await publish(ledger, intent(3));
    const chain: string[] = [];
    for await (const { record } of checkedChain(ledgerLines(ledger))) chain.push(record.kind);
    expect(chain).toEqual(['began', ...Array.from({ length: 3 }, () => ['announced', 'signed']).flat()]);
    const next = (await ledger.auditLines(before.length, 1))[0];
    expect(JSON.parse(next?.text ?? '')).toMatchObject({ previous: before.at(-1)?.hash });
  });

  test('a source in use, one that is written to meanwhile, and one that is not there are refused', async () => {
    const path = `${await tempDir()}/ledger.db`;
    const source = await filled(path);
    await source.lease({ holder: 'alive', ttlMs: 60_000, now: systemClock.now() });
    await refused('lease-lost', copyLedger(path, server.access(location)));
    await source.lease({ holder: 'alive', ttlMs: 0, now: systemClock.now() - 1 });
    const late: Promise<unknown>[] = [];
    const writing = (): void => {
      if (late.length === 0) late.push(source.append([event('late')], 1));
    };
    await refused('head-moved', copyLedger(path, server.access(location), writing));
    await Promise.all(late);
    expect(await (await open()).read(0, 1)).toEqual([]);
    await source.close();
    expect((await copyLedger(path, server.access(location))).rows['events']).toBe(4_491);
    await refused('ledger-unavailable', copyLedger(`${path}.missing`, server.access(location)));
  });
});
