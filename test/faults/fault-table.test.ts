// The fault table: every write of an undisturbed run, made to fail, to fail although it took place, or to be the last
// thing its process does. Whatever happened, the work is finished afterwards, nothing is lost, nothing is done twice,
// and no version ever has two contents. The memory store fails a test by itself when a reader could have been hurt.
import { describe, expect, test } from 'vitest';
import type { Change, UploadEvent } from '../../src/ledger/ledger.ts';
import { bootstrap } from '../../src/publish/bootstrap.ts';
import { LEASE_TTL_MS } from '../../src/publish/lease.ts';
import { collectGarbage } from '../../src/publish/retention.ts';
import { openSqliteLedger } from '../../src/ledger/sqlite-ledger.ts';
import { FaultyProcess, faultRows, TwoContents, type PlannedFault } from '../support/faulty-ports.ts';
import { memoryStore } from '../support/memory-store.ts';
import { expectSound } from '../support/oracle.ts';
import { NaiveCatalogue, publicState } from '../support/public-state.ts';
import { eventually, startPublisher, untilSettled } from '../support/publisher-process.ts';
import {
  accept,
  DAILY,
  FOUNDED_AT,
  foundRepository,
  publishAll,
  targetOf,
  type FoundOptions,
  type TestRepository,
} from '../support/repository.ts';
import { RunningClock } from '../support/running-clock.ts';
import type { MemoryStore } from '../support/memory-store.ts';

const HOUR_MS = 3_600_000;
const ALGORITHMS = ['ed25519', 'ecdsa-p256'] as const;

/** Schedules differ from run to run. */
const REPEATS = process.env['SLOW'] === '1' ? 10 : 1;

function add(path: string): Change {
  return { op: 'add', path, target: targetOf(path) };
}

const BEFORE: readonly Change[] = [add('a/1'), add('b/2'), add('c/3'), add('d/4')];

/** Several events over several bins, one of them refused, one without effect. */
const EVENTS: readonly UploadEvent[] = [
  { id: 'upload', changes: [add('e/5'), add('f/6'), add('g/7')] },
  { id: 'replace', changes: [{ op: 'put', path: 'a/1', target: targetOf('new') }] },
  { id: 'refused', changes: [add('h/8'), { op: 'add', path: 'b/2', target: targetOf('other') }] },
  { id: 'no effect', changes: [add('c/3')] },
  { id: 'remove', changes: [{ op: 'remove', path: 'd/4' }, add('i/9')] },
];
const IDS = EVENTS.map(({ id }) => id);

interface Stage {
  readonly repository: TestRepository;
  readonly contents: TwoContents;
  readonly clock: RunningClock;
}

/** A repository with something published, watched for versions with two contents. */
async function stage(options: FoundOptions<MemoryStore>, hoursLater: number): Promise<Stage> {
  const repository = await foundRepository({ bins: 4, ...options });
  await accept(repository, BEFORE, 'before');
  await publishAll(repository);
  return {
    repository,
    contents: new TwoContents(),
    clock: new RunningClock(FOUNDED_AT + hoursLater * HOUR_MS),
  };
}

/** Runs a publisher whose writes go wrong, and its successor if it dies, until `done`. */
async function disturb(
  { repository, contents, clock }: Stage,
  faulty: FaultyProcess,
  done: () => Promise<boolean>,
): Promise<void> {
  const store = contents.store(repository.store);
  const ledger = faulty.ledger(repository.ledger);
  const first = startPublisher(repository.ports, {
    holder: 'first',
    clock,
    ports: { store: faulty.store(store), ledger, history: ledger },
  });
  // Whoever waits on a process that dies gets no answer from it.
  const answers = first.waiter
    .wait(IDS, HOUR_MS, new AbortController().signal)
    .catch((): Awaited<ReturnType<typeof first.waiter.wait>> => new Map());
  await eventually('the work is done, or the process dead', async () => faulty.isDead || (await done()));
  if (faulty.isDead) {
    const isGone = (holder: string): boolean => holder === 'first';
    const second = startPublisher(repository.ports, { holder: 'second', clock, isGone, ports: { store } });
    const states = await second.waiter.wait(IDS, HOUR_MS, new AbortController().signal);
    expect([...states.values()].filter(({ state }) => state === 'accepted')).toEqual([]);
    await eventually('the successor has done the work', done);
    await second.publisher.stop();
  } else {
    const states = await answers;
    expect([...states.values()].filter(({ state }) => state === 'accepted')).toEqual([]);
  }
  await first.publisher.stop();
  expect(contents.found).toEqual([]);
}

async function checkEvents({ repository }: Stage): Promise<void> {
  const { ledger, store, ports } = repository;
  await expectSound(repository);
  const states = await untilSettled(repository, IDS);
  expect(Object.fromEntries([...states].map(([id, { state }]) => [id, state]))).toEqual({
    upload: 'published',
    replace: 'published',
    refused: 'rejected',
    'no effect': 'published',
    remove: 'published',
  });
  expect(await ledger.backlog()).toEqual({ events: 0 });
  const model = new NaiveCatalogue();
  for (const changes of [BEFORE, ...EVENTS.map((event) => event.changes)]) model.apply(changes);
  const { targets, snapshot, timestamp } = await publicState(store, ports);
  expect(targets).toEqual(model.listing());
  const head = await ledger.head();
  expect(head).toMatchObject({ snapshot, timestamp });
  expect(head?.unfinished).toBeUndefined();
  // What each publication says it did, played one after the other, is the catalogue: nothing was done twice.
  const history = await ledger.changes(0, 100);
  expect(history.map((entry) => entry.snapshot)).toEqual(history.map((_, index) => index + 1));
  const played = new NaiveCatalogue();
  for (const { op, path, target } of history.flatMap(({ changes }) => changes)) {
    expect(played.get(path) === undefined, `${op} ${path}`).toBe(op === 'added');
    played.apply([target === undefined ? { op: 'remove', path } : { op: 'put', path, target }]);
  }
  expect(played.listing()).toEqual(model.listing());
}

const noEventWaits =
  ({ ledger }: TestRepository) =>
  async (): Promise<boolean> =>
    (await ledger.backlog()).events === 0 && (await ledger.head())?.unfinished === undefined;

const everyBinHasVersion = (repository: TestRepository, version: number) => async (): Promise<boolean> =>
  (await repository.ledger.bins()).every((bin) => bin.version >= version) &&
  (await noEventWaits(repository)());

function title({ write, nth, fault }: PlannedFault): string {
  return `${write} ${nth} ${fault}`;
}

describe.each(ALGORITHMS)('%s', (algorithm) => {
  test('a publication of events', async () => {
    const run = async (planned?: PlannedFault): Promise<FaultyProcess> => {
      const current = await stage({ algorithm }, 1);
      const { repository, clock } = current;
      await repository.ledger.append(EVENTS, clock.now());
      const faulty = new FaultyProcess(planned);
      await disturb(current, faulty, noEventWaits(repository));
      await checkEvents(current);
      return faulty;
    };
    const { counts } = await run();
    expect(Object.fromEntries(counts)).toMatchObject({
      advance: 1,
      finish: 1,
      replace: 1,
      putImmutable: 4,
      stage: 2,
    });
    for (const row of repeated(faultRows(counts, 1))) {
      const { happened } = await run(row).catch((error: unknown) => {
        throw new Error(title(row), { cause: error });
      });
      expect(happened, title(row)).toBe(true);
    }
  });

  test('a renewal', async () => {
    const run = async (planned?: PlannedFault): Promise<FaultyProcess> => {
      const current = await stage({ algorithm }, 13);
      const { repository, clock } = current;
      const faulty = new FaultyProcess(planned);
      await disturb(current, faulty, everyBinHasVersion(repository, 2));
      await expectSound({ ...repository, clock });
      const model = new NaiveCatalogue();
      model.apply(BEFORE);
      expect((await publicState(repository.store, repository.ports)).targets).toEqual(model.listing());
      return faulty;
    };
    const { counts } = await run();
    expect(counts.get('advance')).toBeGreaterThanOrEqual(1);
    for (const row of repeated(faultRows(counts, 1))) {
      const { happened } = await run(row).catch((error: unknown) => {
        throw new Error(title(row), { cause: error });
      });
      expect(happened, title(row)).toBe(true);
    }
  });

  test('bootstrap', async () => {
    const {
      bundleBytes,
      signer,
      clock,
      ports,
      store: undisturbed,
    } = await foundRepository({
      bins: 4,
      algorithm,
    });
    const run = async (planned?: PlannedFault): Promise<FaultyProcess> => {
      const ledger = await openSqliteLedger(':memory:');
      const store = memoryStore();
      const contents = new TwoContents();
      const faulty = new FaultyProcess(planned);
      const process = { signer, clock, lifetimes: DAILY, holder: 'first', isGone: () => true };
      const faultyLedger = faulty.ledger(ledger);
      const first = bootstrap(bundleBytes, {
        ...process,
        ledger: faultyLedger,
        history: faultyLedger,
        store: faulty.store(contents.store(store)),
      });
      try {
        await first;
      } catch {
        const again = { ...process, holder: 'second', ledger, history: ledger, store: contents.store(store) };
        // Also when it had founded the repository, and failed to say so.
        await bootstrap(bundleBytes, again);
      }
      expect(contents.found).toEqual([]);
      expect(store.names()).toEqual(undisturbed.names());
      expect(await publicState(store, { history: ledger })).toMatchObject({ snapshot: 1, timestamp: 1 });
      // A lease that could not be given back ends by itself.
      clock.advance(2 * LEASE_TTL_MS);
      const repository = { ports: { ...ports, ledger, history: ledger, store } };
      await ledger.append([{ id: 'first', changes: BEFORE }], clock.now());
      await publishAll(repository);
      expect((await ledger.events(['first'])).get('first')?.state).toEqual({
        state: 'published',
        snapshot: 2,
      });
      await ledger.close();
      return faulty;
    };
    const { counts } = await run();
    expect(Object.fromEntries(counts)).toEqual({
      lease: 2,
      advance: 1,
      putImmutable: 8,
      stage: 2,
      replace: 1,
      finish: 1,
    });
    for (const row of repeated(faultRows(counts, 2))) {
      const { happened } = await run(row).catch((error: unknown) => {
        throw new Error(title(row), { cause: error });
      });
      expect(happened, title(row)).toBe(true);
    }
  });
});

test('intake', async () => {
  for (const fault of ['fails', 'fails although it took place', 'dies after it'] as const) {
    const { repository, clock } = await stage({}, 1);
    const faulty = new FaultyProcess({ write: 'append', nth: 1, fault });
    await expect(faulty.ledger(repository.ledger).append(EVENTS, clock.now())).rejects.toMatchObject({
      code: 'ledger-unavailable',
    });
    // The client does not know, and sends the same events again.
    const receipts = await repository.ledger.append(EVENTS, clock.now());
    expect(receipts.map(({ id }) => id)).toEqual(IDS);
    expect(await repository.ledger.backlog()).toMatchObject({ events: EVENTS.length });
    await publishAll(repository);
    await checkEvents({ repository, clock, contents: new TwoContents() });
  }
});

test('collection of garbage', async () => {
  const run = async (planned?: PlannedFault): Promise<{ faulty: FaultyProcess; names: string[] }> => {
    const { repository } = await stage({}, 0);
    const { store, ledger, clock, ports } = repository;
    for (const path of ['x/1', 'x/2', 'x/3']) {
      clock.advance(HOUR_MS);
      await accept(repository, [add(path)]);
      await publishAll(repository);
    }
    const before = await publicState(store, ports);
    clock.advance(HOUR_MS);
    const faulty = new FaultyProcess(planned);
    const retention = { clock, snapshotsMs: HOUR_MS / 2, eventsMs: HOUR_MS };
    const faultyLedger = faulty.ledger(ledger);
    try {
      await collectGarbage({ ...retention, history: faultyLedger, store: faulty.store(store) });
    } catch {
      await collectGarbage({ ...retention, history: ledger, store });
    }
    expect(await publicState(store, ports)).toEqual(before);
    await expectSound(repository);
    await accept(repository, [add('y/1')], 'after');
    await publishAll(repository);
    expect((await ledger.events(['after'])).get('after')?.state.state).toBe('published');
    return { faulty, names: store.names() };
  };
  const { faulty, names } = await run();
  expect(faulty.counts.get('remove')).toBeGreaterThan(3);
  for (const row of repeated(faultRows(faulty.counts, 0))) {
    const disturbed = await run(row);
    expect(disturbed.faulty.happened, title(row)).toBe(true);
    expect(disturbed.names, title(row)).toEqual(names);
  }
});

function repeated(rows: readonly PlannedFault[]): PlannedFault[] {
  return Array.from({ length: REPEATS }, () => rows).flat();
}
