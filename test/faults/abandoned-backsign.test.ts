// What a run of back-signing has staged in the store, when the run is killed, stands still or is given up: garbage collection
// removes it when nobody needs it any more, and whoever comes back to it signs what an undisturbed run would have signed.
import { readdir, utimes } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { crewOfOne } from '../../src/backsign/crew.ts';
import { KeptStaging } from '../../src/backsign/kept-staging.ts';
import type { BacksignOrder } from '../../src/backsign/order.ts';
import { Backsigner } from '../../src/backsign/publication.ts';
import { stage, type StagingPorts } from '../../src/backsign/staging.ts';
import { collectStaging, type StagingGarbagePorts } from '../../src/backsign/staging-garbage.ts';
import type { Clock } from '../../src/lib/clock.ts';
import { CountersignError } from '../../src/lib/errors.ts';
import { openFileStore } from '../../src/storage/file-store.ts';
import type { ObjectStore } from '../../src/storage/store.ts';
import { stagedName, STAGING_PREFIX } from '../../src/tuf/layout.ts';
import { MemoryStore, memoryStore } from '../support/memory-store.ts';
import { expectSound } from '../support/oracle.ts';
import { publicState } from '../support/public-state.ts';
import { eventually, startPublisher } from '../support/publisher-process.ts';
import { FOUNDED_AT, foundRepository, publishAll } from '../support/repository.ts';
import { RunningClock } from '../support/running-clock.ts';
import { pathsOf, sortedFiles } from '../support/sorted-files.ts';
import { tempDir } from '../support/temp-dir.ts';

const HOUR_MS = 3_600_000;
const BINS = 64;
const FILES = 1000;

const quiet = (): void => undefined;

/** A repository, and a run on some other computer that has sorted its files. */
async function scene(store = memoryStore()) {
  const clock = new RunningClock(FOUNDED_AT + HOUR_MS);
  store.clock = clock;
  const repository = await foundRepository({ bins: BINS, store });
  const { ledger } = repository;
  const { folder, prepared } = await sortedFiles(BINS, FILES);
  const staging = { store, folder, prepared, crew: crewOfOne() };
  const ports = {
    ...repository.ports,
    clock,
    backsign: new Backsigner({ crew: crewOfOne(), binsAtOnce: 16 }),
  };
  const place = (staged: string): Promise<number> => {
    const order = { staged, digest: prepared.digest, since: 1 } satisfies BacksignOrder;
    return ledger.placeOrder('backsign', JSON.stringify(order), clock.now());
  };
  const collect = (options: Partial<StagingGarbagePorts> = {}) =>
    collectStaging({ ledger, store, clock, snapshotsMs: HOUR_MS, ...options });
  const stagedNames = (): string[] => store.names().filter((name) => name.startsWith(STAGING_PREFIX));
  return { repository, ledger, store, clock, prepared, staging, ports, place, collect, stagedNames };
}

type Scene = Awaited<ReturnType<typeof scene>>;

/** As the command does: ordered, waited for, looked after. */
async function orderAndWait({ ledger, place }: Scene, kept: KeptStaging, staged: string): Promise<void> {
  const order = await place(staged);
  await eventually('the order is settled', async () => {
    await kept.look();
    return (await ledger.orderState(order))?.state !== 'open';
  });
  const state = await ledger.orderState(order);
  if (state?.state === 'refused') throw new CountersignError('backsign-state', state.reason);
}

function keptStaging({ staging, clock }: { readonly staging: StagingPorts; readonly clock: Clock }): {
  kept: KeptStaging;
  restored: number[];
} {
  const restored: number[] = [];
  return {
    kept: new KeptStaging({ ...staging, clock, restored: (count) => restored.push(count) }),
    restored,
  };
}

async function checkEnd({ repository, store, clock, stagedNames }: Scene): Promise<void> {
  const { targets } = await publicState(store, repository.ports);
  expect(Object.keys(targets)).toEqual(pathsOf(FILES));
  await expectSound({ store, clock, rootBytes: repository.rootBytes });
  expect(stagedNames()).toEqual([]);
}

/** The same store, in which only the first `allowed` objects can be written. */
function dying(store: ObjectStore, allowed: number): ObjectStore {
  let count = 0;
  return {
    get: (name, maxBytes) => store.get(name, maxBytes),
    replace: (name, bytes, token) => store.replace(name, bytes, token),
    list: (prefix) => store.list(prefix),
    remove: (name) => store.remove(name),
    putImmutable: (name, bytes) => {
      if (count++ >= allowed) throw new Error('killed');
      return store.putImmutable(name, bytes);
    },
  };
}

test.each([0, 1, 2, 30, BINS, BINS + 1, BINS + 2])(
  'a run that was killed after %s objects, and collected, comes to the same end when it is resumed',
  async (allowed) => {
    const current = await scene();
    const { staging, store, clock, collect, stagedNames, ports } = current;
    const undisturbed = await stage({ ...staging, store: new MemoryStore() }, clock.now(), quiet);
    await stage({ ...staging, store: dying(store, allowed) }, clock.now(), quiet).catch(quiet);
    expect(stagedNames()).toHaveLength(Math.min(allowed, BINS + 2));
    expect(await collect()).toMatchObject({ stagedRemoved: 0, stagedKept: stagedNames().length });
    clock.jump(25 * HOUR_MS);
    const found = stagedNames().length;
    expect(await collect()).toMatchObject({ stagedRemoved: found, stagedKept: 0 });
    expect(stagedNames()).toEqual([]);
    const { kept, restored } = keptStaging(current);
    const staged = await kept.put(quiet);
    expect(staged).toBe(undisturbed);
    startPublisher(ports, { holder: 'publisher', clock });
    await kept.during(() => orderAndWait(current, kept, staged));
    await kept.remove();
    expect(restored).toEqual([]);
    await checkEnd(current);
  },
);

describe('nothing is removed', () => {
  test('that an open order names, however old it is, or the publication that carries it out', async () => {
    const current = await scene();
    const { staging, clock, collect, ledger, place, ports, stagedNames } = current;
    const order = await place(await stage(staging, clock.now(), quiet));
    clock.jump(1000 * HOUR_MS);
    const all = { stagedRemoved: 0, stagedRemovedBytes: 0, stagedKept: BINS + 2 };
    expect(await collect()).toEqual(all);
    // Some bins are signed; then the publisher breaks off behind the commit point.
    const { backsign } = ports;
    let completed = 0;
    const breaking = {
      next: backsign.next.bind(backsign),
      write: backsign.write.bind(backsign),
      complete: async (...given: Parameters<typeof backsign.complete>) => {
        if (completed++ > 0) throw new Error('it breaks off');
        return backsign.complete(...given);
      },
    };
    await expect(publishAll({ ports: { ...ports, backsign: breaking } })).rejects.toThrow('it breaks off');
    expect((await ledger.head())?.unfinished?.backsign).toBeDefined();
    expect(await collect()).toEqual(all);
    startPublisher(ports, { holder: 'publisher', clock });
    await eventually('the order is done', async () => (await ledger.orderState(order))?.state === 'done');
    // The command was killed: nobody takes it away.
    expect(stagedNames()).toHaveLength(BINS + 2);
    expect(await collect()).toMatchObject({ stagedRemoved: BINS + 2, stagedKept: 0 });
    await checkEnd(current);
  });

  test('that another node has begun to stage, or has come back to', async () => {
    const current = await scene();
    const { staging, store, clock, collect, stagedNames } = current;
    const other = await sortedFiles(BINS, FILES + 1);
    await stage(staging, clock.now(), quiet);
    clock.jump(25 * HOUR_MS);
    await stage({ ...staging, ...other, store: dying(store, 5) }, clock.now(), quiet).catch(quiet);
    expect(await collect({ dryRun: true })).toMatchObject({ stagedRemoved: BINS + 2, stagedKept: 5 });
    expect(stagedNames()).toHaveLength(BINS + 2 + 5);
    // A resumed run finds everything there, writes its name, and is killed.
    await stage({ ...staging, store: dying(store, 1) }, clock.now(), quiet);
    expect(await collect()).toMatchObject({ stagedRemoved: 0, stagedKept: BINS + 3 + 5 });
    clock.jump(25 * HOUR_MS);
    expect(await collect()).toMatchObject({ stagedRemoved: BINS + 3 + 5, stagedKept: 0 });
  });

  test('sooner than superseded metadata are, nor sooner than after a day', async () => {
    const { staging, clock, collect } = await scene();
    await stage(staging, clock.now(), quiet);
    clock.jump(23 * HOUR_MS);
    expect(await collect()).toMatchObject({ stagedRemoved: 0 });
    clock.jump(24 * HOUR_MS);
    expect(await collect({ snapshotsMs: 72 * HOUR_MS })).toMatchObject({ stagedRemoved: 0 });
    clock.jump(26 * HOUR_MS);
    expect(await collect({ snapshotsMs: 72 * HOUR_MS })).toMatchObject({ stagedRemoved: BINS + 2 });
  });

  test('whose age nobody can tell, and nothing that is no part of a run', async () => {
    const { staging, store, clock, collect, stagedNames } = await scene();
    delete store.clock;
    await store.putImmutable(stagedName('0'.repeat(64), '1'), Buffer.from('x'));
    await store.putImmutable('backsign/notes', Buffer.from('x'));
    await stage(staging, clock.now(), quiet);
    expect(await collect()).toMatchObject({ stagedRemoved: 0, stagedKept: BINS + 3 });
    clock.jump(25 * HOUR_MS);
    // The run itself has said when it began.
    expect(await collect()).toMatchObject({ stagedRemoved: BINS + 2, stagedKept: 1 });
    expect(stagedNames()).toHaveLength(2);
  });
});

test('a run that stood still between staging and its order stages again and is signed', async () => {
  const current = await scene();
  const { clock, collect, ports, stagedNames } = current;
  const { kept, restored } = keptStaging(current);
  const staged = await kept.put(quiet);
  clock.jump(25 * HOUR_MS);
  await collect();
  expect(stagedNames()).toEqual([]);
  const { log } = startPublisher(ports, { holder: 'publisher', clock });
  let attempts = 0;
  await kept.during(async () => {
    const order = await current.place(staged);
    // The first one is refused before anybody looks.
    if (attempts++ === 0) {
      await eventually('it is refused', () => log.some(({ msg }) => msg.includes('back-signing refused')));
      throw new CountersignError('backsign-state', (await current.ledger.orderState(order))?.state ?? '');
    }
    await orderAndWait(current, kept, staged);
  });
  expect(attempts).toBe(2);
  expect(restored).toEqual([BINS + 1]);
  await kept.remove();
  await checkEnd(current);
});

test('a run that stood still in the midst of staging puts back what was collected meanwhile', async () => {
  const current = await scene();
  const { staging, store, clock, collect, ports } = current;
  let count = 0;
  const standing: ObjectStore = {
    ...dying(store, Number.POSITIVE_INFINITY),
    putImmutable: async (name, bytes) => {
      if (count++ === 20) {
        clock.jump(25 * HOUR_MS);
        expect((await collect()).stagedRemoved).toBeGreaterThan(0);
      }
      return store.putImmutable(name, bytes);
    },
  };
  const { kept, restored } = keptStaging({ clock, staging: { ...staging, store: standing } });
  const staged = await kept.put(quiet);
  startPublisher(ports, { holder: 'publisher', clock });
  await kept.during(() => orderAndWait(current, kept, staged));
  expect(restored).toHaveLength(1);
  await kept.remove();
  await checkEnd(current);
});

test('an order that is placed while a collection removes what it names is carried out', async () => {
  const current = await scene();
  const { store, clock, collect, ports } = current;
  const { kept, restored } = keptStaging(current);
  const staged = await kept.put(quiet);
  clock.jump(25 * HOUR_MS);
  let removals = 0;
  let waiting: Promise<void> | undefined;
  const beside: ObjectStore = {
    ...dying(store, 0),
    remove: async (name) => {
      if (removals++ === 10) {
        startPublisher(ports, { holder: 'publisher', clock });
        waiting = kept.during(() => orderAndWait(current, kept, staged));
        await eventually('it puts back what is missing', () => restored.length > 0);
      }
      await store.remove(name);
    },
  };
  await collect({ store: beside });
  await waiting;
  await kept.remove();
  await checkEnd(current);
});

test('an order that is refused for another reason is not placed again', async () => {
  const current = await scene();
  const { kept } = keptStaging(current);
  await kept.put(quiet);
  let attempts = 0;
  const order = (): Promise<never> => {
    attempts += 1;
    return Promise.reject(new CountersignError('backsign-state', 'another number of bins'));
  };
  await expect(kept.during(order)).rejects.toThrow('another number of bins');
  expect(attempts).toBe(1);
});

test('in a directory, what was abandoned is found by the times of its files', async () => {
  const { staging, collect, clock } = await scene();
  const root = join(await tempDir(), 'store');
  const store = await openFileStore(root);
  await stage({ ...staging, store }, clock.now(), quiet);
  const folder = join(root, STAGING_PREFIX, staging.prepared.digest);
  // Written now, which is later than the test's time.
  expect(await collect({ store })).toMatchObject({ stagedRemoved: 0, stagedKept: BINS + 2 });
  const seconds = clock.now() / 1000;
  for (const name of await readdir(folder)) await utimes(join(folder, name), seconds, seconds);
  expect(await collect({ store })).toMatchObject({ stagedRemoved: 0 });
  clock.jump(25 * HOUR_MS);
  expect(await collect({ store })).toMatchObject({ stagedRemoved: BINS + 2, stagedKept: 0 });
  expect(await readdir(folder)).toEqual([]);
});
