// Every bin is due, uploads arrive, and an independent client (tuf-js) updates without a pause, over HTTP: it never sees
// a version go back, nor a published file vanish.
import { randomUUID } from 'node:crypto';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { Updater } from 'tuf-js';
import { expect, onTestFinished, test } from 'vitest';
import { buildServer } from '../../src/http/server.ts';
import { DEFAULT_HTTP_LIMITS } from '../../src/http/server-deps.ts';
import { systemClock } from '../../src/lib/clock.ts';
import { createMetrics } from '../../src/lib/metrics.ts';
import { LiveCatalogue } from '../../src/publish/live-catalogue.ts';
import { Publisher } from '../../src/publish/publisher.ts';
import { PublicationWaiter } from '../../src/publish/waiter.ts';
import { ManualClock } from '../support/manual-clock.ts';
import { expectSound } from '../support/oracle.ts';
import { foundRepository, targetOf, type TestRepository } from '../support/repository.ts';
import { tempDir } from '../support/temp-dir.ts';

const BINS = 256;
const HOUR_MS = 3_600_000;

interface Served {
  readonly url: string;
  readonly publisher: Publisher;
}

async function serve({ ports, ledger, store }: TestRepository): Promise<Served> {
  const metrics = createMetrics();
  const waiter = new PublicationWaiter(ledger, systemClock);
  const publisher = new Publisher({ ...ports, clock: systemClock, metrics, waiter });
  const stopping = new AbortController();
  const app = await buildServer({
    ledger,
    history: ledger,
    store,
    renderedPages: false,
    catalogue: new LiveCatalogue(ledger, store),
    waiter,
    publisher,
    auth: undefined,
    targets: { kind: 'none' },
    limits: DEFAULT_HTTP_LIMITS,
    retentionMs: 24 * HOUR_MS,
    clock: systemClock,
    newId: randomUUID,
    random: () => 0.5,
    log: ports.log,
    metrics,
    shutdownSignal: stopping.signal,
    version: '0.0.0',
  });
  await app.listen({ host: '127.0.0.1', port: 0 });
  publisher.start();
  onTestFinished(async () => {
    stopping.abort();
    await app.close();
    await publisher.stop();
  });
  return { url: `http://127.0.0.1:${(app.server.address() as AddressInfo).port}`, publisher };
}

/** One upload, published when this resolves. */
async function upload(url: string, path: string): Promise<void> {
  const { length, hashes } = targetOf(path);
  const response = await fetch(`${url}/v1/events`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', prefer: 'wait=20' },
    body: JSON.stringify({ events: [{ changes: [{ op: 'add', path, length, hashes }] }] }),
  });
  expect(await response.json()).toMatchObject({ events: [{ state: 'published' }] });
}

async function trustedVersions(metadataDir: string): Promise<Map<string, number>> {
  const read = async (
    name: string,
  ): Promise<{ version: number; meta: Record<string, { version: number }> }> =>
    (
      JSON.parse(await readFile(join(metadataDir, name), 'utf8')) as {
        signed: { version: number; meta: Record<string, { version: number }> };
      }
    ).signed;
  const [timestamp, snapshot] = await Promise.all([read('timestamp.json'), read('snapshot.json')]);
  const roles = Object.entries(snapshot.meta).map(([name, { version }]) => [name, version] as const);
  return new Map([...roles, ['timestamp.json', timestamp.version], ['snapshot.json', snapshot.version]]);
}

test('renewal of all bins under uploads and updates', async () => {
  // Bins are renewed at half of their life, and these were all signed at once, more than that ago.
  const repository = await foundRepository({
    bins: BINS,
    // Renewal takes several of the client's updates, not one.
    settings: { minIntervalMs: 150 },
    clock: new ManualClock(systemClock.now() - 13 * HOUR_MS),
  });
  const { url, publisher } = await serve(repository);
  await expect.poll(() => publisher.status().role).toBe('publishing');
  const metadataDir = join(await tempDir(), 'metadata');
  await mkdir(metadataDir);
  await writeFile(join(metadataDir, 'root.json'), repository.rootBytes);

  const published: string[] = [];
  let before = new Map<string, number>();
  let refreshes = 0;
  const update = async (): Promise<void> => {
    const promised = [...published.slice(0, 1), ...published.slice(-2)];
    const updater = new Updater({ metadataDir, metadataBaseUrl: `${url}/metadata` });
    await updater.refresh();
    refreshes += 1;
    for (const path of promised) {
      expect((await updater.getTargetInfo(path))?.hashes, path).toEqual(targetOf(path).hashes);
    }
    const now = await trustedVersions(metadataDir);
    for (const [role, version] of before) expect(now.get(role), role).toBeGreaterThanOrEqual(version);
    before = now;
  };
  const done = new AbortController();
  const client = (async () => {
    while (!done.signal.aborted) await update();
    await update();
  })();
  const uploads = (async () => {
    for (let n = 0; !done.signal.aborted; n++) {
      const path = `packages/${n}/file-${n}.whl`;
      await upload(url, path);
      published.push(path);
    }
  })();
  const quiet = (): boolean => publisher.status().renewalsDue === 0 && refreshes >= 5;
  const watching = expect.poll(quiet, { timeout: 25_000 }).toBe(true);
  await Promise.all([
    Promise.race([watching, client, uploads]).finally(() => {
      done.abort();
    }),
    client,
    uploads,
  ]);

  const bins = [...before].filter(([role]) => role.startsWith('bin-'));
  expect(bins).toHaveLength(BINS);
  for (const [role, version] of bins) expect(version, role).toBeGreaterThan(1);
  await publisher.stop();
  await expectSound({ ...repository, clock: systemClock });
});
