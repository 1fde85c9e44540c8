// What a ceremony's result does to a repository in service: every kind of bundle, everything that must be refused, and
// the import broken at each of its writes.
import { describe, expect, test } from 'vitest';
import type { OrderState } from '../../src/ledger/ledger.ts';
import { ROOT_AHEAD_MS } from '../../src/publish/import-desk.ts';
import { takeLease } from '../../src/publish/lease.ts';
import { Term } from '../../src/publish/term.ts';
import type { Signer } from '../../src/signing/signer.ts';
import { splitMetadataFile } from '../../src/tuf/metadata-file.ts';
import type { Bundle } from '../../src/tuf/bundle.ts';
import { FaultyProcess, faultRows, TwoContents, type PlannedFault } from '../support/faulty-ports.ts';
import { DAY_MS } from '../support/genesis-repository.ts';
import { bundleText, nextBundle, type NextCeremony } from '../support/next-ceremony.ts';
import { expectSound } from '../support/oracle.ts';
import { publicState } from '../support/public-state.ts';
import { eventually, startPublisher } from '../support/publisher-process.ts';
import {
  accept,
  FOUNDED_AT,
  foundRepository,
  makeOfflineKeys,
  publishAll,
  publishPaths,
  targetOf,
  type TestRepository,
} from '../support/repository.ts';
import { RunningClock } from '../support/running-clock.ts';
import { throwawaySigner } from '../support/throwaway-signer.ts';

const ALGORITHMS = ['ed25519', 'ecdsa-p256'] as const;
const PATHS = ['a/1', 'b/2', 'c/3', 'd/4', 'e/5', 'f/6'];

/** Schedules differ from run to run. */
const REPEATS = process.env['SLOW'] === '1' ? 10 : 1;

type Ceremony = Partial<NextCeremony>;

/** Holds a ceremony on top of `previous`. */
function ceremony(
  repository: TestRepository,
  plan: Ceremony = {},
  previous = repository.bundle,
): Promise<Bundle> {
  const online = [repository.signer];
  return nextBundle(previous, repository.offlineKeys, { now: repository.clock.now(), online, ...plan });
}

/** Orders an import and publishes until it is settled; time passes as it must. */
async function importBundle(
  { ports, ledger, clock }: TestRepository,
  bundle: Bundle,
  kind: 'import' | 'import-compromised' = 'import',
): Promise<OrderState | undefined> {
  const number = await ledger.placeOrder(kind, bundleText(bundle), clock.now());
  const term = await Term.begin(ports, await takeLease(ports.ledger, ports.clock, ports));
  while ((await term.publish()) !== undefined);
  if ((await ledger.orderState(number))?.state === 'open') {
    clock.advance(ROOT_AHEAD_MS);
    while ((await term.publish()) !== undefined);
  }
  return ledger.orderState(number);
}

/** The same service with other keys. */
function withSigners(repository: TestRepository, signer: Signer, nextSigner?: Signer): TestRepository {
  const ports = { ...repository.ports, signer };
  Reflect.deleteProperty(ports, 'nextSigner');
  return { ...repository, ports: { ...ports, ...(nextSigner && { nextSigner }) } };
}

async function signersOf({ store }: TestRepository, name: string): Promise<string[]> {
  const object = await store.get(name, 5_000_000);
  if (object === undefined) throw new Error(`${name} is missing`);
  return splitMetadataFile(object.bytes).signatures.map(({ keyid }) => keyid);
}

async function published(repository: TestRepository): Promise<void> {
  await publishPaths(repository, PATHS);
}

async function allThere(repository: TestRepository): Promise<void> {
  await expectSound(repository);
  const { targets } = await publicState(repository.store, repository.ports);
  expect(Object.keys(targets)).toEqual(PATHS);
}

describe('a bundle that continues what is published', () => {
  test('root alone: every older root stays', async () => {
    const repository = await foundRepository();
    await published(repository);
    const bundle = await ceremony(repository, { targets: false, bins: false });
    expect(await importBundle(repository, bundle)).toEqual({ state: 'done', snapshot: 3 });
    expect(await repository.ledger.head()).toMatchObject({ roles: { root: 2, targets: 1, bins: 1 } });
    expect(repository.store.names()).toEqual(
      expect.arrayContaining(['metadata/1.root.json', 'metadata/2.root.json']),
    );
    await allThere(repository);
    await accept(repository, [{ op: 'add', path: 'z/9', target: targetOf('z') }]);
    expect(await publishAll(repository)).toHaveLength(1);
    await expectSound(repository);
  });

  test('bins alone, targets and bins, and all three with other keys', async () => {
    const repository = await foundRepository();
    await published(repository);
    const first = await ceremony(repository, { root: false, targets: false });
    expect(await importBundle(repository, first)).toMatchObject({ state: 'done' });
    expect(await repository.ledger.head()).toMatchObject({ roles: { root: 1, targets: 1, bins: 2 } });
    const second = await ceremony(repository, { root: false }, first);
    expect(await importBundle(repository, second)).toMatchObject({ state: 'done' });
    expect(await repository.ledger.head()).toMatchObject({ roles: { root: 1, targets: 2, bins: 3 } });
    const offlineKeys = await makeOfflineKeys(2);
    const third = await ceremony(repository, { offlineKeys }, second);
    expect(await importBundle(repository, third)).toMatchObject({ state: 'done' });
    expect(await repository.ledger.head()).toMatchObject({ roles: { root: 2, targets: 3, bins: 4 } });
    await allThere(repository);
  });

  test('a root that keeps the old targets keys goes ahead of the targets that need it', async () => {
    const repository = await foundRepository();
    const { ledger, clock, ports } = repository;
    await published(repository);
    const offlineKeys = await makeOfflineKeys(2);
    const bundle = await ceremony(repository, { offlineKeys, targetsOverlap: true });
    const number = await ledger.placeOrder('import', bundleText(bundle), clock.now());
    const term = await Term.begin(ports, await takeLease(ledger, clock, ports));
    await term.publish();
    expect(await ledger.head()).toMatchObject({ roles: { root: 2, targets: 1, bins: 1 } });
    await expectSound(repository);
    // Uploads do not wait for it.
    await accept(repository, [{ op: 'add', path: 'z/9', target: targetOf('z') }]);
    expect((await term.publish())?.events).toHaveLength(1);
    clock.advance(ROOT_AHEAD_MS - 1);
    expect(await term.publish()).toBeUndefined();
    clock.advance(1);
    await term.publish();
    expect(await term.publish()).toBeUndefined();
    expect(await ledger.head()).toMatchObject({ roles: { root: 2, targets: 2, bins: 2 } });
    expect(await ledger.orderState(number)).toMatchObject({ state: 'done' });
    await expectSound(repository);
  });

  test('a bundle that is ordered while another one waits for its root follows after it', async () => {
    const repository = await foundRepository();
    const { ledger, clock, ports, offlineKeys } = repository;
    await published(repository);
    const second = await makeOfflineKeys(2);
    const third = await makeOfflineKeys(3);
    const renewal = await ceremony(repository, { offlineKeys: second, targetsOverlap: true });
    const next = await nextBundle(
      renewal,
      { ...offlineKeys, targets: second.targets, bins: second.bins },
      {
        now: clock.now(),
        online: [repository.signer],
        offlineKeys: third,
        targetsOverlap: true,
      },
    );
    const orders: number[] = [];
    for (const bundle of [renewal, next]) {
      orders.push(await ledger.placeOrder('import', bundleText(bundle), clock.now()));
    }
    const term = await Term.begin(ports, await takeLease(ledger, clock, ports));
    const seen: (number | undefined)[][] = [];
    for (let wait = 0; wait < 3; wait += 1) {
      do {
        const { root, targets } = (await ledger.head())?.roles ?? {};
        seen.push([root, targets]);
      } while ((await term.publish()) !== undefined);
      clock.advance(ROOT_AHEAD_MS);
    }
    for (const order of orders) expect(await ledger.orderState(order)).toMatchObject({ state: 'done' });
    // Each root goes ahead of the targets that need it: no client falls in between.
    expect([...new Set(seen.map(String))]).toEqual(['1,1', '2,1', '2,2', '3,2', '3,3']);
    await allThere(repository);
  });

  test('two ceremonies at once, and the same bundle twice', async () => {
    const repository = await foundRepository();
    await published(repository);
    const first = await ceremony(repository);
    const second = await ceremony(repository, {}, first);
    expect(await importBundle(repository, second)).toMatchObject({ state: 'done' });
    expect(await repository.ledger.head()).toMatchObject({ roles: { root: 3, targets: 3, bins: 3 } });
    const { snapshot } = (await repository.ledger.head())!;
    expect(await importBundle(repository, second)).toEqual({ state: 'done', snapshot });
    expect((await repository.ledger.head())?.snapshot).toBe(snapshot);
    await allThere(repository);
  });

  test('an order from before the service started, without anything to wait for, is settled at once', async () => {
    const repository = await foundRepository();
    const { ledger, clock, ports } = repository;
    const bundle = await ceremony(repository, { targets: false, bins: false });
    const number = await ledger.placeOrder('import', bundleText(bundle), clock.now());
    clock.advance(1000);
    await publishAll({ ports });
    expect(await ledger.orderState(number)).toEqual({ state: 'done', snapshot: 2 });
  });

  test('a root that bears another signature than the published one is the same root', async () => {
    const repository = await foundRepository();
    await published(repository);
    // The same content and keys; what came late, or in another order, makes other bytes.
    const signedOtherwise = (bundle: Bundle): Bundle => ({
      ...bundle,
      roots: bundle.roots.map((root) => ({ ...root, signatures: root.signatures.toReversed() })),
    });
    expect(repository.bundle.roots[0]?.signatures.length).toBeGreaterThan(1);
    const bundle = await ceremony(repository, {}, signedOtherwise(repository.bundle));
    expect(await importBundle(repository, bundle)).toMatchObject({ state: 'done' });
    const targets = await ceremony(repository, { root: false }, signedOtherwise(bundle));
    expect(await importBundle(repository, targets)).toMatchObject({ state: 'done' });
    const head = await repository.ledger.head();
    expect(head).toMatchObject({ roles: { root: 2, targets: 3, bins: 3 } });
    const stored = await repository.store.get('metadata/2.root.json', 500_000);
    expect(head?.trustedRoot).toBe(Buffer.from(stored?.bytes ?? []).toString('utf8'));
    await allThere(repository);
  });

  test('what arrived together with it is published', async () => {
    const repository = await foundRepository();
    await accept(
      repository,
      PATHS.map((path) => ({ op: 'add', path, target: targetOf(path) })),
    );
    expect(await importBundle(repository, await ceremony(repository))).toMatchObject({ state: 'done' });
    await allThere(repository);
  });
});

describe('refused, and nothing is written', () => {
  async function refusal(
    make: (repository: TestRepository) => Promise<Bundle>,
    kind: 'import' | 'import-compromised' = 'import',
  ): Promise<Extract<OrderState, { state: 'refused' }>> {
    const repository = await foundRepository();
    await published(repository);
    const before = repository.store.names();
    const state = await importBundle(repository, await make(repository), kind);
    expect(repository.store.names()).toEqual(before);
    expect((await repository.ledger.head())?.unfinished).toBeUndefined();
    await allThere(repository);
    if (state?.state !== 'refused') throw new Error(JSON.stringify(state));
    return state;
  }

  test('another repository, a fork of the root, and an older bundle', async () => {
    const other = await foundRepository({ seed: 2 });
    expect(await refusal(() => Promise.resolve(other.bundle))).toMatchObject({
      code: 'bundle-conflict',
      reason: expect.stringContaining('root version 1') as string,
    });
    const forked = async (repository: TestRepository): Promise<Bundle> => {
      const first = await ceremony(repository);
      await importBundle(repository, first);
      repository.clock.advance(DAY_MS / 4);
      return ceremony(repository, { bins: false });
    };
    const repository = await foundRepository();
    expect(await importBundle(repository, await forked(repository))).toMatchObject({
      code: 'bundle-conflict',
    });
    expect(await importBundle(repository, repository.bundle)).toMatchObject({
      code: 'bundle-conflict',
      reason: 'the bundle ends with root version 1, version 2 is published',
    });
  });

  test('targets that go back, and the same version with another content', async () => {
    const repository = await foundRepository();
    const newer = await ceremony(repository, { root: false });
    await importBundle(repository, newer);
    expect(await importBundle(repository, repository.bundle)).toMatchObject({
      code: 'bundle-conflict',
      reason: 'the bundle has targets version 1, version 2 is published',
    });
    const now = repository.clock.now() + 1_000_000;
    const other = await ceremony(repository, { root: false, now });
    expect(await importBundle(repository, other)).toMatchObject({
      code: 'bundle-conflict',
      reason: 'targets version 2 of the bundle has another content than the published',
    });
  });

  test('new keys of targets without a new version of it', async () => {
    const offlineKeys = await makeOfflineKeys(2);
    const state = await refusal(async (repository) => {
      const signedAgain = await ceremony(repository, { offlineKeys });
      const sign = await Promise.all(
        offlineKeys.targets.map((key) => key.sign(repository.bundle.targets.signedBytes)),
      );
      const targets = { ...repository.bundle.targets, signatures: sign };
      return { ...signedAgain, targets, bins: repository.bundle.bins };
    });
    expect(state).toMatchObject({ code: 'bundle-conflict' });
    expect(state.reason).toContain('give it a new version');
  });

  test('expired roles, a stranger for the online key', async () => {
    const past = { now: FOUNDED_AT - 366 * DAY_MS };
    expect(await refusal((repository) => ceremony(repository, past))).toMatchObject({
      code: 'bundle-invalid',
      reason: expect.stringContaining('expired') as string,
    });
    expect(
      await refusal((repository) => ceremony(repository, { online: [throwawaySigner(9)] })),
    ).toMatchObject({
      code: 'key-mismatch',
    });
  });

  test('an online key that goes before the next one has signed everything', async () => {
    const next = throwawaySigner(9);
    const repository = withSigners(await foundRepository(), throwawaySigner(1), next);
    await published(repository);
    const state = await importBundle(repository, await ceremony(repository, { online: [next] }));
    expect(state).toMatchObject({ state: 'refused', code: 'key-overlap-missing' });
    expect(state).toMatchObject({ reason: expect.stringContaining('16 of 16 bins') as string });
    await allThere(repository);
  });

  test('the same for timestamp alone, when the service was not configured with the next key for a while', async () => {
    const [old, next] = [throwawaySigner(1), throwawaySigner(9)];
    const repository = withSigners(await foundRepository(), old, next);
    const first = await ceremony(repository, { online: [old, next] });
    await importBundle(repository, first);
    await publishPaths(withSigners(repository, old), PATHS);
    const rootOnly = { online: [next], targets: false, bins: false };
    const second = await ceremony(repository, rootOnly, first);
    expect(await importBundle(repository, second)).toMatchObject({
      code: 'key-overlap-missing',
      reason: expect.stringContaining('timestamp') as string,
    });
    await allThere(repository);
    await publishPaths(repository, ['g/7']);
    expect(await importBundle(repository, second)).toMatchObject({ state: 'done' });
    await expectSound(repository);
  });

  test('"compromised" with a bundle that keeps the stolen key', async () => {
    expect(await refusal((repository) => ceremony(repository), 'import-compromised')).toMatchObject({
      code: 'bundle-conflict',
      reason: expect.stringContaining('does not end a compromise') as string,
    });
  });
});

describe('the online key is replaced', () => {
  test.each(ALGORITHMS)('with overlap: %s', async (algorithm) => {
    const [old, next] = [throwawaySigner(1, algorithm), throwawaySigner(9)];
    const founded = await foundRepository({ algorithm });
    await published(founded);
    const repository = withSigners(founded, old, next);
    const { clock, ledger, ports } = repository;
    await publishPaths(repository, ['g/7']);
    expect(await signersOf(repository, 'metadata/timestamp.json')).toEqual([old.keyid]);

    const first = await ceremony(repository, { online: [old, next] });
    expect(await importBundle(repository, first)).toMatchObject({ state: 'done' });
    expect(await signersOf(repository, 'metadata/timestamp.json')).toEqual([old.keyid, next.keyid]);
    await expectSound(repository);

    const second = await ceremony(repository, { online: [next] }, first);
    expect(await importBundle(repository, second)).toMatchObject({ code: 'key-overlap-missing' });
    // A day later every bin has had its turn.
    for (let hour = 0; hour < 24; hour++) {
      clock.advance(DAY_MS / 24);
      await publishAll({ ports });
    }
    expect((await ledger.bins()).every(({ keyids }) => keyids.includes(next.keyid))).toBe(true);
    expect(await importBundle(repository, second)).toMatchObject({ state: 'done' });
    await publishPaths(repository, ['h/8']);
    expect(await signersOf(repository, 'metadata/timestamp.json')).toEqual([next.keyid]);
    await expectSound(repository);
    // Then the old key leaves the configuration.
    const after = withSigners(repository, next);
    await publishPaths(after, ['i/9']);
    await expectSound(after);
    const { targets } = await publicState(repository.store, ports);
    expect(Object.keys(targets)).toEqual([...PATHS, 'g/7', 'h/8', 'i/9']);
  });

  test('at once, by order: every bin is renewed', async () => {
    const [old, next] = [throwawaySigner(1), throwawaySigner(9)];
    const repository = withSigners(await foundRepository(), old, next);
    const first = await ceremony(repository, { online: [old, next] });
    await importBundle(repository, first);
    const { ledger, clock, ports } = repository;
    clock.advance(1000);
    const number = await ledger.placeOrder('renew-all', '', clock.now());
    await publishAll({ ports });
    expect(await ledger.orderState(number)).toMatchObject({ state: 'done' });
    const second = await ceremony(repository, { online: [next] }, first);
    expect(await importBundle(repository, second)).toMatchObject({ state: 'done' });
    await expectSound(repository);
  });

  test('timestamp and snapshot alone are renewed by order, once', async () => {
    const repository = await foundRepository();
    const { ledger, clock, ports } = repository;
    const number = await ledger.placeOrder('renew', '', clock.now());
    expect(await publishAll({ ports })).toHaveLength(1);
    expect(await ledger.orderState(number)).toEqual({ state: 'done', snapshot: 2 });
  });
});

describe.each(ALGORITHMS)('the online key was stolen: %s', (algorithm) => {
  test('one publication signs every bin with the new key, whatever the thief left in timestamp.json', async () => {
    const next = throwawaySigner(9);
    const founded = await foundRepository({ algorithm });
    await published(founded);
    const { store } = founded;
    const bundle = await ceremony(founded, { online: [next] });
    store.thief = true;
    store.tamper('metadata/timestamp.json', Buffer.from('anything at all'));
    const repository = withSigners(founded, next);
    expect(await importBundle(repository, bundle, 'import-compromised')).toEqual({
      state: 'done',
      snapshot: 3,
    });
    expect((await repository.ledger.bins()).every(({ keyids }) => keyids.join() === next.keyid)).toBe(true);
    await allThere(repository);
    await publishPaths(repository, ['g/7']);
    await expectSound(repository);
  });

  test('refused while the store holds what the service has not published, or not what it has', async () => {
    const next = throwawaySigner(9);
    const founded = await foundRepository({ algorithm });
    await published(founded);
    const { store } = founded;
    const bundle = await ceremony(founded, { online: [next] });
    const repository = withSigners(founded, next);
    store.thief = true;
    store.tamper('metadata/99.bin-3.json', Buffer.from('{}'));
    store.tamper('metadata/timestamp.json', Buffer.from('{}'));
    const refused = await importBundle(repository, bundle, 'import-compromised').catch(
      (error: unknown) => error,
    );
    expect(refused).toMatchObject({ code: 'timestamp-conflict' });
    expect(await repository.ledger.orderState(1)).toMatchObject({
      state: 'refused',
      code: 'immutable-conflict',
      reason: expect.stringContaining('metadata/99.bin-3.json') as string,
    });
    store.tamper('metadata/99.bin-3.json', undefined);
    expect(await importBundle(repository, bundle, 'import-compromised')).toMatchObject({ state: 'done' });
    await allThere(repository);
  });
});

describe.each(ALGORITHMS)('broken at each of its writes: %s', { timeout: REPEATS * 180_000 }, (algorithm) => {
  const [old, next] = [throwawaySigner(1, algorithm), throwawaySigner(9, algorithm)];
  const kinds = {
    'keys of before stay for a while': { online: [old, next], kind: 'import', signers: [old, next] },
    'the key was stolen': { online: [next], kind: 'import-compromised', signers: [next] },
  } as const;

  test.each(Object.keys(kinds) as (keyof typeof kinds)[])('%s', async (name) => {
    const { online, kind, signers } = kinds[name];
    const run = async (planned?: PlannedFault): Promise<FaultyProcess> => {
      const repository = await foundRepository({ bins: 4, algorithm });
      await published(repository);
      const bundle = await ceremony(repository, { online });
      const clock = new RunningClock(FOUNDED_AT + 60_000);
      const contents = new TwoContents();
      const store = contents.store(repository.store);
      const faulty = new FaultyProcess(planned);
      const ledger = faulty.ledger(repository.ledger);
      const [signer, nextSigner] = signers;
      const { ports } = withSigners(repository, signer, nextSigner);
      const order = await repository.ledger.placeOrder(kind, bundleText(bundle), clock.now());
      const id = (await accept(repository, [{ op: 'add', path: 'z/9', target: targetOf('z') }])).id;
      const first = startPublisher(ports, {
        holder: 'first',
        clock,
        ports: { store: faulty.store(store), ledger, history: ledger },
      });
      const done = async (): Promise<boolean> =>
        (await repository.ledger.orderState(order))?.state !== 'open' &&
        (await repository.ledger.events([id])).get(id)?.state.state === 'published' &&
        (await repository.ledger.head())?.unfinished === undefined;
      let waits = 0;
      const pass = async (): Promise<boolean> => {
        const head = await repository.ledger.head();
        // The root went ahead: the minute that clients get is over.
        if (head?.roles.root === 2 && head.roles.targets === 1 && ++waits % 10 === 0)
          clock.jump(ROOT_AHEAD_MS);
        return done();
      };
      await eventually('imported, or dead', async () => faulty.isDead || (await pass()));
      if (faulty.isDead) {
        const isGone = (holder: string): boolean => holder === 'first';
        const second = startPublisher(ports, { holder: 'second', clock, isGone, ports: { store } });
        await eventually('the successor has imported it', pass);
        await second.publisher.stop();
      }
      await first.publisher.stop();
      expect(contents.found).toEqual([]);
      expect(await repository.ledger.orderState(order)).toMatchObject({ state: 'done' });
      expect(await repository.ledger.head()).toMatchObject({ roles: { root: 2, targets: 2, bins: 2 } });
      await expectSound({ ...repository, clock });
      const { targets } = await publicState(repository.store, repository.ports);
      expect(Object.keys(targets)).toEqual([...PATHS, 'z/9']);
      return faulty;
    };
    const { counts } = await run();
    // With a stolen key events do not wait: what is restored is in the publication that signs everything again.
    expect(counts.get('advance')).toBe(name === 'the key was stolen' ? 1 : 3);
    for (const row of Array.from({ length: REPEATS }, () => faultRows(counts, 1)).flat()) {
      const { happened } = await run(row).catch((error: unknown) => {
        throw new Error(`${row.write} ${row.nth} ${row.fault}`, { cause: error });
      });
      expect(happened, `${row.write} ${row.nth} ${row.fault}`).toBe(true);
    }
  });
});
