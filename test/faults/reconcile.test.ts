// The ledger is restored from a backup while the store went on: it is never published on before both agree again, no
// version gets a second content, and nothing that is public is undone.
import Database from 'libsql';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import type { Change } from '../../src/ledger/ledger.ts';
import { openSqliteLedger, type SqliteLedger } from '../../src/ledger/sqlite-ledger.ts';
import type { ErrorCode } from '../../src/lib/errors.ts';
import { takeLease } from '../../src/publish/lease.ts';
import { ledgerLines } from '../../src/publish/audit-chain.ts';
import { verifyAudit } from '../../src/publish/audit-verify.ts';
import { adoptGap, findGap, type Gap, type ReconcilePorts } from '../../src/publish/reconcile.ts';
import type { UnknownTarget } from '../../src/publish/reconcile-bins.ts';
import { collectGarbage } from '../../src/publish/retention.ts';
import { Term } from '../../src/publish/term.ts';
import { openFileStore } from '../../src/storage/file-store.ts';
import type { ObjectStore } from '../../src/storage/store.ts';
import { BinDocument } from '../../src/tuf/bin-document.ts';
import { TIMESTAMP_NAME, versionedName } from '../../src/tuf/layout.ts';
import { metadataFile } from '../../src/tuf/metadata-file.ts';
import { FaultyProcess, TwoContents } from '../support/faulty-ports.ts';
import { memoryStore, type MemoryStore } from '../support/memory-store.ts';
import { expectSound } from '../support/oracle.ts';
import { publicState } from '../support/public-state.ts';
import {
  accept,
  DAILY,
  foundRepository,
  publishAll,
  publishPaths,
  targetOf,
  type TestRepository,
} from '../support/repository.ts';
import { tempDir } from '../support/temp-dir.ts';

type Repository<S extends ObjectStore = ObjectStore> = TestRepository<S> & { readonly directory: string };

async function found<S extends ObjectStore>(store: S): Promise<Repository<S>> {
  const directory = await tempDir();
  const repository = await foundRepository({ bins: 4, store, ledgerPath: join(directory, 'ledger.db') });
  return { ...repository, directory };
}

/** The ledger as it is now, as SQLite's own backup has it; open, as if restored. */
async function backup({ directory }: Repository, name: string): Promise<SqliteLedger> {
  const database = new Database(join(directory, 'ledger.db'));
  const file = join(directory, `${name}.db`);
  database.exec(`VACUUM INTO '${file}'`);
  database.close();
  const ledger = await openSqliteLedger(file);
  onTestFinished(() => ledger.close());
  return ledger;
}

/** The same repository on another ledger. */
function on<S extends ObjectStore>(repository: Repository<S>, ledger: SqliteLedger): Repository<S> {
  const ports = { ...repository.ports, ledger, history: ledger, holder: 'restored:1:1' };
  return { ...repository, ledger, ports };
}

function later(repository: Repository, ms = 60_000): void {
  repository.clock.set(repository.clock.now() + ms);
}

async function upload(repository: Repository, id: string, ...changes: Change[]): Promise<void> {
  await accept(repository, changes, id);
}

function put(path: string, content: string): Change {
  return { op: 'put', path, target: targetOf(content) };
}

/** A path in bin `bin`. */
function pathIn({ layout }: Repository, bin: number, tag: string): string {
  for (let i = 0; ; i++) {
    const path = `${tag}/${i}`;
    if (layout.indexOf(path) === bin) return path;
  }
}

function portsOf({ ports, ledger, store }: Repository, told: UnknownTarget[] = []): ReconcilePorts {
  const { clock, holder, isGone } = ports;
  const tell = (target: UnknownTarget): unknown => told.push(target);
  return { ledger, store, clock, lifetimes: DAILY, holder, isGone, tell };
}

async function gapOf(repository: Repository, options: Partial<ReconcilePorts> = {}): Promise<Gap> {
  const gap = await findGap({ ...portsOf(repository), ...options });
  if (gap === undefined) throw new Error('there is no gap');
  return gap;
}

function adopt(repository: Repository, gap: Gap, options: Partial<ReconcilePorts> = {}): Promise<void> {
  const { signer } = repository;
  return adoptGap(gap, { ...portsOf(repository), ...options }, () => Promise.resolve({ signer }));
}

async function refused(code: ErrorCode, message: RegExp, work: Promise<unknown>): Promise<void> {
  const error = await work.then(
    () => undefined,
    (caught: unknown) => caught,
  );
  expect(error).toMatchObject({ code });
  expect((error as Error).message).toMatch(message);
}

async function begin({ ports }: Repository): Promise<void> {
  const lease = await takeLease(ports.ledger, ports.clock, ports);
  try {
    await Term.begin(ports, lease);
  } finally {
    await ports.ledger.lease({ holder: ports.holder, ttlMs: 0, now: ports.clock.now() });
  }
}

/** What is public, by path. */
async function listing({ store, ports }: Repository): Promise<ReadonlyMap<string, string>> {
  return new Map(Object.entries((await publicState(store, ports)).targets));
}

async function stateOf({ ledger }: Repository, id: string): Promise<unknown> {
  return (await ledger.events([id])).get(id)?.state;
}

/** Backed up at snapshot 2, and three publications later restored. */
async function restored(): Promise<{ lost: Repository<MemoryStore>; now: Repository<MemoryStore> }> {
  const lost = await found(memoryStore());
  await publishPaths(lost, ['a/1', 'a/2', 'a/3', 'a/4', 'a/5', 'a/6']);
  const ledger = await backup(lost, 'backup');
  later(lost);
  await publishPaths(lost, ['b/1', 'b/2']);
  later(lost);
  await upload(lost, 'replace', put('a/1', 'other'));
  await publishAll(lost);
  later(lost);
  await upload(lost, 'remove', { op: 'remove', path: 'a/2' });
  await publishAll(lost);
  later(lost);
  return { lost, now: on(lost, ledger) };
}

describe('a restored ledger', () => {
  test('is not published on; it is shown what it lacks, takes it over, and goes on', async () => {
    const { now } = await restored();
    const before = await listing(now);
    await refused('timestamp-conflict', /countersign reconcile/, begin(now));
    const told: UnknownTarget[] = [];
    const gap = await gapOf(now, portsOf(now, told));
    expect(told.map(({ op, path }) => `${op} ${path}`).sort()).toEqual([
      'added b/1',
      'added b/2',
      'removed a/2',
      'replaced a/1',
    ]);
    expect(gap.intent).toMatchObject({ snapshot: 5, timestamp: 5 });
    expect(gap.store).toMatchObject({ lacking: 3, retained: 3, writtenAhead: [] });
    await refused('timestamp-conflict', /countersign reconcile/, begin(now));
    await adopt(now, gap);
    // The log says what was taken over, and what nobody can account for any more.
    const audit = await verifyAudit(ledgerLines(now.ledger), now.store);
    expect(audit).toMatchObject({ problems: [], pending: 0, uncoveredSnapshots: [3, 4] });
    expect(await findGap(portsOf(now))).toBeUndefined();
    expect(await listing(now)).toEqual(before);
    await expectSound(now);
    await publishPaths(now, ['c/1']);
    expect([...(await listing(now)).keys()].sort()).toEqual([...before.keys(), 'c/1'].sort());
    expect((await now.ledger.head())?.snapshot).toBe(6);
    await expectSound(now);
  });

  test('events that the index sends again change nothing', async () => {
    const { now } = await restored();
    await adopt(now, await gapOf(now));
    const before = await listing(now);
    await upload(now, 'again', ...['b/1', 'b/2'].map((path) => put(path, path)));
    await upload(now, 'replace', put('a/1', 'other'));
    await upload(now, 'remove', { op: 'remove', path: 'a/2' });
    await publishAll(now);
    expect(await listing(now)).toEqual(before);
    expect(await stateOf(now, 'again')).toMatchObject({ state: 'published' });
    expect(await stateOf(now, 'remove')).toMatchObject({ state: 'rejected' });
    await expectSound(now);
  });

  test('that is at the publication of the store has nothing to do, finished or not', async () => {
    const repository = await found(memoryStore());
    await publishPaths(repository, ['a/1']);
    expect(await findGap(portsOf(repository))).toBeUndefined();
    for (const fault of ['fails', 'fails although it took place'] as const) {
      for (const write of ['advance', 'finish', 'replace'] as const) {
        const process = new FaultyProcess({ write, nth: 1, fault });
        const ports = {
          ...repository.ports,
          ledger: process.ledger(repository.ledger),
          store: process.store(repository.store),
        };
        await upload(repository, `${write} ${fault}`, put(`x/${write}`, fault));
        await expect(publishAll({ ports })).rejects.toThrow();
        expect(await findGap(portsOf(repository))).toBeUndefined();
        await publishAll(repository);
      }
    }
    await expectSound(repository);
  });

  test('finds a bin whose former content was collected listed, not compared', async () => {
    const { lost, now } = await restored();
    await collectGarbage({
      history: lost.ledger,
      store: lost.store,
      clock: lost.clock,
      snapshotsMs: 0,
      eventsMs: 1e9,
    });
    const told: UnknownTarget[] = [];
    const gap = await gapOf(now, portsOf(now, told));
    expect(gap.withoutBase.length).toBe(gap.bins.length);
    expect(new Set(told.map(({ op }) => op))).toEqual(new Set(['listed']));
    expect(gap.store).toMatchObject({ lacking: 3, retained: 1 });
    await refused('timestamp-conflict', /countersign reconcile/, begin(now));
    await adopt(now, gap);
    await publishPaths(now, ['c/1']);
    await expectSound(now);
  });
});

describe('events that waited in the backup', () => {
  test('are published, overtaken, or wait on: nothing that is public is undone', async () => {
    const lost = await found(memoryStore());
    const [one, two] = [pathIn(lost, 0, 'one'), pathIn(lost, 1, 'two')];
    const untouched = pathIn(lost, 3, 'three');
    await upload(lost, 'published', put(one, 'one'));
    await upload(lost, 'overtaken', put(two, 'old'));
    const passing = pathIn(lost, 1, 'passing');
    await upload(lost, 'added-and-removed', put(passing, 'x'));
    await upload(lost, 'half', put(one, 'one'), put(two, 'old'));
    const ledger = await backup(lost, 'backup');
    later(lost);
    await publishAll(lost);
    later(lost);
    await upload(lost, 'newer', put(two, 'new'), { op: 'remove', path: passing });
    await publishAll(lost);
    later(lost);
    const now = on(lost, ledger);
    const before = await listing(now);
    // Came in after the ledger was restored, before it was reconciled.
    await upload(now, 'after', put(two, 'newest'));
    await upload(now, 'waits', put(untouched, 'u'));
    const gap = await gapOf(now);
    expect(gap).toMatchObject({ superseded: ['overtaken', 'added-and-removed', 'half'], waiting: 2 });
    await adopt(now, gap);
    expect(await listing(now)).toEqual(before);
    expect(await stateOf(now, 'published')).toEqual({ state: 'published', snapshot: 3 });
    expect(await stateOf(now, 'overtaken')).toMatchObject({ state: 'rejected', code: 'event-superseded' });
    await publishAll(now);
    const after = await listing(now);
    expect(after.get(two)).toContain(targetOf('newest').hashes.sha256);
    expect(after.get(untouched)).toContain(targetOf('u').hashes.sha256);
    expect(after.has(passing)).toBe(false);
    await expectSound(now);
  });

  test('of a publication that the backup saw half-way are settled as it decided', async () => {
    const lost = await found(memoryStore());
    await publishPaths(lost, ['a/1']);
    await upload(lost, 'good', put('a/2', 'x'));
    await upload(lost, 'bad', { op: 'remove', path: 'never/there' });
    const dying = new FaultyProcess({ write: 'finish', nth: 1, fault: 'fails' });
    await expect(
      publishAll({ ports: { ...lost.ports, ledger: dying.ledger(lost.ledger) } }),
    ).rejects.toThrow();
    const ledger = await backup(lost, 'backup');
    later(lost);
    await publishAll(lost);
    await publishPaths(lost, ['b/1']);
    const now = on(lost, ledger);
    expect((await now.ledger.head())?.unfinished).toBeDefined();
    await adopt(now, await gapOf(now));
    expect(await stateOf(now, 'good')).toEqual({ state: 'published', snapshot: 4 });
    expect(await stateOf(now, 'bad')).toMatchObject({ state: 'rejected', code: 'target-absent' });
    await publishPaths(now, ['c/1']);
    await expectSound(now);
  });
});

describe('the last publication of the lost ledger was interrupted', () => {
  test('at any write: it is completed or was never there, and no public version has two contents', async () => {
    const writes = await writesOfOnePublication();
    expect(writes).toBeGreaterThan(3);
    for (let nth = 1; nth <= writes; nth++) {
      const lost = await found(await openFileStore(await tempDir()));
      await publishPaths(lost, ['a/1', 'a/2', 'a/3', 'a/4']);
      const ledger = await backup(lost, 'backup');
      later(lost);
      await publishPaths(lost, ['b/1']);
      later(lost);
      const fault = 'dies after it' as const;
      const dying =
        nth < writes
          ? new FaultyProcess({ write: 'putImmutable', nth, fault })
          : new FaultyProcess({ write: 'replace', nth: 1, fault });
      await upload(lost, 'last', ...Array.from({ length: 9 }, (_, i) => put(`c/${i}`, 'c')));
      const ports = { ...lost.ports, store: dying.store(lost.store) };
      await expect(publishAll({ ports })).rejects.toThrow();
      const now = on(lost, ledger);
      later(now);
      const gap = await gapOf(now);
      const [whole, isPublic] = [nth >= writes - 1, nth === writes];
      expect(gap.intent.snapshot, `after write ${nth}`).toBe(whole ? 4 : 3);
      expect(gap.store.unpublished !== undefined).toBe(whole && !isPublic);
      // Bins are written side by side: the others may have been written as well.
      if (whole) expect(gap.store.writtenAhead).toEqual([]);
      else expect(gap.store.writtenAhead.length).toBeGreaterThanOrEqual(nth);
      await adopt(now, gap);
      const contents = new TwoContents();
      for await (const { name } of now.store.list('metadata/')) {
        const bytes = (await now.store.get(name, 1e7))!.bytes;
        await contents
          .store(memoryStore())
          .putImmutable(name === TIMESTAMP_NAME ? 'metadata/1.t.json' : name, bytes);
      }
      await expectSound(now);
      await upload(now, 'last', ...Array.from({ length: 9 }, (_, i) => put(`c/${i}`, 'c')));
      await publishAll({ ports: { ...now.ports, store: contents.store(now.store) } });
      expect(contents.found).toEqual([]);
      expect((await listing(now)).has('c/8')).toBe(true);
      await expectSound(now);
    }
  });

  async function writesOfOnePublication(): Promise<number> {
    const repository = await found(memoryStore());
    const process = new FaultyProcess();
    await upload(repository, 'count', ...Array.from({ length: 9 }, (_, i) => put(`c/${i}`, 'c')));
    await publishAll({ ports: { ...repository.ports, store: process.store(repository.store) } });
    return (process.counts.get('putImmutable') ?? 0) + 1;
  }
});

describe('an adoption', () => {
  test('that dies at any write is taken up again', async () => {
    for (const write of ['lease', 'adopt', 'remove', 'replace'] as const) {
      for (const nth of write === 'lease' ? [1, 2] : [1]) {
        const lost = await found(await openFileStore(await tempDir()));
        await publishPaths(lost, ['a/1']);
        const ledger = await backup(lost, 'backup');
        later(lost);
        await publishPaths(lost, ['b/1']);
        later(lost);
        await upload(lost, 'last', ...Array.from({ length: 9 }, (_, i) => put(`c/${i}`, 'c')));
        const at = { write: write === 'replace' ? 'replace' : 'putImmutable', nth: 1 } as const;
        const killed = new FaultyProcess({ ...at, fault: write === 'replace' ? 'fails' : 'dies after it' });
        await expect(
          publishAll({ ports: { ...lost.ports, store: killed.store(lost.store) } }),
        ).rejects.toThrow();
        const now = on(lost, ledger);
        later(now);
        const dying = new FaultyProcess({ write, nth, fault: 'dies after it' });
        const ports = { ledger: dying.ledger(now.ledger), store: dying.store(now.store) };
        await expect(adopt(now, await gapOf(now), ports)).rejects.toThrow('dies after it');
        later(now);
        const gap = await findGap(portsOf(now));
        if (gap === undefined) expect(write).toBe('adopt');
        else await adopt(now, gap);
        await publishPaths(now, ['d/1']);
        await expectSound(now);
      }
    }
  });

  test('is refused while a publisher holds the lease, and when the store has changed since', async () => {
    const { lost, now } = await restored();
    const gap = await gapOf(now);
    await takeLease(now.ledger, now.clock, { holder: 'other:1:1', isGone: () => false });
    await refused('lease-lost', /other:1:1/, adopt(now, gap));
    later(now);
    await publishPaths(lost, ['meanwhile/1']);
    await refused('reconcile-refused', /somebody else publishes/, adopt(now, gap));
    expect((await now.ledger.head())?.snapshot).toBe(2);
    const again = await gapOf(now);
    expect(again.name).not.toBe(gap.name);
    await adopt(now, again);
    await expectSound(now);
  });

  test('has the same name as long as the store shows the same', async () => {
    const { now } = await restored();
    const { name } = await gapOf(now);
    later(now, 3_600_000);
    expect((await gapOf(now)).name).toBe(name);
  });
});

describe('a store that is not to be followed', () => {
  test('behind its ledger', async () => {
    const repository = await found(memoryStore());
    await publishPaths(repository, ['a/1']);
    const old = (await repository.store.get(TIMESTAMP_NAME, 1e7))!.bytes;
    await publishPaths(repository, ['a/2']);
    await publishPaths(repository, ['a/3']);
    for (const bytes of [old, undefined]) {
      repository.store.tamper(TIMESTAMP_NAME, bytes);
      await refused('reconcile-refused', /rolled back.*countersign copy/, findGap(portsOf(repository)));
      await refused('timestamp-conflict', /rolled back/, begin(repository));
    }
  });

  test('whose timestamp was rolled back to one after the backup', async () => {
    const { lost, now } = await restored();
    const old = (await now.store.get(TIMESTAMP_NAME, 1e7))!.bytes;
    await publishPaths(lost, ['d/1']);
    await publishPaths(lost, ['d/2']);
    now.store.tamper(TIMESTAMP_NAME, old);
    await refused('reconcile-refused', /holds snapshot 7.*rolled back/, findGap(portsOf(now)));
  });

  test('that shows less than somebody has seen', async () => {
    const { now } = await restored();
    await refused('reconcile-refused', /at least 6/, findGap({ ...portsOf(now), atLeast: 6 }));
    expect(await findGap({ ...portsOf(now), atLeast: 5 })).toBeDefined();
  });

  test('that holds another repository', async () => {
    const { now } = await restored();
    const { store } = await foundRepository({ bins: 4, seed: 9 });
    await refused('metadata-invalid', /1\.root\.json/, findGap({ ...portsOf(now), store }));
  });

  test.each(['a bin', 'its snapshot', 'a snapshot before', 'root'])(
    'in which %s was altered',
    async (what) => {
      const { now } = await restored();
      const { bins } = await gapOf(now);
      const { bin, version } = bins[0]!;
      const name = {
        'a bin': versionedName(now.layout.name(bin), version),
        'its snapshot': versionedName('snapshot', 5),
        'a snapshot before': versionedName('snapshot', 4),
        root: versionedName('root', 1),
      }[what]!;
      const bytes = Buffer.from((await now.store.get(name, 1e7))!.bytes);
      bytes[Math.floor(bytes.length / 2)]! ^= 1;
      now.store.tamper(name, bytes);
      await expect(findGap(portsOf(now))).rejects.toHaveProperty('code');
      expect((await now.ledger.head())?.snapshot).toBe(2);
    },
  );

  test('in which an empty bin stands in the place of a full one: whoever looks sees what is gone', async () => {
    const { now } = await restored();
    const honest = await gapOf(now);
    const victim = honest.bins.find(({ bin }) =>
      ['a/3', 'a/4', 'a/5', 'a/6'].some((path) => now.layout.indexOf(path) === bin),
    );
    const { bin, version } = victim!;
    const expires = new Date(victim!.expires).toISOString().replace('.000', '');
    const { signed } = BinDocument.empty(version, expires);
    const [signature] = await now.signer.sign([signed]);
    const sig = Buffer.from(signature!).toString('hex');
    const name = versionedName(now.layout.name(bin), version);
    now.store.tamper(name, metadataFile(signed, [{ keyid: now.signer.keyid, sig }]));
    const told: UnknownTarget[] = [];
    const gap = await gapOf(now, portsOf(now, told));
    const lostPaths = told.filter(({ op }) => op === 'removed').map(({ path }) => path);
    expect(lostPaths.filter((path) => path !== 'a/2').length).toBeGreaterThan(0);
    // What was looked at before has another name: it is not what would be taken over.
    expect(gap.name).not.toBe(honest.name);
  });
});
