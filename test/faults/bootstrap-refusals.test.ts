// Bootstrap refuses what no client would accept and what would overwrite something; nothing is written then.
import { expect, onTestFinished, test } from 'vitest';
import { openSqliteLedger } from '../../src/ledger/sqlite-ledger.ts';
import { bootstrap, type BootstrapPorts } from '../../src/publish/bootstrap.ts';
import { BinLayout } from '../../src/tuf/bins.ts';
import { serializeBundle, type Bundle } from '../../src/tuf/bundle.ts';
import { ManualClock } from '../support/manual-clock.ts';
import { memoryStore, type MemoryStore } from '../support/memory-store.ts';
import {
  DAILY,
  FOUNDED_AT,
  foundRepository,
  makeOfflineKeys,
  publishPaths,
  testBundle,
} from '../support/repository.ts';
import { throwawaySigner } from '../support/throwaway-signer.ts';

const YEAR_MS = 366 * 86_400_000;

interface Scene {
  readonly bundle: Bundle;
  readonly store: MemoryStore;
  readonly ports: BootstrapPorts;
}

/** An empty ledger, an empty store, and a bundle that fits; `signer` is the key that the service has. */
async function scene({ now = FOUNDED_AT, signer = throwawaySigner(1) } = {}): Promise<Scene> {
  const ledger = await openSqliteLedger(':memory:');
  onTestFinished(() => ledger.close());
  const store = memoryStore();
  const bundle = await testBundle({
    offlineKeys: await makeOfflineKeys(1),
    signer: throwawaySigner(1),
    layout: new BinLayout(4),
    format: 'succinct',
    now: FOUNDED_AT,
  });
  const clock = new ManualClock(now);
  const ports = { ledger, history: ledger, store, signer, clock, lifetimes: DAILY };
  return { bundle, store, ports: { ...ports, holder: 'test:1:1', isGone: () => false } };
}

async function refuses({ store, ports }: Scene, bundle: Bundle, code: string, reason: RegExp): Promise<void> {
  const before = store.names();
  await expect(bootstrap(serializeBundle(bundle), ports)).rejects.toMatchObject({
    code,
    message: expect.stringMatching(reason) as string,
  });
  expect(store.names()).toEqual(before);
  expect(await ports.history.head()).toBeUndefined();
}

test('an expired role', async () => {
  const late = await scene({ now: FOUNDED_AT + YEAR_MS });
  await refuses(late, late.bundle, 'bundle-invalid', /role root expired at 2027-03-01T12:00:00Z/);
});

test.each(['targets', 'bins'] as const)(
  '%s without its signatures, and with too few of them',
  async (role) => {
    const current = await scene();
    for (const count of [0, 1]) {
      const envelope = current.bundle[role];
      const weak = { ...envelope, signatures: envelope.signatures.slice(0, count) };
      const reason = new RegExp(`role ${role} is signed by ${count} of 2 required keys`);
      await refuses(current, { ...current.bundle, [role]: weak }, 'bundle-invalid', reason);
    }
  },
);

test('a root below its threshold', async () => {
  const current = await scene();
  const [root] = current.bundle.roots;
  const weak = { ...root!, signatures: root!.signatures.slice(0, 1) };
  await refuses(
    current,
    { ...current.bundle, roots: [weak] },
    'bundle-invalid',
    /role root is signed by 1 of 2/,
  );
});

test('a key that is not the signer’s', async () => {
  const other = throwawaySigner(2);
  const current = await scene({ signer: other });
  await refuses(current, current.bundle, 'key-mismatch', new RegExp(`signer holds key ${other.keyid}`));
});

test('a store that holds something', async () => {
  const current = await scene();
  await current.store.putImmutable('metadata/1.root.json', Buffer.from('{}'));
  await refuses(current, current.bundle, 'not-empty', /the store holds metadata\/1\.root\.json already/);
});

test('a ledger that holds a repository', async () => {
  const repository = await foundRepository();
  const { ports, bundleBytes, store } = repository;
  const stranger = await foundRepository({ seed: 2, store: memoryStore() });
  const same = { ...ports, lifetimes: DAILY, signer: stranger.signer };
  await expect(bootstrap(stranger.bundleBytes, same)).rejects.toMatchObject({
    code: 'not-empty',
    message: 'the ledger holds a repository at snapshot 1 already',
  });
  await publishPaths(repository, ['packages/a.whl']);
  const before = store.names();
  await expect(bootstrap(bundleBytes, { ...ports, lifetimes: DAILY })).rejects.toMatchObject({
    code: 'not-empty',
    message: 'the ledger holds a repository at snapshot 2 already',
  });
  expect(store.names()).toEqual(before);
});

test('the same bundle again, when nobody saw that it was done: it is done', async () => {
  const { ports, bundleBytes, store } = await foundRepository();
  const before = store.names();
  const again = { ...ports, lifetimes: DAILY };
  expect(await bootstrap(bundleBytes, again)).toMatchObject({ snapshot: 1, bins: 16, alreadyComplete: true });
  expect(store.names()).toEqual(before);
  store.tamper('metadata/1.bins.json', Buffer.from('{}'));
  await expect(bootstrap(bundleBytes, again)).rejects.toMatchObject({ code: 'not-empty' });
});

test('while it would be well otherwise', async () => {
  const { bundle, ports } = await scene();
  expect(await bootstrap(serializeBundle(bundle), ports)).toMatchObject({ snapshot: 1, bins: 4 });
});
