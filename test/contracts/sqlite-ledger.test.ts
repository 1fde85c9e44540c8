// The embedded ledger: the contract, and what only a file can show.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { copyFileSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Database from 'libsql';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { systemClock } from '../../src/lib/clock.ts';
import { openSqliteLedger, type SqliteLedger } from '../../src/ledger/sqlite-ledger.ts';
import { digests, event, intent, target } from '../support/ledger-fixtures.ts';
import { adoptionContract } from './adoption.contract.ts';
import { auditContract } from './audit.contract.ts';
import { eventually } from '../support/publisher-process.ts';
import { ledgerContract, publish, refused } from './ledger.contract.ts';
import { sharedWorkContract } from './shared-work.contract.ts';

async function openInFile() {
  const directory = mkdtempSync(join(tmpdir(), 'countersign-ledger-'));
  const path = join(directory, 'ledger.db');
  const opened = [await openSqliteLedger(path)];
  return {
    ledger: opened[0]!,
    reopen: async () => {
      const another = await openSqliteLedger(path);
      opened.push(another);
      return another;
    },
    dispose: async () => {
      for (const ledger of opened) await ledger.close();
      rmSync(directory, { recursive: true });
    },
  };
}

ledgerContract('sqlite in a file', openInFile);
sharedWorkContract('sqlite in a file', openInFile);

ledgerContract('sqlite in memory', async () => {
  const ledger = await openSqliteLedger(':memory:');
  return { ledger, reopen: () => Promise.resolve(ledger), dispose: () => ledger.close() };
});

auditContract('sqlite', async () => {
  const ledger = await openSqliteLedger(':memory:');
  return { ledger, dispose: () => ledger.close() };
});

adoptionContract('sqlite', async () => {
  const ledger = await openSqliteLedger(':memory:');
  return { ledger, dispose: () => ledger.close() };
});

describe('sqlite ledger file', () => {
  let directory: string;
  let path: string;
  let opened: SqliteLedger[];

  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'countersign-ledger-'));
    path = join(directory, 'ledger.db');
    opened = [];
  });
  afterEach(async () => {
    for (const ledger of opened) await ledger.close();
    rmSync(directory, { recursive: true });
  });

  async function open(file = path): Promise<SqliteLedger> {
    const ledger = await openSqliteLedger(file);
    opened.push(ledger);
    return ledger;
  }

  function tamper(sql: string): void {
    const database = new Database(path);
    database.exec(sql);
    database.close();
  }

  test('is private to its owner, with the files beside it', async () => {
    const ledger = await open();
    await ledger.append([event('a')], 1);
    for (const suffix of ['', '-wal', '-shm']) expect(statSync(path + suffix).mode & 0o777).toBe(0o600);
  });

  test('keeps everything over close and open', async () => {
    const first = await open();
    const [a] = await first.append([event('a'), event('b')], 1);
    const lease = await first.lease({ holder: 'h', ttlMs: 10, now: 0 });
    await first.advance(lease.epoch, intent(1, { events: [a!.position] }));
    await first.close();
    const second = await open();
    expect(await second.currentLease()).toEqual(lease);
    const unfinished = (await second.head())!.unfinished!;
    await second.finish(unfinished, [], digests(unfinished), 2);
    await second.close();
    expect(await (await open()).backlog()).toEqual({ events: 1, oldestAcceptedAt: 1 });
  });

  test('a copy of the files taken at any moment holds what was answered: nothing waits for close', async () => {
    const ledger = await open();
    await ledger.append([event('a')], 1);
    const copy = join(directory, 'copy.db');
    for (const suffix of ['', '-wal']) copyFileSync(path + suffix, copy + suffix);
    expect(await (await open(copy)).read(0, 10)).toHaveLength(1);
  });

  test('calls of one turn of the event loop share a commit', async () => {
    const ledger = await open();
    const walBytes = async (work: () => Promise<unknown>): Promise<number> => {
      const before = statSync(`${path}-wal`).size;
      await work();
      return statSync(`${path}-wal`).size - before;
    };
    await ledger.append([event('warm')], 1);
    const together = await walBytes(() =>
      Promise.all(Array.from({ length: 20 }, (_, i) => ledger.append([event(`together-${i}`)], 1))),
    );
    const apart = await walBytes(async () => {
      for (let i = 0; i < 20; i++) await ledger.append([event(`apart-${i}`)], 1);
    });
    // Every commit writes each page it touches once more.
    expect(together * 5).toBeLessThan(apart);
    expect((await ledger.backlog()).events).toBe(41);
  });

  test('more than one transaction takes is still accepted, in order', async () => {
    const ledger = await open();
    const calls = Array.from({ length: 50 }, (_, call) =>
      ledger.append(
        Array.from({ length: 100 }, (_, i) => event(`${call}-${i}`)),
        1,
      ),
    );
    const positions = (await Promise.all(calls)).flat().map(({ position }) => position);
    expect(positions).toEqual([...positions].sort((a, b) => a - b));
    expect(new Set(positions).size).toBe(5_000);
  });

  test('opened by many at once, at its creation, it is created once', async () => {
    const ledgers = await Promise.all(Array.from({ length: 8 }, () => open()));
    await Promise.all(ledgers.map((ledger, i) => ledger.append([event('same'), event(`own-${i}`)], 1)));
    expect(await ledgers[0]!.read(0, 100)).toHaveLength(9);
    expect((await ledgers[7]!.backlog()).events).toBe(9);
  });

  test('of two connections one gets the lease, and one the head', async () => {
    const [a, b] = [await open(), await open()];
    const leases = await Promise.allSettled(
      [a, b].map((ledger, i) => ledger.lease({ holder: `h${i}`, ttlMs: 100, now: 0 })),
    );
    expect(leases.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected']);
    const { epoch } = (await a.currentLease())!;
    const heads = await Promise.allSettled([a, b].map((ledger) => ledger.advance(epoch, intent(1))));
    expect(heads.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected']);
    await b.lease({ holder: 'late', ttlMs: 100, now: 500 });
    await a.finish(intent(1), [], digests(intent(1)), 1);
    await refused('lease-lost', a.advance(epoch, intent(2)));
  });

  test('tells a watcher what another connection wrote, not what it wrote itself, until it is told to stop', async () => {
    const [own, other] = [await open(), await open()];
    const told = { appended: 0, finished: 0 };
    const stop = own.watch({
      appended: () => (told.appended += 1),
      finished: () => (told.finished += 1),
    });
    await own.append([event('own')], 1);
    await systemClock.sleep(250);
    expect(told).toEqual({ appended: 0, finished: 0 });
    await other.append([event('other')], 1);
    await eventually('it is told', () => told.appended === 1 && told.finished === 1);
    stop();
    await other.append([event('unheard')], 1);
    await systemClock.sleep(250);
    expect(told).toEqual({ appended: 1, finished: 1 });
  });

  test('waits for the transaction of another process', async () => {
    const ledger = await open();
    // A real second process: holds the write lock, says so, commits after a moment.
    const child = spawn(
      process.execPath,
      [
        '-e',
        `const Database = require(process.argv[1]);
         const db = new Database(process.argv[2]);
         db.exec("BEGIN IMMEDIATE; UPDATE counters SET backlog = backlog + 100");
         process.stdout.write('locked');
         setTimeout(() => { db.exec('COMMIT'); db.close(); }, 200);`,
        createRequire(import.meta.url).resolve('libsql'),
        path,
      ],
      { stdio: ['ignore', 'pipe', 'inherit'] },
    );
    const ended = once(child, 'exit');
    await once(child.stdout, 'data');
    await ledger.append([event('a')], 1);
    expect((await ledger.backlog()).events).toBe(101);
    expect((await ended)[0]).toBe(0);
  });

  test('prunes large publications completely, and counts their events', async () => {
    const ledger = await open();
    const receipts = await ledger.append(
      Array.from({ length: 3_000 }, (_, i) => event(`e${i}`)),
      1,
    );
    const changes = Array.from({ length: 5_000 }, (_, i) => ({
      op: 'added' as const,
      path: `p${i}`,
      target: target('x'),
    }));
    await publish(ledger, intent(1, { events: receipts.map(({ position }) => position) }), changes, 10);
    await publish(ledger, intent(2), [], 20);
    expect(await ledger.prune(20)).toBe(3_000);
    const database = new Database(path);
    const rows = database
      .prepare('SELECT (SELECT count(*) FROM events) AS e, (SELECT count(*) FROM changes) AS c')
      .get();
    database.close();
    expect(rows).toMatchObject({ e: 0, c: 0 });
  });

  test('refuses what is not a ledger, and one of a newer version', async () => {
    writeFileSync(path, 'this is not a database, and it is longer than a header. '.repeat(50));
    await refused('ledger-invalid', openSqliteLedger(path));
    rmSync(path);
    tamper('CREATE TABLE other (a)');
    await refused('ledger-invalid', openSqliteLedger(path));
    rmSync(path);
    await (await open()).close();
    tamper('PRAGMA user_version = 999');
    expect((await refused('ledger-invalid', openSqliteLedger(path))).message).toContain('999');
  });

  test('brings a ledger of schema version 1 here, with its bins', async () => {
    const ledger = await open();
    await publish(ledger, intent(1));
    await ledger.close();
    tamper(
      'DROP TABLE shares; DROP TABLE audit; DROP TABLE orders; ALTER TABLE bins DROP COLUMN keyids; PRAGMA user_version = 1',
    );
    const again = await open();
    expect(await again.bins()).toMatchObject([{ bin: 0, version: 1, keyids: [] }]);
    expect(await again.openOrders()).toEqual([]);
    await (await open()).placeOrder('renew', '', 1);
    expect(await again.openOrders()).toHaveLength(1);
  });

  test('a file that cannot be opened is unavailable, by name', async () => {
    const missing = join(directory, 'missing', 'ledger.db');
    expect((await refused('ledger-unavailable', openSqliteLedger(missing))).message).toContain(missing);
    await refused('ledger-unavailable', openSqliteLedger(directory));
  });

  test('names the row that does not hold what it should', async () => {
    const ledger = await open();
    const [a] = await ledger.append([event('a')], 1);
    tamper(`UPDATE events SET changes = '[{"op":"add","path":7}]'`);
    expect((await refused('ledger-invalid', ledger.read(0, 1))).message).toContain(
      `event at position ${a!.position}`,
    );
    await publish(ledger, intent(1), [{ op: 'removed', path: 'p', previous: target('1') }]);
    tamper(`UPDATE changes SET previous = '{"length":'`);
    const named = 'change 0 of snapshot 1';
    expect((await refused('ledger-invalid', ledger.changes(0, 1))).message).toContain(named);
    expect((await refused('ledger-invalid', ledger.formerTargets('p', -1))).message).toContain(named);
    tamper(`UPDATE publications SET intent = '{}', finished = NULL`);
    expect((await refused('ledger-invalid', ledger.head())).message).toContain('publication 1');
  });

  test('damaged pages are reported as such', async () => {
    const ledger = await open();
    await ledger.append(
      Array.from({ length: 500 }, (_, i) => event(`e${i}`)),
      1,
    );
    await ledger.close();
    const bytes = readFileSync(path);
    bytes.fill(0xa5, 4096 * 2);
    writeFileSync(path, bytes);
    await refused(
      'ledger-invalid',
      openSqliteLedger(path).then((damaged) => {
        opened.push(damaged);
        return damaged.read(0, 1_000);
      }),
    );
  });

  test('a write that fails leaves the connection usable, and nothing behind', async () => {
    const ledger = await open();
    await ledger.append([event('a')], 1);
    // Ends the transaction from inside, as SQLite does when the disk is full.
    tamper("CREATE TRIGGER full BEFORE INSERT ON events BEGIN SELECT RAISE(ROLLBACK, 'disk'); END");
    const outcomes = await Promise.allSettled([
      ledger.append([event('b')], 2),
      ledger.append([event('c')], 2),
    ]);
    expect(outcomes.map(({ status }) => status)).toEqual(['rejected', 'rejected']);
    tamper('DROP TRIGGER full');
    await ledger.append([event('b')], 2);
    expect((await ledger.read(0, 10)).map(({ id }) => id)).toEqual(['a', 'b']);
    expect((await ledger.backlog()).events).toBe(2);
  });
});
