// The number of bins changes while the repository is in service: what clients see before, between any two publications
// and after, what may be refused, and the change broken at each of its writes.
import { describe, expect, test, vi } from 'vitest';
import { ledgerLines } from '../../src/publish/audit-chain.ts';
import { verifyAudit } from '../../src/publish/audit-verify.ts';
import { copyStore } from '../../src/publish/copy-store.ts';
import { takeLease } from '../../src/publish/lease.ts';
import { LiveCatalogue } from '../../src/publish/live-catalogue.ts';
import { ROOT_AHEAD_MS } from '../../src/publish/import-desk.ts';
import { readPublicState } from '../../src/publish/public-state.ts';
import { collectGarbage } from '../../src/publish/retention.ts';
import { Term } from '../../src/publish/term.ts';
import type { OrderState } from '../../src/ledger/ledger.ts';
import { checkNextLayout } from '../../src/publish/rebin.ts';
import { checkRoom } from '../../src/publish/rebin-publication.ts';
import { BinLayout } from '../../src/tuf/bins.ts';
import type { Bundle } from '../../src/tuf/bundle.ts';
import { SnapshotDocument } from '../../src/tuf/snapshot-document.ts';
import type { DelegationFormat } from '../../src/tuf/delegations.ts';
import { systemClock } from '../../src/lib/clock.ts';
import { mapConcurrent } from '../../src/lib/concurrency.ts';
import { clientsUnderLoad } from '../support/clients-under-load.ts';
import { FaultyProcess, faultRows, TwoContents, type PlannedFault } from '../support/faulty-ports.ts';
import { DAY_MS } from '../support/genesis-repository.ts';
import { Forger } from '../support/forger.ts';
import { ManualClock } from '../support/manual-clock.ts';
import { memoryStore } from '../support/memory-store.ts';
import { bundleText, nextBundle, type NextCeremony } from '../support/next-ceremony.ts';
import { expectSound, violationsOf } from '../support/oracle.ts';
import { publicState } from '../support/public-state.ts';
import { eventually, startPublisher } from '../support/publisher-process.ts';
import {
  accept,
  FOUNDED_AT,
  foundRepository,
  publishAll,
  publishPaths,
  targetOf,
  type TestRepository,
} from '../support/repository.ts';
import { RunningClock } from '../support/running-clock.ts';
import { throwawaySigner } from '../support/throwaway-signer.ts';

/** Schedules differ from run to run. */
const SLOW = process.env['SLOW'] === '1';
const REPEATS = SLOW ? 10 : 1;
/** Repositories that are broken at the same time. */
const AT_ONCE = 4;

const PATHS = Array.from({ length: 40 }, (_, n) => `packages/${n % 7}/file-${n}.whl`).sort();

interface Upload {
  readonly id: string;
  readonly path: string;
}

/** Holds a ceremony on top of `previous` that changes nothing but bins. */
function ceremony(
  { signer, offlineKeys, clock, bundle }: TestRepository,
  plan: Partial<NextCeremony>,
  previous = bundle,
): Promise<Bundle> {
  const now = clock.now();
  return nextBundle(previous, offlineKeys, { now, online: [signer], root: false, targets: false, ...plan });
}

/** Orders an import and publishes until nothing is left to do; `between`: after each publication. */
async function change(
  { ports, ledger, clock }: TestRepository,
  bundle: Bundle,
  between: (snapshot: number) => Promise<void> = () => Promise.resolve(),
): Promise<OrderState | undefined> {
  const number = await ledger.placeOrder('import', bundleText(bundle), clock.now());
  const term = await Term.begin(ports, await takeLease(ports.ledger, ports.clock, ports));
  for (;;) {
    clock.advance(1000);
    const report = await term.publish();
    if (report === undefined) return ledger.orderState(number);
    await between(report.plan.intent.snapshot);
  }
}

async function namesListed(repository: TestRepository): Promise<{ current: string; all: string[] }> {
  const { published } = await readPublicState(repository.ledger, repository.store);
  const { layout, layouts } = published.snapshot;
  const described = (each: typeof layout): string => `${each.count} ${each.prefix}`;
  return { current: described(layout), all: layouts.map(described) };
}

describe.each([
  { from: 4, to: 16, format: 'succinct' },
  { from: 16, to: 4, format: 'succinct' },
  { from: 16, to: 32, format: 'prefixes' },
  { from: 4, to: 512, format: 'succinct' },
  // One index, two numbers of bins: what is written with two digits is another bin in each.
  { from: 32, to: 64, format: 'succinct' },
  ...(SLOW ? [{ from: 512, to: 2, format: 'succinct' }] : []),
  ...(SLOW ? [{ from: 8192, to: 16_384, format: 'succinct' }] : []),
] as { from: number; to: number; format: DelegationFormat }[])(
  '$from bins become $to, $format',
  ({ from, to, format }) => {
    test(
      'every target is found at every moment, and nothing leaves the snapshot',
      { timeout: SLOW ? 600_000 : 120_000 },
      async () => {
        const repository = await foundRepository({ bins: from, format });
        const { store, ports, ledger, clock } = repository;
        await publishPaths(repository, PATHS);
        const uploaded = [...PATHS];
        const uploads: Upload[] = [];
        const bundle = await ceremony(repository, { binCount: to });
        const deep = from + to > 2000;
        const state = await change(repository, bundle, async (snapshot) => {
          const { targets } = deep ? { targets: undefined } : await publicState(store, ports);
          const states = await ledger.events(uploads.map(({ id }) => id));
          const isPublic = ({ id }: Upload): boolean => states.get(id)?.state.state === 'published';
          const expected = [...PATHS, ...uploads.filter(isPublic).map(({ path }) => path)].sort();
          if (targets !== undefined) expect(Object.keys(targets)).toEqual(expected);
          if (uploaded.length > PATHS.length + 5) return;
          const path = `uploads/${snapshot}.whl`;
          const { id } = await accept(repository, [{ op: 'add', path, target: targetOf(path) }]);
          uploads.push({ id, path });
          uploaded.push(path);
          uploaded.sort();
        });
        expect(state).toMatchObject({ state: 'done' });
        await publishAll(repository);
        expect(Object.keys((await publicState(store, ports)).targets)).toEqual(uploaded);
        expect(await namesListed(repository)).toEqual({
          current: `${to} bin2`,
          all: [`${from} bin`, `${to} bin2`],
        });
        await expectSound(repository);
        expect((await verifyAudit(ledgerLines(ledger), store)).problems).toEqual([]);
        const catalogue = new LiveCatalogue(ledger, store);
        expect((await catalogue.lookup(PATHS[0] ?? '')).bin.name).toMatch(/^bin2-/);
        // Uploads, renewals and another change are what they were before.
        await publishPaths(repository, ['z/9']);
        clock.advance(DAY_MS / 2 + 60_000);
        expect(await publishAll(repository)).not.toEqual([]);
        await expectSound(repository);
        if (deep) return;
        const back = await ceremony(repository, { binCount: from }, bundle);
        expect(await change(repository, back)).toMatchObject({ state: 'done' });
        expect(Object.keys((await publicState(store, ports)).targets)).toEqual([...uploaded, 'z/9']);
        expect((await namesListed(repository)).all).toEqual([`${from} bin`, `${to} bin2`, `${from} bin3`]);
        await expectSound(repository);
        clock.advance(DAY_MS);
        await publishPaths(repository, ['z/99']);
        const retention = { history: ledger, store, clock, snapshotsMs: DAY_MS / 4, eventsMs: DAY_MS };
        clock.advance(DAY_MS / 3);
        expect((await collectGarbage(retention)).removed).toBeGreaterThan(from + to);
        // What clients read before is gone now, and its names are not.
        expect(store.names().some((name) => name.includes('.bin-'))).toBe(false);
        await publishAll(repository);
        await expectSound(repository);
        expect((await verifyAudit(ledgerLines(ledger), store)).problems).toEqual([]);
      },
    );
  },
);

test('the ledger is asked for bins as their number grows, not for all of them in each publication', async () => {
  const repository = await foundRepository({ bins: 16 });
  await publishPaths(repository, PATHS);
  const { ledger } = repository;
  const asked = vi.spyOn(ledger, 'bins');
  const rows = async (): Promise<number> =>
    (await Promise.all(asked.mock.results.map(({ value }) => value as ReturnType<typeof ledger.bins>))).flat()
      .length;
  const before: number[] = [];
  const state = await change(repository, await ceremony(repository, { binCount: 2048 }), async () => {
    before.push(await rows());
  });
  expect(state).toMatchObject({ state: 'done' });
  // The term begins with the bins that are public; those to come are new, until the last publication.
  expect(before.length).toBeGreaterThan(8);
  expect(before.slice(0, -1).every((read) => read === 16)).toBe(true);
  expect(await rows()).toBeLessThan(5 * 2048);
  await expectSound(repository);
});

test('the format alone: the bins stay as they are', async () => {
  const repository = await foundRepository();
  await publishPaths(repository, PATHS);
  const bins = await repository.ledger.bins();
  const bundle = await ceremony(repository, { format: 'prefixes' });
  expect(await change(repository, bundle)).toMatchObject({ state: 'done', snapshot: 3 });
  expect(await repository.ledger.bins()).toEqual(bins);
  await expectSound(repository);
});

test(
  'clients that update without a pause never fail, and find everything',
  { timeout: 120_000 },
  async () => {
    const repository = await foundRepository({ bins: 8, clock: new ManualClock(systemClock.now() - 60_000) });
    await publishPaths(repository, PATHS);
    const clock = new RunningClock(systemClock.now(), 1);
    const { publisher } = startPublisher(repository.ports, { holder: 'one', clock });
    const load = await clientsUnderLoad(repository, clock);
    await load.during(async () => {
      let previous = repository.bundle;
      for (const binCount of [512, 4]) {
        const now = systemClock.now();
        previous = await ceremony(repository, { binCount, now, root: true, targets: true }, previous);
        await load.settle('import', bundleText(previous));
      }
    });
    await publisher.stop();
    expect(await namesListed(repository)).toEqual({
      current: '4 bin3',
      all: ['8 bin', '512 bin2', '4 bin3'],
    });
    await expectSound({ ...repository, clock });
  },
);

describe('refused', () => {
  test('another number of bins and another online key in one ceremony', async () => {
    const online = [throwawaySigner(9)];
    const repository = await foundRepository();
    const ports = { ...repository.ports, nextSigner: throwawaySigner(9) };
    const bundle = await ceremony(repository, { binCount: 32, online, root: true, targets: true });
    expect(await change({ ...repository, ports }, bundle)).toMatchObject({
      code: 'bundle-conflict',
      reason: expect.stringContaining('take two ceremonies') as string,
    });
  });

  test('more names than clients read in a snapshot, names that were used before, a compromise', async () => {
    const repository = await foundRepository();
    const { published } = await readPublicState(repository.ledger, repository.store);
    const edit = { version: 7, expires: '2027-01-01T00:00:00Z', targetsVersion: 1, binsVersion: 1, bins: [] };
    const judge = (count: number, next: BinLayout, compromised = false): void => {
      const layout = new BinLayout(count);
      const snapshot = SnapshotDocument.first(layout, edit);
      const roles = { ...published.roles, binTrust: { ...published.roles.binTrust, layout } };
      const context = { ...repository, published: { ...published, roles, snapshot }, bins: [], compromised };
      checkNextLayout(next, { ...context, now: 0, resyncs: 0 }, roles);
    };
    judge(16_384, new BinLayout(8192, 2));
    judge(16_384, new BinLayout(256, 9));
    expect(() => {
      judge(32_768, new BinLayout(32_768, 2));
    }).toThrow('clients read at most 2000000');
    expect(() => {
      judge(16_384, new BinLayout(8192));
    }).toThrow('names are never used again');
    expect(() => {
      judge(16_384, new BinLayout(8192, 2), true);
    }).toThrow('end the compromise');
  });

  test('bins that would grow beyond what clients read', async () => {
    const repository = await foundRepository({ bins: 16 });
    const { published } = await readPublicState(repository.ledger, repository.store);
    const layout = new BinLayout(4, 2);
    const bins = layout.bins.map((bin) => ({ bin, version: 1 }));
    const step = { layout, bins, keyids: [], switches: true, resyncs: false };
    checkRoom(step, published, () => 1_200_000);
    expect(() => {
      checkRoom(step, published, (bin) => (bin === 15 ? 1_500_000 : 1_200_000));
    }).toThrow('bin2-3 would have up to 5100000 bytes');
  });

  test.runIf(SLOW)(
    'bins that would grow beyond what clients read: the ones of before go on',
    { timeout: 60_000 },
    async () => {
      const repository = await foundRepository({ bins: 64 });
      const custom = { note: 'x'.repeat(4000) };
      for (let n = 0; n < 7; n++) {
        const changes = Array.from({ length: 400 }, (_, i) => ({
          op: 'add' as const,
          path: `large/${n}/${i}`,
          target: { ...targetOf('large'), custom },
        }));
        await accept(repository, changes);
        await publishAll(repository);
      }
      expect(await change(repository, await ceremony(repository, { binCount: 2 }))).toMatchObject({
        state: 'refused',
        code: 'metadata-too-large',
        reason: expect.stringContaining('2 bins are too few') as string,
      });
      await publishPaths(repository, PATHS);
      await expectSound(repository);
    },
  );
});

test('a change that was begun is finished, not replaced', async () => {
  const repository = await foundRepository({ bins: 8 });
  const { ports, ledger, clock } = repository;
  await publishPaths(repository, PATHS);
  const begun = await ceremony(repository, { binCount: 1024 });
  const number = await ledger.placeOrder('import', bundleText(begun), clock.now());
  const term = await Term.begin(ports, await takeLease(ports.ledger, ports.clock, ports));
  await term.publish();
  await expectSound(repository);
  expect((await namesListed(repository)).all).toEqual(['8 bin', '1024 bin2']);
  await ledger.settleOrder(
    number,
    { state: 'refused', code: 'bundle-conflict', reason: 'test' },
    clock.now(),
  );
  expect(await change(repository, await ceremony(repository, { binCount: 512 }))).toMatchObject({
    code: 'bundle-conflict',
    reason: expect.stringContaining('finish the change that was begun') as string,
  });
  // A copy of a repository in the middle of it is whole.
  const copied = memoryStore();
  await copyStore({ from: repository.store, to: copied, clock, trustedRoot: repository.rootBytes });
  expect(await violationsOf({ ...repository, store: copied })).toEqual([]);
  expect(await change(repository, begun)).toMatchObject({ state: 'done' });
  await expectSound(repository);
});

describe('fsck', () => {
  const rebinned = async (): Promise<TestRepository> => {
    const repository = await foundRepository({ bins: 4 });
    await publishPaths(repository, PATHS);
    await change(repository, await ceremony(repository, { binCount: 8 }));
    await publishPaths(repository, ['z/9']);
    await expectSound(repository);
    return repository;
  };
  type Meta = Record<string, { version: number }>;

  test.each([
    ['former-bins', (meta: Meta) => (meta['bin-0.json'] = { version: 9 })],
    ['interop-12', (meta: Meta) => delete meta['bin-0.json']],
    ['pep458-roles', (meta: Meta) => delete meta['bin2-0.json']],
  ] as const)('%s', async (rule, breakIt) => {
    const repository = await rebinned();
    const { snapshot = 0 } = (await repository.ledger.head()) ?? {};
    await new Forger(repository).edit(`metadata/${snapshot}.snapshot.json`, (signed: { meta: Meta }) =>
      breakIt(signed.meta),
    );
    expect(new Set((await violationsOf(repository)).map((violation) => violation.rule))).toContain(rule);
  });

  test('a bin that is being prepared is looked at as well', async () => {
    const repository = await foundRepository({ bins: 4 });
    const { ports, ledger, clock, store } = repository;
    const begun = await ceremony(repository, { binCount: 8 });
    await ledger.placeOrder('import', bundleText(begun), clock.now());
    const term = await Term.begin(ports, await takeLease(ports.ledger, ports.clock, ports));
    await term.publish();
    await expectSound(repository);
    store.tamper('metadata/1.bin2-5.json', undefined);
    expect(await violationsOf(repository)).toMatchObject([
      { rule: 'tuf-5.6.1', name: 'metadata/1.bin2-5.json' },
    ]);
  });
});

describe('broken at each of its writes', { timeout: REPEATS * 180_000 }, () => {
  test.each([
    { from: 2, to: 4, algorithm: 'ed25519' },
    ...(SLOW ? [{ from: 4, to: 16, algorithm: 'ecdsa-p256' } as const] : []),
    ...(SLOW ? [{ from: 8, to: 2, algorithm: 'ed25519' } as const] : []),
  ] as const)('$from bins become $to: $algorithm', async ({ from, to, algorithm }) => {
    const run = async (planned?: PlannedFault): Promise<FaultyProcess> => {
      const repository = await foundRepository({ bins: from, algorithm });
      await publishPaths(repository, PATHS);
      const bundle = await ceremony(repository, { binCount: to });
      const clock = new RunningClock(FOUNDED_AT + 60_000);
      const contents = new TwoContents();
      const store = contents.store(repository.store);
      const faulty = new FaultyProcess(planned);
      const ledger = faulty.ledger(repository.ledger);
      const order = await repository.ledger.placeOrder('import', bundleText(bundle), clock.now());
      const { id } = await accept(repository, [{ op: 'add', path: 'z/9', target: targetOf('z') }]);
      const second = new BinLayout(to, 2).first + 1;
      let jumpedAt = 0;
      const done = async (): Promise<boolean> => {
        const head = await repository.ledger.head();
        const isPrepared = (await repository.ledger.bins()).some(({ bin }) => bin === second);
        // An order that is older than its publisher waits for a minute before its last publication: not here.
        if (isPrepared && head?.unfinished === undefined && systemClock.now() > jumpedAt + 20) {
          jumpedAt = systemClock.now();
          clock.jump(ROOT_AHEAD_MS);
        }
        return isDone();
      };
      const isDone = async (): Promise<boolean> =>
        (await repository.ledger.orderState(order))?.state === 'done' &&
        (await repository.ledger.events([id])).get(id)?.state.state === 'published' &&
        (await repository.ledger.head())?.unfinished === undefined;
      const first = startPublisher(repository.ports, {
        holder: 'first',
        clock,
        ports: { store: faulty.store(store), ledger, history: ledger },
      });
      await eventually('it is done, or the process dead', async () => faulty.isDead || (await done()));
      if (faulty.isDead) {
        const isGone = (holder: string): boolean => holder === 'first';
        const second = startPublisher(repository.ports, {
          holder: 'second',
          clock,
          isGone,
          ports: { store },
        });
        await eventually('the successor has done it', done);
        await second.publisher.stop();
      }
      await first.publisher.stop();
      expect(contents.found).toEqual([]);
      await expectSound({ ...repository, clock });
      const { targets } = await publicState(repository.store, repository.ports);
      expect(Object.keys(targets)).toEqual([...PATHS, 'z/9']);
      expect((await namesListed(repository)).current).toBe(`${to} bin2`);
      return faulty;
    };
    const { counts } = await run();
    expect(counts.get('advance')).toBeGreaterThanOrEqual(3);
    // Which bin of a slice is written when makes no difference: the first write of each kind and the last one.
    const isTelling = ({ write, nth, fault }: PlannedFault): boolean =>
      SLOW ||
      (fault === 'dies after it' && (write !== 'putImmutable' || nth === 1 || nth === counts.get(write)));
    const rows = faultRows(counts, 1).filter(isTelling);
    // Each in a world of its own, where most of the time is the minute between a root and what it says.
    await mapConcurrent(Array.from({ length: REPEATS }, () => rows).flat(), AT_ONCE, async (row) => {
      const title = `${row.write} ${row.nth} ${row.fault}`;
      const { happened } = await run(row).catch((error: unknown) => {
        throw new Error(title, { cause: error });
      });
      // Which publication takes the upload is a matter of moments.
      if (row.write !== 'putImmutable') expect(happened, title).toBe(true);
    });
  });
});
