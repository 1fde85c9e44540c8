// The online key is replaced while uploads arrive and clients (tuf-js and ours) update without a pause: no update fails,
// no version goes back, nothing that was published vanishes.
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { Updater as OutsideUpdater } from 'tuf-js';
import { expect, onTestFinished, test } from 'vitest';
import { httpFetcher } from '../../src/client/http-fetcher.ts';
import { Updater } from '../../src/client/updater.ts';
import { systemClock } from '../../src/lib/clock.ts';
import { ROOT_AHEAD_MS } from '../../src/publish/import-desk.ts';
import { MetadataDirectory } from '../../src/storage/metadata-directory.ts';
import type { ObjectStore } from '../../src/storage/store.ts';
import { bundleText, nextBundle } from '../support/next-ceremony.ts';
import { ManualClock } from '../support/manual-clock.ts';
import { expectSound } from '../support/oracle.ts';
import { eventually, startPublisher } from '../support/publisher-process.ts';
import { accept, foundRepository, makeOfflineKeys, targetOf } from '../support/repository.ts';
import { RunningClock } from '../support/running-clock.ts';
import { tempDir } from '../support/temp-dir.ts';
import { throwawaySigner } from '../support/throwaway-signer.ts';

const BINS = 16;
const ROTATIONS = process.env['SLOW'] === '1' ? 10 : 1;

/** The public objects of a store, as any web server hands them out. */
async function serve(store: ObjectStore): Promise<string> {
  const server = createServer((request, response) => {
    void store.get((request.url ?? '/').slice(1), 5_000_000).then((object) => {
      response.writeHead(object === undefined ? 404 : 200).end(object?.bytes);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

interface Client {
  /** Updates whole, and looks paths up. */
  readonly update: (paths: readonly string[]) => Promise<void>;
  readonly directory: string;
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

test('no client notices', { timeout: 60_000 + ROTATIONS * 30_000 }, async () => {
  const repository = await foundRepository({
    bins: BINS,
    clock: new ManualClock(systemClock.now() - 60_000),
  });
  const { store, ledger, rootBytes } = repository;
  const clock = new RunningClock(systemClock.now(), 1);
  const url = await serve(store);
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
  const all = await clients(url, rootBytes);
  const rounds = all.map(() => 0);
  const updating = all.map(async ({ directory, update }, index) => {
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
  });
  /** Every client has made a whole update that began after now. */
  const everybodyUpdated = async (): Promise<void> => {
    const from = rounds.slice();
    await eventually('clients update', () => rounds.every((round, i) => round >= (from[i] ?? 0) + 2));
  };
  const settle = async (kind: 'import' | 'renew-all', content: string): Promise<void> => {
    const order = await ledger.placeOrder(kind, content, clock.now());
    const roots = (await ledger.head())?.roles.root ?? 0;
    let ahead = false;
    await eventually(`${kind} is settled`, async () => {
      const head = await ledger.head();
      if (!ahead && kind === 'import' && (head?.roles.root ?? 0) > roots) {
        ahead = true;
        await everybodyUpdated();
        clock.jump(ROOT_AHEAD_MS);
      }
      return (await ledger.orderState(order))?.state !== 'open';
    });
    expect(await ledger.orderState(order)).toMatchObject({ state: 'done' });
    await everybodyUpdated();
  };

  const rotate = async (): Promise<void> => {
    let { bundle, offlineKeys: keys, signer: old } = repository;
    for (let n = 0; n < ROTATIONS; n++) {
      const next = throwawaySigner(100 + n, n % 2 === 0 ? 'ecdsa-p256' : 'ed25519');
      const both = startPublisher(repository.ports, {
        holder: `rotation ${n}`,
        clock,
        ports: { signer: old, nextSigner: next },
      });
      for (const online of [[old, next], [next]]) {
        // Targets and bins have one-time keys: new ones in every ceremony.
        const offlineKeys = await makeOfflineKeys(1000 + n * 2 + online.length);
        const plan = { now: clock.now(), online, offlineKeys, targetsOverlap: true };
        bundle = await nextBundle(bundle, keys, plan);
        keys = { root: keys.root, targets: offlineKeys.targets, bins: offlineKeys.bins };
        await settle('import', bundleText(bundle));
        if (online.length === 2) {
          await settle('renew-all', '');
          expect(both.publisher.status().nextKey).toEqual({ keyid: next.keyid, binsSigned: BINS });
        }
      }
      await both.publisher.stop();
      old = next;
    }
    const after = startPublisher(repository.ports, { holder: 'after', clock, ports: { signer: old } });
    await everybodyUpdated();
    await eventually('the key alone publishes', () => after.publisher.status().lastPublication !== undefined);
    done.abort();
    await after.publisher.stop();
  };
  await Promise.all([
    Promise.race([rotate(), ...updating]).finally(() => {
      done.abort();
    }),
    upload(),
    ...updating,
  ]);
  expect(published.length).toBeGreaterThan(5);
  expect(await versionIn(all[0]?.directory ?? '', 'root.json')).toBe(1 + 2 * ROTATIONS);
  await expectSound({ store, clock, rootBytes, ledger });
});
