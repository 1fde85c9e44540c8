// Uploads that never end and clients (tuf-js and ours) that update without a pause, while something happens to a
// repository: no update fails, no version goes back, nothing that was published vanishes.
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Updater as OutsideUpdater } from 'tuf-js';
import { expect } from 'vitest';
import { httpFetcher } from '../../src/client/http-fetcher.ts';
import { Updater } from '../../src/client/updater.ts';
import { systemClock } from '../../src/lib/clock.ts';
import { ROOT_AHEAD_MS } from '../../src/publish/import-desk.ts';
import { MetadataDirectory } from '../../src/storage/metadata-directory.ts';
import { eventually } from './publisher-process.ts';
import { accept, targetOf, type TestRepository } from './repository.ts';
import type { RunningClock } from './running-clock.ts';
import { serveStore } from './store-server.ts';
import { tempDir } from './temp-dir.ts';

export interface Load {
  /** Target paths, in the order of their publication. */
  readonly published: readonly string[];
  /** Every client has made a whole update that began after now. */
  everybodyUpdated(): Promise<void>;
  /** Orders something, waits for its end, and says whether a root went ahead of the rest. */
  settle(kind: 'import' | 'renew-all', content: string): Promise<{ readonly rootWentAhead: boolean }>;
  /** Does the work while uploads and updates go on; rejects with the first of them that fails. */
  during(work: () => Promise<void>): Promise<void>;
  /** The root that each client trusts. */
  roots(): Promise<number[]>;
}

interface Client {
  /** Updates whole, and looks paths up. */
  readonly update: (paths: readonly string[]) => Promise<void>;
  readonly directory: string;
}

/** Time is the publisher's `clock`; where a root goes ahead, it jumps over the minute as soon as every client has it. */
export async function clientsUnderLoad(repository: TestRepository, clock: RunningClock): Promise<Load> {
  const { store, ledger, rootBytes } = repository;
  const all = await clients(await serveStore(store), rootBytes);
  const rounds = all.map(() => 0);
  const published: string[] = [];
  const done = new AbortController();

  const upload = async (): Promise<void> => {
    for (let n = 0; !done.signal.aborted; n++) {
      const path = `packages/${n}/file-${n}.whl`;
      const { id } = await accept({ ledger, clock: repository.clock }, [
        { op: 'add', path, target: targetOf(path) },
      ]);
      await eventually(`${path} is published`, async () => {
        return (await ledger.events([id])).get(id)?.state.state === 'published' || done.signal.aborted;
      });
      published.push(path);
    }
  };
  const updating = async ({ directory, update }: Client, index: number): Promise<void> => {
    let before = [0, 0, 0];
    while (!done.signal.aborted) {
      await update([...published.slice(0, 1), ...published.slice(-2)]);
      rounds[index] = (rounds[index] ?? 0) + 1;
      const files = ['root.json', 'timestamp.json', 'snapshot.json'];
      const now = await Promise.all(files.map((file) => versionIn(directory, file)));
      now.forEach((version, i) => {
        expect(version, files[i]).toBeGreaterThanOrEqual(before[i] ?? 0);
      });
      before = now;
    }
  };
  const everybodyUpdated = async (): Promise<void> => {
    const from = rounds.slice();
    await eventually('clients update', () => rounds.every((round, i) => round >= (from[i] ?? 0) + 2));
  };
  return {
    published,
    everybodyUpdated,
    settle: async (kind, content) => {
      const order = await ledger.placeOrder(kind, content, clock.now());
      const roots = (await ledger.head())?.roles.root ?? 0;
      let rootWentAhead = false;
      await eventually(`${kind} is settled`, async () => {
        const state = (await ledger.orderState(order))?.state;
        if (!rootWentAhead && state === 'open' && ((await ledger.head())?.roles.root ?? 0) > roots) {
          rootWentAhead = true;
          await everybodyUpdated();
          clock.jump(ROOT_AHEAD_MS);
        }
        return state !== 'open';
      });
      expect(await ledger.orderState(order)).toMatchObject({ state: 'done' });
      await everybodyUpdated();
      return { rootWentAhead };
    },
    during: async (work) => {
      const running = all.map(updating);
      const finished = work().finally(() => {
        done.abort();
      });
      await Promise.all([
        Promise.race([finished, ...running]).finally(() => {
          done.abort();
        }),
        upload(),
        ...running,
      ]);
    },
    roots: () => Promise.all(all.map(({ directory }) => versionIn(directory, 'root.json'))),
  };
}

async function clients(url: string, rootBytes: Uint8Array): Promise<Client[]> {
  const directory = async (): Promise<string> => {
    const made = join(await tempDir(), 'metadata');
    await mkdir(made);
    await writeFile(join(made, 'root.json'), rootBytes);
    return made;
  };
  const outside = await directory();
  const own = await directory();
  return [
    {
      directory: outside,
      update: async (paths) => {
        const updater = new OutsideUpdater({ metadataDir: outside, metadataBaseUrl: `${url}/metadata` });
        await updater.refresh();
        for (const path of paths) {
          expect((await updater.getTargetInfo(path))?.hashes, path).toEqual(targetOf(path).hashes);
        }
      },
    },
    {
      directory: own,
      update: async (paths) => {
        const store = MetadataDirectory.open(own);
        const metadataUrl = `${url}/metadata`;
        const fetcher = httpFetcher(systemClock);
        const updater = new Updater({ store, fetcher, clock: systemClock, metadataUrl });
        await updater.refresh();
        for (const path of paths) expect(await updater.find(path), path).toBeDefined();
      },
    },
  ];
}

async function versionIn(directory: string, file: string): Promise<number> {
  const text = await readFile(join(directory, file), 'utf8');
  return (JSON.parse(text) as { signed: { version: number } }).signed.version;
}
