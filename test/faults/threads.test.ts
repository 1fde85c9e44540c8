// The bins of a publication on threads, and what may happen to a thread in the midst of it. The same promises as without
// threads (fault-table.test.ts, altered-store.test.ts, two-publishers.test.ts), on a store in a directory.
import { readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import type { Change } from '../../src/ledger/ledger.ts';
import { ledgerLines } from '../../src/publish/audit-chain.ts';
import { verifyAudit } from '../../src/publish/audit-verify.ts';
import { binsOnThreads, type BinJob } from '../../src/publish/bin-threads.ts';
import { openThreads, type Threads } from '../../src/publish/threads.ts';
import { openFileStore } from '../../src/storage/file-store.ts';
import type { ObjectStore } from '../../src/storage/store.ts';
import { FaultyProcess, TwoContents, type PlannedFault } from '../support/faulty-ports.ts';
import { expectSound } from '../support/oracle.ts';
import { NaiveCatalogue, publicState } from '../support/public-state.ts';
import {
  eventually,
  startPublisher,
  untilSettled,
  type PublisherProcess,
} from '../support/publisher-process.ts';
import {
  accept,
  FOUNDED_AT,
  foundRepository,
  publishAll,
  targetOf,
  type TestRepository,
} from '../support/repository.ts';
import { RunningClock } from '../support/running-clock.ts';
import { tempDir } from '../support/temp-dir.ts';
import { THREAD_FAULTS, ThreadFaults } from '../support/thread-faults.ts';
import type { ThrowawayAlgorithm } from '../support/throwaway-signer.ts';

const HOUR_MS = 3_600_000;
const BINS = 16;
const ENTRY = new URL('../support/faulty-thread.js', import.meta.url);

const faults = new ThreadFaults();
/** By directory: threads know one store. */
const opened = new Map<string, Threads<BinJob>>();

afterAll(async () => {
  await Promise.all([...opened.values()].map((threads) => threads.close()));
});

interface Scene {
  readonly directory: string;
  readonly repository: TestRepository<ObjectStore>;
  readonly threads: Threads<BinJob>;
  readonly clock: RunningClock;
  readonly model: NaiveCatalogue;
}

function add(path: string): Change {
  return { op: 'add', path, target: targetOf(path) };
}

/** Files in every bin, more than one in most. */
const BEFORE = Array.from({ length: 4 * BINS }, (_, i) => add(`before/${i}`));

async function scene(algorithm?: ThrowawayAlgorithm): Promise<Scene> {
  faults.plan(0);
  const directory = await tempDir();
  const store = await openFileStore(directory);
  const repository = await foundRepository({ bins: BINS, store, ...(algorithm && { algorithm }) });
  const threads = openThreads<BinJob>(ENTRY, 2, directory);
  opened.set(directory, threads);
  const model = new NaiveCatalogue();
  await accept(repository, BEFORE, 'before');
  model.apply(BEFORE);
  await publishAll(repository);
  return { directory, repository, threads, model, clock: new RunningClock(FOUNDED_AT + HOUR_MS) };
}

function start(
  { repository, threads, clock }: Scene,
  holder: string,
  ports: Parameters<typeof startPublisher>[1]['ports'] = {},
): PublisherProcess {
  const bins = binsOnThreads(threads, 1);
  return startPublisher(repository.ports, { holder, clock, isGone: () => true, ports: { ...ports, bins } });
}

async function upload(
  { repository, model, clock }: Scene,
  id: string,
  changes: readonly Change[],
): Promise<void> {
  await repository.ledger.append([{ id, changes }], clock.now());
  model.apply(changes);
}

async function checkEnd(current: Scene): Promise<void> {
  const { repository, model, clock } = current;
  const { targets, snapshot } = await publicState(repository.store, repository.ports);
  expect(targets).toEqual(model.listing());
  expect(await repository.ledger.head()).toMatchObject({ snapshot });
  await expectSound({ ...repository, clock });
  const report = await verifyAudit(ledgerLines(repository.ledger), repository.store);
  expect(report).toMatchObject({ problems: [], pending: 0, uncovered: 0 });
}

/** Publishes over most bins while the `nth` write of a thread, or a write of the rest of the process, goes wrong. */
async function disturbed(
  current: Scene,
  round: string,
  nth: number,
  fault: (typeof THREAD_FAULTS)[number] | undefined,
  planned?: PlannedFault,
): Promise<FaultyProcess> {
  const { repository, model, clock } = current;
  faults.plan(nth, fault);
  const contents = new TwoContents();
  const faulty = new FaultyProcess(planned, () => faults.dead);
  const store = contents.store(repository.store);
  const ledger = faulty.ledger(repository.ledger);
  const changes = Array.from({ length: BINS }, (_, i) => add(`${round}/${i}`));
  const refused = [
    add(`${round}/refused`),
    { op: 'add', path: 'before/0', target: targetOf('other') } as const,
  ];
  const events = [
    { id: `${round} upload`, changes },
    { id: `${round} refused`, changes: refused },
    { id: `${round} remove`, changes: [{ op: 'remove', path: `${round}/0` } as const] },
  ];
  const ids = events.map(({ id }) => id);
  await repository.ledger.append(events, clock.now());
  for (const event of events) model.apply(event.changes);
  const first = start(current, `${round} first`, { store: faulty.store(store), ledger, history: ledger });
  const isDone = async (): Promise<boolean> =>
    (await repository.ledger.backlog()).events === 0 &&
    (await repository.ledger.head())?.unfinished === undefined;
  await eventually('the work is done, or the process dead', async () => faulty.isDead || (await isDone()));
  if (faulty.isDead) {
    await first.publisher.stop();
    faults.revive();
    const second = start(current, `${round} second`, { store });
    await eventually('the successor has done the work', isDone);
    await second.publisher.stop();
  } else {
    await first.publisher.stop();
  }
  const states = await untilSettled(repository, ids);
  expect(ids.map((id) => states.get(id)?.state)).toEqual(['published', 'rejected', 'published']);
  expect(contents.found).toEqual([]);
  return faulty;
}

test.each(['ed25519', 'ecdsa-p256'] as const)(
  'every write goes wrong in every way: %s',
  async (algorithm) => {
    const current = await scene(algorithm);
    const calm = await disturbed(current, 'calm', 0, undefined);
    expect(faults.writes).toBeGreaterThan(BINS / 2);
    // The process itself wrote the snapshot, and no bin.
    expect(calm.counts.get('putImmutable')).toBe(1);
    const few = algorithm === 'ed25519' ? [1, 5] : [2];
    const nths = process.env['SLOW'] === '1' ? [1, 2, 3, 4, 5, 6, 7] : few;
    for (const fault of THREAD_FAULTS) {
      for (const nth of nths) {
        const round = `write ${nth} ${fault}`.replaceAll(' ', '-');
        await disturbed(current, round, nth, fault).catch((cause: unknown) => {
          throw new Error(round, { cause });
        });
        expect(faults.happened, round).toBe(true);
      }
    }
    for (const write of ['advance', 'putImmutable', 'replace', 'finish'] as const) {
      for (const fault of ['fails', 'fails although it took place', 'dies after it'] as const) {
        const round = `${write} ${fault}`.replaceAll(' ', '-');
        const faulty = await disturbed(current, round, 0, undefined, { write, nth: 1, fault });
        expect(faulty.happened, round).toBe(true);
      }
    }
    await checkEnd(current);
  },
  120_000,
);

test.each(['altered', 'removed'] as const)('a bin that was %s is not signed; all others are', async (how) => {
  const current = await scene();
  const { repository, directory } = current;
  const version = (await repository.ledger.bins())[3]?.version ?? 0;
  const file = join(directory, `metadata/${version}.${repository.layout.name(3)}.json`);
  const good = await readFile(file);
  const bad = Buffer.from(good);
  bad[300] = (bad[300] ?? 0) ^ 1;
  await rm(file);
  if (how === 'altered') await writeFile(file, bad);
  const publisher = start(current, 'one');
  const paths = Array.from({ length: 8 * BINS }, (_, i) => `after/${i}`);
  const [lost, free] = [true, false].map((inLost) =>
    paths.filter((path) => (repository.layout.indexOf(path) === 3) === inLost),
  );
  expect(lost?.length).toBeGreaterThan(0);
  await upload(current, 'lost', (lost ?? []).map(add));
  await upload(current, 'free', (free ?? []).map(add));
  await untilSettled(repository, ['free']);
  expect((await repository.ledger.events(['lost'])).get('lost')?.state.state).toBe('accepted');
  expect(publisher.publisher.status().alteredBins).toMatchObject([{ name: repository.layout.name(3) }]);
  expect((await repository.ledger.bins())[3]?.version).toBe(version);
  await rm(file, { force: true });
  await writeFile(file, good);
  await untilSettled(repository, ['lost']);
  await publisher.publisher.stop();
  await checkEnd(current);
});

test('a bin of the same version in the place of another is not signed', async () => {
  const current = await scene();
  const { repository, directory } = current;
  const states = await repository.ledger.bins();
  const name = (bin: number): string =>
    join(directory, `metadata/${states[bin]?.version ?? 0}.${repository.layout.name(bin)}.json`);
  const good = await readFile(name(5));
  expect(states[5]?.version).toBe(states[6]?.version);
  await rm(name(5));
  await writeFile(name(5), await readFile(name(6)));
  const publisher = start(current, 'one');
  await upload(
    current,
    'all',
    Array.from({ length: 8 * BINS }, (_, i) => add(`after/${i}`)),
  );
  await eventually('it is noticed', () => publisher.publisher.status().alteredBins.length > 0);
  expect(publisher.publisher.status().alteredBins[0]?.message).toMatch(/its sha256 is .*, the ledger says/);
  await rm(name(5));
  await writeFile(name(5), good);
  await untilSettled(repository, ['all']);
  await publisher.publisher.stop();
  await checkEnd(current);
});

test('publishers that take the lease from each other all the time lose nothing', async () => {
  const current = await scene();
  const { repository } = current;
  const contents = new TwoContents();
  const publishers = ['one', 'two', 'three'].map((holder) =>
    start(current, holder, { store: contents.store(repository.store) }),
  );
  const ids: string[] = [];
  for (let i = 0; i < 20; i++) {
    const id = `event ${i}`;
    await upload(
      current,
      id,
      Array.from({ length: BINS / 2 }, (_, n) => add(`x/${i}/${n}`)),
    );
    ids.push(id);
    if (i % 4 === 0) await untilSettled(repository, [id]);
  }
  await untilSettled(repository, ids);
  await Promise.all(publishers.map(({ publisher }) => publisher.stop()));
  const stopped = publishers
    .map(({ publisher }) => publisher.status())
    .filter(({ role }) => role === 'stopped');
  expect(stopped.map(({ problem }) => problem?.message)).toEqual([]);
  expect(contents.found).toEqual([]);
  await checkEnd(current);
}, 60_000);
