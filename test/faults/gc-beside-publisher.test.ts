// Garbage is collected without a pause while a publisher publishes and clients take as long as they were promised: step by
// step, in one order that the test decides, so that it is the same on a busy machine.
import { expect, test } from 'vitest';
import type { Fetcher } from '../../src/client/fetcher.ts';
import { Updater } from '../../src/client/updater.ts';
import { collectGarbage, type RetentionReport } from '../../src/publish/retention.ts';
import type { ObjectStore } from '../../src/storage/store.ts';
import { MemoryMetadata } from '../support/hostile-repository.ts';
import { expectSound } from '../support/oracle.ts';
import { foundRepository, publishPaths, type TestRepository } from '../support/repository.ts';

const SECOND_MS = 1000;
/** Publications, a second apart. */
const ROUNDS = 80;
/** A client needs a round for each request: roots, timestamp, snapshot, targets, bins, and a bin for each path. */
const RETENTION_MS = 14 * SECOND_MS;
/** Objects that a collection lists between two publications. */
const LISTED_IN_A_ROUND = 30;

/** Everybody who waits for the next round. */
class Rounds {
  #waiting: (() => void)[] = [];

  next(): Promise<void> {
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  async begin(): Promise<void> {
    for (const resolve of this.#waiting.splice(0)) resolve();
    // Whatever they do now, they do before the next one: nothing here waits for a disk or for a network.
    await new Promise((resolve) => setImmediate(resolve));
  }

  /** Rounds without a publication, until something has come to its end. */
  async until<T>(work: Promise<T>): Promise<T> {
    const over = new AbortController();
    const ended = work.finally(() => {
      over.abort();
    });
    ended.catch(() => undefined);
    while (!over.signal.aborted) await this.begin();
    return ended;
  }
}

/** Looks up one path after the other; each request waits for a round. Resolves with the number of requests. */
async function slowClient(
  repository: TestRepository,
  rounds: Rounds,
  paths: readonly string[],
): Promise<number> {
  let requests = 0;
  const fetcher: Fetcher = {
    get: async (url, maxBytes) => {
      requests += 1;
      await rounds.next();
      const object = await repository.store.get(url.slice('https://index.example/'.length), maxBytes);
      return object && ([object.bytes].values() as unknown as AsyncIterable<Uint8Array>);
    },
  };
  const store = new MemoryMetadata();
  await Updater.init(store, repository.rootBytes);
  const updater = new Updater({
    store,
    fetcher,
    clock: repository.clock,
    metadataUrl: 'https://index.example/metadata',
  });
  await updater.refresh();
  for (const path of paths) expect(await updater.find(path), path).toBeDefined();
  return requests;
}

/** The same store; its listing waits for a round now and then, as that of millions of objects does. */
function slowlyListed(store: ObjectStore, rounds: Rounds): ObjectStore {
  return {
    get: (name, maxBytes) => store.get(name, maxBytes),
    putImmutable: (name, bytes) => store.putImmutable(name, bytes),
    replace: (name, bytes, token) => store.replace(name, bytes, token),
    remove: (name) => store.remove(name),
    list: async function* (prefix) {
      let listed = 0;
      for await (const object of store.list(prefix)) {
        yield object;
        if (++listed % LISTED_IN_A_ROUND === 0) await rounds.next();
      }
    },
  };
}

test('a client that takes as long as promised finds everything', async () => {
  const repository = await foundRepository({ bins: 4 });
  const { clock, ledger } = repository;
  const rounds = new Rounds();
  const store = slowlyListed(repository.store, rounds);
  const over = new AbortController();
  const reports: RetentionReport[] = [];
  const collecting = (async () => {
    const ports = { history: ledger, store, clock, snapshotsMs: RETENTION_MS, eventsMs: 60_000 };
    while (!over.signal.aborted) {
      reports.push(await collectGarbage(ports));
      await rounds.next();
    }
  })();
  const clients: Promise<number>[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    await publishPaths(repository, [`packages/${round}.whl`]);
    clock.advance(SECOND_MS);
    // The newest and an old one, which two bins name or one.
    if (round < ROUNDS - 20) {
      clients.push(slowClient(repository, rounds, [`packages/${round}.whl`, 'packages/0.whl']));
    }
    await rounds.begin();
  }
  const requests = await rounds.until(Promise.all(clients));
  expect(Math.max(...requests)).toBeGreaterThan(6);
  over.abort();
  await rounds.until(collecting);
  expect(reports.length).toBeGreaterThan(3);
  expect(reports.reduce((sum, { removed }) => sum + removed, 0)).toBeGreaterThan(ROUNDS / 2);
  await expectSound(repository);
});
