// A repository moves from one store to another: interrupted at every write, published to meanwhile, collected meanwhile,
// altered on either side.
import { describe, expect, test } from 'vitest';
import type { BinState } from '../../src/ledger/ledger.ts';
import type { ErrorCode } from '../../src/lib/errors.ts';
import { copyStore, type CopyPorts, type CopyReport } from '../../src/publish/copy-store.ts';
import { collectGarbage } from '../../src/publish/retention.ts';
import { openFileStore } from '../../src/storage/file-store.ts';
import type { ObjectStore } from '../../src/storage/store.ts';
import { TIMESTAMP_NAME, versionedName } from '../../src/tuf/layout.ts';
import { FaultyProcess, faultRows } from '../support/faulty-ports.ts';
import { memoryStore, type MemoryStore } from '../support/memory-store.ts';
import { expectSound, violationsOf } from '../support/oracle.ts';
import { foundRepository, publishPaths, type TestRepository } from '../support/repository.ts';
import { tempDir } from '../support/temp-dir.ts';

/** Three snapshots (unless `rounds` says otherwise) beside the first, with bins of several versions. */
async function publishedRepository(
  options: { bins?: number; seed?: number; rounds?: number } = {},
): Promise<TestRepository> {
  const repository = await foundRepository({ bins: 8, ...options });
  for (let round = 1; round <= (options.rounds ?? 3); round++) {
    repository.clock.set(repository.clock.now() + 60_000);
    await publishPaths(repository, [`packages/a-${round}.whl`, `packages/b-${round}.whl`]);
  }
  return repository;
}

function copy(
  repository: TestRepository,
  to: ObjectStore,
  options: Partial<CopyPorts> = {},
): Promise<CopyReport> {
  const { store, clock, rootBytes } = repository;
  return copyStore({ from: store, to, clock, trustedRoot: rootBytes, ...options });
}

async function refused(code: ErrorCode, message: RegExp, work: Promise<unknown>): Promise<void> {
  const error = await work.then(
    () => undefined,
    (caught: unknown) => caught,
  );
  expect(error).toMatchObject({ code });
  expect((error as Error).message).toMatch(message);
}

async function expectSame(repository: TestRepository, to: MemoryStore): Promise<void> {
  expect(to.names()).toEqual(repository.store.names());
  for (const name of to.names()) {
    const [a, b] = await Promise.all([repository.store, to].map((store) => store.get(name, 1e7)));
    expect(b?.bytes, name).toEqual(a?.bytes);
  }
  const { clock, rootBytes, ledger } = repository;
  await expectSound({ store: to, clock, rootBytes, ledger });
}

describe('a copy', () => {
  test('is the repository to the byte, and a second one finds everything there', async () => {
    const repository = await publishedRepository();
    const to = memoryStore();
    const seen: number[] = [];
    const report = await copy(repository, to, { progress: (done) => seen.push(done) });
    await expectSame(repository, to);
    const total = to.names().length;
    expect(report).toMatchObject({
      snapshot: 4,
      oldestSnapshot: 1,
      copied: total,
      present: 0,
      caughtUp: true,
    });
    expect(seen.at(-1)).toBe(total);
    expect(await copy(repository, to)).toMatchObject({ copied: 0, present: total });
    await publishPaths(repository, ['packages/later.whl']);
    expect((await copy(repository, to)).copied).toBe(3);
    await expectSame(repository, to);
  });

  test('goes from directory to directory', async () => {
    const from = await openFileStore(await tempDir());
    const repository = await foundRepository({ store: from, bins: 8 });
    await publishPaths(repository, ['packages/a.whl']);
    const to = await openFileStore(await tempDir());
    await copyStore({ from, to, clock: repository.clock, trustedRoot: repository.rootBytes });
    await expectSound({ ...repository, store: to });
  });

  test('that only looks writes nothing, and says what it would write', async () => {
    const repository = await publishedRepository();
    const to = memoryStore();
    const report = await copy(repository, to, { dryRun: true });
    expect(to.names()).toEqual([]);
    expect(await copy(repository, to)).toEqual(report);
    expect(await copy(repository, to, { dryRun: true })).toMatchObject({ copied: 0, present: report.copied });
    const { store, clock } = repository;
    expect(await copyStore({ from: store, to: undefined, clock, dryRun: true })).toEqual(report);
  });

  test('of a repository that has expired is made all the same', async () => {
    const repository = await publishedRepository();
    repository.clock.set(repository.clock.now() + 3 * 86_400_000);
    const to = memoryStore();
    await copy(repository, to);
    expect(to.names()).toEqual(repository.store.names());
  });
});

describe('an interruption', () => {
  test('at any write leaves a store without a timestamp or a sound one, and the next run completes it', async () => {
    const repository = await publishedRepository({ bins: 2, rounds: 2 });
    const undisturbed = new FaultyProcess();
    await copy(repository, undisturbed.store(memoryStore()));
    const rows = faultRows(undisturbed.counts, 0);
    expect(rows.length).toBeGreaterThan(30);
    for (const row of rows) {
      const to = memoryStore();
      const interrupted = new FaultyProcess(row);
      await refused('store-unavailable', /./, copy(repository, interrupted.store(to)));
      expect(interrupted.happened, JSON.stringify(row)).toBe(true);
      if (to.names().includes(TIMESTAMP_NAME)) {
        await expectSound({ ...repository, store: to });
      }
      await copy(repository, to);
      await expectSame(repository, to);
    }
  });

  test('of an update leaves what the destination showed before', async () => {
    const repository = await publishedRepository({ bins: 4 });
    const before = memoryStore();
    await copy(repository, before);
    await publishPaths(repository, ['packages/later.whl']);
    const { clock, rootBytes } = repository;
    for (const nth of [1, 2]) {
      const to = memoryStore();
      await copyStore({ from: before, to, clock });
      const dying = new FaultyProcess({ write: 'putImmutable', nth, fault: 'dies after it' });
      await refused('store-unavailable', /./, copy(repository, dying.store(to)));
      expect(
        (await violationsOf({ store: to, clock, rootBytes })).filter(({ rule }) => rule !== 'storage-ahead'),
      ).toEqual([]);
      await copy(repository, to);
      await expectSame(repository, to);
    }
  });
});

describe('a source that is published to', () => {
  test('is refused, and nothing becomes visible', async () => {
    const repository = await publishedRepository();
    const to = memoryStore();
    const progress = once(() => publishPaths(repository, ['packages/meanwhile.whl']));
    const busy = { ...repository, store: progress.store(repository.store) };
    await refused('copy-refused', /--live/, copy(busy as TestRepository, to));
    expect(to.names()).not.toContain(TIMESTAMP_NAME);
  });

  test('is copied until the copy has caught up', async () => {
    const repository = await publishedRepository();
    const to = memoryStore();
    const progress = once(async () => {
      repository.clock.set(repository.clock.now() + 60_000);
      await publishPaths(repository, ['packages/meanwhile.whl']);
    });
    const { clock, store } = repository;
    const report = await copyStore({ from: progress.store(store), to, clock, live: true });
    expect(report).toMatchObject({ snapshot: 5, caughtUp: true });
    await expectSame(repository, to);
  });

  test('may be collected meanwhile: the copy is sound, and ends where the source does', async () => {
    const repository = await publishedRepository();
    const { clock, ledger, store, rootBytes } = repository;
    const to = memoryStore();
    const collected = once(
      () => collectGarbage({ history: ledger, store, clock, snapshotsMs: 0, eventsMs: 1e9 }),
      (name) => name === versionedName('snapshot', 3),
    );
    clock.set(clock.now() + 1000);
    const report = await copyStore({ from: collected.store(store), to, clock, live: true });
    expect(report).toMatchObject({ snapshot: 4, oldestSnapshot: 4 });
    await expectSound({ store: to, clock, rootBytes, ledger });
  });
});

describe('what is not as it should be', () => {
  test.each([
    ['a bin', (r: TestRepository) => binName(r)],
    ['an older snapshot', () => versionedName('snapshot', 2)],
    ['the current snapshot', () => versionedName('snapshot', 4)],
    ['timestamp', () => TIMESTAMP_NAME],
    ['root', () => versionedName('root', 1)],
    ['targets', () => versionedName('targets', 1)],
    ['bins', () => versionedName('bins', 1)],
  ])('%s in the source: altered or absent, it is not copied', async (_, nameOf) => {
    const repository = await publishedRepository();
    const name = nameOf(repository);
    const good = (await repository.store.get(name, 1e7))?.bytes ?? new Uint8Array();
    const bad = Buffer.from(good.toString().length > 0 ? good : []);
    bad[Math.floor(bad.length / 2)]! ^= 1;
    for (const bytes of [bad, undefined]) {
      repository.store.tamper(name, bytes);
      const to = memoryStore();
      await expect(copy(repository, to)).rejects.toHaveProperty('code');
      expect(to.names()).not.toContain(TIMESTAMP_NAME);
      expect(to.names()).not.toContain(name);
    }
  });

  test('two bins of one version in each other’s place: the ledger of the source tells', async () => {
    const repository = await publishedRepository();
    const { store, layout, ledger } = repository;
    const twins = (await ledger.bins()).filter(({ version }) => version === 2);
    expect(twins.length).toBeGreaterThan(1);
    const [name, twin] = twins.map(({ bin }) => versionedName(layout.name(bin), 2));
    const other = (await store.get(twin!, 1e7))!.bytes;
    store.tamper(name!, other);
    await refused('metadata-invalid', /belongs to/, copy(repository, memoryStore()));
    const bins = await ledger.bins();
    const forged = bins.map((state) => ({ ...state, sha256: 'ab'.repeat(32) }));
    const fresh = await publishedRepository();
    const ledgerBins = { snapshot: 4, bins: byNumber(forged) };
    await refused('length-or-hash-mismatch', /the ledger says/, copy(fresh, memoryStore(), { ledgerBins }));
    const truth = { snapshot: 4, bins: byNumber(await fresh.ledger.bins()) };
    await copy(fresh, memoryStore(), { ledgerBins: truth });
  });

  test('another root than the trusted one', async () => {
    const repository = await publishedRepository();
    const { rootBytes } = await publishedRepository({ seed: 2 });
    await refused(
      'metadata-invalid',
      /1\.root\.json/,
      copy(repository, memoryStore(), { trustedRoot: rootBytes }),
    );
  });

  test('a destination with other content under a name is refused by that name, and left as it is', async () => {
    const repository = await publishedRepository();
    for (const name of [binName(repository), versionedName('snapshot', 4), versionedName('root', 1)]) {
      for (const size of [10, 100_000]) {
        const to = memoryStore();
        const strange = Buffer.alloc(size, 'x');
        to.tamper(name, strange);
        await refused('copy-refused', new RegExp(name), copy(repository, to));
        expect((await to.get(name, 1e7))?.bytes).toEqual(Uint8Array.from(strange));
        expect(to.names()).not.toContain(TIMESTAMP_NAME);
      }
    }
  });

  test('a destination that is ahead, or another repository, is refused', async () => {
    const repository = await publishedRepository();
    const to = memoryStore();
    await copy(repository, to);
    const old = (await repository.store.get(TIMESTAMP_NAME, 1e7))!.bytes;
    await publishPaths(repository, ['packages/later.whl']);
    await copy(repository, to);
    repository.store.tamper(TIMESTAMP_NAME, old);
    await refused('copy-refused', /ahead/, copy(repository, to));
    const stranger = await publishedRepository({ seed: 2 });
    await refused('copy-refused', /not one of this repository/, copy(stranger, to));
  });

  test('a destination that somebody else writes to at the same time keeps what is there', async () => {
    const repository = await publishedRepository();
    const to = memoryStore();
    const first = new Map<string, boolean>();
    const racing: ObjectStore = {
      get: (name, max) => to.get(name, max),
      list: (prefix) => to.list(prefix),
      remove: (name) => to.remove(name),
      putImmutable: (name, bytes) => to.putImmutable(name, bytes),
      replace: async (name, bytes, token) => {
        if (!first.has(name)) {
          first.set(name, true);
          await copy(repository, to);
        }
        return to.replace(name, bytes, token);
      },
    };
    await refused('copy-refused', /somebody else/, copy(repository, racing));
    await expectSame(repository, to);
  });
});

function binName({ layout }: TestRepository): string {
  return versionedName(layout.name(layout.indexOf('packages/a-1.whl')), 2);
}

/** Does `work` once, before the first read of an object that `when` names: by default, the current snapshot. */
function once(
  work: () => Promise<unknown>,
  when = (name: string): boolean => name === versionedName('snapshot', 4),
): { store: (store: ObjectStore) => ObjectStore } {
  let done = false;
  return {
    store: (store) => ({
      get: async (name, maxBytes) => {
        if (!done && when(name)) {
          done = true;
          await work();
        }
        return store.get(name, maxBytes);
      },
      list: (prefix) => store.list(prefix),
      remove: (name) => store.remove(name),
      putImmutable: (name, bytes) => store.putImmutable(name, bytes),
      replace: (name, bytes, token) => store.replace(name, bytes, token),
    }),
  };
}

function byNumber(bins: readonly BinState[]): Map<number, BinState> {
  return new Map(bins.map((state) => [state.bin, state]));
}
