// docs/deploy/nginx-cache.conf in a real nginx: what an index publishes is seen through it in the time that is promised, a
// 404 is never kept, and a versioned file is asked for once.
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import path from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { inCheckout } from '../../scripts/interop/checkout.ts';
import { installNginx } from '../../scripts/interop/nginx.ts';
import { openUpdater, type Updater } from '../../src/client.ts';
import { systemClock } from '../../src/lib/clock.ts';
import { ManualClock } from '../support/manual-clock.ts';
import { foundRepository, publishPaths, type TestRepository } from '../support/repository.ts';
import { tempDir } from '../support/temp-dir.ts';
import { startNginx } from './nginx-server.ts';

const nginx = await installNginx();

/** Of timestamp.json, as the page promises it. */
const MAX_AGE_MS = 2000;

interface Cached {
  readonly repository: TestRepository;
  /** Of the cache. */
  readonly url: string;
  /** What reached the origin, such as `metadata/timestamp.json`. */
  readonly requests: string[];
  /** Files that are there apart from the repository's. */
  readonly extra: Map<string, Uint8Array>;
  /** Answers in the place of the origin, or leaves it to it. */
  fault: (name: string, response: ServerResponse) => boolean;
  /** A client that begins with the root. */
  readonly client: () => Promise<Updater>;
}

/** An index behind the cache. Its origin says of everything, absent files too, that it may be kept for a day. */
async function cachedIndex(): Promise<Cached> {
  const repository = await foundRepository({ clock: new ManualClock(systemClock.now() - 60_000) });
  const { store, rootBytes } = repository;
  const requests: string[] = [];
  const extra = new Map<string, Uint8Array>();
  const answer = async (name: string, response: ServerResponse): Promise<void> => {
    requests.push(name);
    if (cached.fault(name, response)) return;
    const bytes = extra.get(name) ?? (await store.get(name, 5_000_000))?.bytes;
    response.setHeader('cache-control', 'public, max-age=86400');
    response.writeHead(bytes === undefined ? 404 : 200, { 'content-length': bytes?.length ?? 0 }).end(bytes);
  };
  const server = createServer((request, response) => {
    answer((request.url ?? '').split('?', 1)[0]?.slice(1) ?? '', response).catch(() => response.destroy());
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  const origin = `127.0.0.1:${(server.address() as AddressInfo).port}`;
  const config = await readFile(inCheckout('docs/deploy/nginx-cache.conf'), 'utf8');
  const kept = path.join(await tempDir(), 'cache');
  const url = await startNginx(nginx.program ?? '', (port) =>
    config
      .replace('listen 80;', `listen 127.0.0.1:${port};`)
      .replace('server 127.0.0.1:8080;', `server ${origin};`)
      .replace('/var/cache/nginx/index', kept),
  );
  const cached: Cached = {
    repository,
    url,
    requests,
    extra,
    fault: () => false,
    client: async () =>
      openUpdater({ metadataDir: await tempDir(), metadataUrl: `${url}/metadata`, root: rootBytes }),
  };
  requests.length = 0;
  return cached;
}

test.skipIf(nginx.program === undefined)(
  'a client sees what was published when the max-age of the timestamp is over, whatever the origin says',
  async () => {
    const { repository, client } = await cachedIndex();
    const updater = await client();
    await updater.refresh();
    for (let round = 0; round < 3; round++) {
      // As young in the cache as it can be: the longest wait.
      await (await client()).refresh();
      await publishPaths(repository, [`packages/new-${round}.whl`]);
      await systemClock.sleep(MAX_AGE_MS);
      await updater.refresh();
      expect(await updater.find(`packages/new-${round}.whl`)).toBeDefined();
    }
  },
);

test.skipIf(nginx.program === undefined)(
  'a name that was asked for too early is there as soon as the origin has it',
  async () => {
    const { repository, url, extra } = await cachedIndex();
    await publishPaths(repository, ['packages/one.whl']);
    const statusOf = async (name: string): Promise<number> => {
      const response = await fetch(`${url}/${name}`);
      await response.arrayBuffer();
      return response.status;
    };
    const early = [
      'metadata/2.root.json',
      'metadata/3.snapshot.json',
      `targets/packages/${'ab'.repeat(32)}.two.whl`,
    ];
    for (let round = 0; round < 3; round++) {
      for (const name of early) expect(await statusOf(name), name).toBe(404);
    }
    extra.set('metadata/2.root.json', Buffer.from('root'));
    extra.set(`targets/packages/${'ab'.repeat(32)}.two.whl`, Buffer.from('two'));
    await publishPaths(repository, ['packages/two.whl']);
    for (const name of early) expect(await statusOf(name), name).toBe(200);
  },
);

test.skipIf(nginx.program === undefined)(
  'a versioned file is asked for once, and kept when the origin is gone; a timestamp is not',
  async () => {
    const cached = await cachedIndex();
    const { repository, url, requests, client } = cached;
    await publishPaths(repository, ['packages/one.whl']);
    const clients = await Promise.all(Array.from({ length: 8 }, () => client()));
    const all = clients.map(async (updater) => {
      await updater.refresh();
      return updater.find('packages/one.whl');
    });
    expect((await Promise.all(all)).every((target) => target !== undefined)).toBe(true);
    const versioned = requests.filter((name) => !/timestamp|2\.root/.test(name));
    expect(versioned.length).toBeGreaterThan(3);
    expect(new Set(versioned).size).toBe(versioned.length);
    // A query makes no copies.
    await (await fetch(`${url}/metadata/1.targets.json?again`)).arrayBuffer();
    expect(requests.filter((name) => name === 'metadata/1.targets.json')).toHaveLength(1);

    cached.fault = (_name, response) => {
      response.destroy();
      return true;
    };
    await systemClock.sleep(MAX_AGE_MS);
    expect((await fetch(`${url}/metadata/timestamp.json`)).status).toBe(502);
    for (const name of new Set(versioned)) expect((await fetch(`${url}/${name}`)).status, name).toBe(200);
  },
);

test.skipIf(nginx.program === undefined)('errors and answers that broke off are not kept', async () => {
  const cached = await cachedIndex();
  const { url, repository } = cached;
  const name = 'metadata/1.targets.json';
  const whole = (await repository.store.get(name, 100_000))?.bytes ?? Buffer.of();
  const faults: ((response: ServerResponse) => unknown)[] = [
    (response) => response.writeHead(503, { 'cache-control': 'max-age=86400' }).end('busy'),
    (response) => response.writeHead(302, { location: 'https://elsewhere.example/' }).end(),
    (response) => {
      response.writeHead(200, { 'content-length': whole.length }).write(whole.subarray(0, 100), () => {
        response.destroy();
      });
    },
  ];
  for (const fault of faults) {
    cached.fault = (_name, response) => {
      fault(response);
      return true;
    };
    const spoilt = await fetch(`${url}/${name}`, { redirect: 'manual' })
      .then((response) => (response.ok ? response.arrayBuffer() : undefined))
      .catch(() => undefined);
    expect(spoilt).toBeUndefined();
  }
  cached.fault = () => false;
  const answer = await fetch(`${url}/${name}`);
  expect(Buffer.from(await answer.arrayBuffer()).equals(whole)).toBe(true);
});
