// A mirror on whose index keys are rotated and bins are counted anew: broken off before each of its writes, it shows what a
// client accepts that comes with the first root.
import { cp } from 'node:fs/promises';
import { describe, expect, test } from 'vitest';
import { ROOT_AHEAD_MS } from '../../src/publish/import-desk.ts';
import { takeLease } from '../../src/publish/lease.ts';
import { Term } from '../../src/publish/term.ts';
import type { Signer } from '../../src/signing/signer.ts';
import { openFileLargeObjects } from '../../src/storage/file-large-objects.ts';
import { openFileStore } from '../../src/storage/file-store.ts';
import type { Bundle } from '../../src/tuf/bundle.ts';
import { breakAfter } from '../support/broken-stores.ts';
import { GRACE_MS, mirrorBench, type Bench } from '../support/mirror-bench.ts';
import { bundleText, nextBundle, type NextCeremony } from '../support/next-ceremony.ts';
import { violationsOf } from '../support/oracle.ts';
import {
  foundRepository,
  makeOfflineKeys,
  publishPaths,
  type TestRepository,
} from '../support/repository.ts';
import { tempDir } from '../support/temp-dir.ts';
import { throwawaySigner } from '../support/throwaway-signer.ts';
import { isWholeMirror } from '../support/whole-mirror.ts';

const SLOW = process.env['SLOW'] !== undefined;

const [OLD, NEXT] = [throwawaySigner(1), throwawaySigner(9)];

/** An index whose ceremonies follow one another. */
class Index {
  repository: TestRepository;
  #bundle: Bundle;
  #keys;

  private constructor(repository: TestRepository) {
    this.repository = repository;
    this.#bundle = repository.bundle;
    this.#keys = repository.offlineKeys;
  }

  static async found(bins = 2): Promise<Index> {
    const index = new Index(await foundRepository({ bins }));
    await publishPaths(index.repository, ['p/a', 'p/b']);
    return index;
  }

  /** The service goes on with these keys. */
  sign(signer: Signer, nextSigner?: Signer): void {
    const ports = { ...this.repository.ports, signer, ...(nextSigner && { nextSigner }) };
    this.repository = { ...this.repository, ports };
  }

  async import(
    ceremony: Partial<NextCeremony>,
    kind: 'import' | 'import-compromised' = 'import',
  ): Promise<void> {
    const { clock } = this.repository;
    this.#bundle = await nextBundle(this.#bundle, this.#keys, {
      now: clock.now(),
      online: [OLD],
      ...ceremony,
    });
    this.#keys = { ...this.#keys, ...ceremony.offlineKeys };
    await this.#order(kind, bundleText(this.#bundle));
  }

  renewAll(): Promise<void> {
    return this.#order('renew-all', '');
  }

  async #order(kind: 'import' | 'import-compromised' | 'renew-all', content: string): Promise<void> {
    const { ports, ledger, clock } = this.repository;
    clock.advance(1000);
    const number = await ledger.placeOrder(kind, content, clock.now());
    const term = await Term.begin(ports, await takeLease(ports.ledger, ports.clock, ports));
    while ((await term.publish()) !== undefined);
    clock.advance(ROOT_AHEAD_MS);
    while ((await term.publish()) !== undefined);
    expect(await ledger.orderState(number)).toMatchObject({ state: 'done' });
  }
}

/** Breaks a sync off before each write (each `step`th one), each time from the same beginning; says how many writes it takes. */
async function breakEverywhere({ repository }: Index, asleep: Bench, step = 1): Promise<number> {
  const isWhole = (directory: string): Promise<boolean> =>
    isWholeMirror(directory, repository.rootBytes, repository.clock);
  for (let allowed = 0; ; allowed += step) {
    const directory = await tempDir();
    await cp(asleep.directory, directory, { recursive: true });
    const bench = await mirrorBench(repository, { directory });
    const stores = [await openFileStore(directory), await openFileLargeObjects(directory)] as const;
    const whole = await bench.sync(breakAfter(allowed, ...stores)).then(
      () => true,
      (error: unknown) => {
        expect(error).toMatchObject({ message: 'the process ends here' });
        return false;
      },
    );
    expect(await isWhole(directory), `after ${allowed} writes`).toBe(true);
    if (!whole && SLOW) await bench.sync();
    if (whole || SLOW) {
      expect(await isWhole(directory)).toBe(true);
      expect(await bench.sync()).toMatchObject({ published: false, rolesTaken: 0 });
    }
    if (whole) return allowed;
  }
}

describe('an index replaces its keys while the mirror sleeps', () => {
  test('the online key, with overlap: every write leaves a pair that clients accept', async () => {
    const index = await Index.found();
    const bench = await mirrorBench(index.repository);
    await bench.sync();
    index.sign(OLD, NEXT);
    await index.import({ online: [OLD, NEXT] });
    await index.renewAll();
    await index.import({ online: [NEXT] });
    await publishPaths(index.repository, ['p/c']);
    // Two bins, bins, targets, two roots, snapshot, timestamp, and a file.
    expect(await breakEverywhere(index, bench)).toBe(9);
  });

  test('one-time keys of targets too', async () => {
    const index = await Index.found();
    const bench = await mirrorBench(index.repository);
    await bench.sync();
    const offlineKeys = await makeOfflineKeys(20);
    await index.import({ online: [OLD], offlineKeys, targetsOverlap: true });
    await breakEverywhere(index, bench);
  });

  test('without overlap no order is right: clients refuse what the revoked key signed, and the next run mends it', async () => {
    const index = await Index.found();
    const { repository } = index;
    const bench = await mirrorBench(repository);
    await bench.sync();
    index.sign(NEXT);
    await index.import({ online: [NEXT] }, 'import-compromised');
    const store = await openFileStore(bench.directory);
    const cut = { ...breakAfter(Infinity, store, await openFileLargeObjects(bench.directory)) };
    cut.store.replace = () => Promise.reject(new Error('the process ends here'));
    await expect(bench.sync(cut)).rejects.toThrow('the process ends here');
    // The thief's key is what a client must not believe any more, so the root is there first.
    expect(await store.get('metadata/2.root.json', 500_000)).toBeDefined();
    const { clock, rootBytes } = repository;
    const rules = (await violationsOf({ store, clock, rootBytes, mirror: true })).map(({ rule }) => rule);
    expect(rules).toEqual(['tuf-5.4.2', 'tuf-5.5.3']);
    await bench.sync();
    expect(await isWholeMirror(bench.directory, repository.rootBytes, repository.clock)).toBe(true);
  });
});

test.each([
  { from: 2, to: 8 },
  { from: 8, to: 2 },
])(
  '$from bins become $to: the mirror follows, broken off before each of its writes',
  async ({ from, to }) => {
    const index = await Index.found(from);
    const { repository } = index;
    const bench = await mirrorBench(repository);
    await bench.sync();
    await index.import({ root: false, targets: false, binCount: to });
    await publishPaths(repository, ['p/c']);
    await breakEverywhere(index, bench);
    expect((await bench.sync()).rolesTaken).toBeGreaterThanOrEqual(to);
    // What clients read before goes after the grace, and the new bins stay.
    await publishPaths(repository, ['p/d']);
    await bench.sync();
    repository.clock.advance(GRACE_MS + 1);
    expect((await bench.sync()).removed.metadata).toBeGreaterThanOrEqual(from);
    expect(await isWholeMirror(bench.directory, repository.rootBytes, repository.clock)).toBe(true);
  },
);
