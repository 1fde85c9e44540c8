// What the proxy answers without a whole file, before one is whole, and when its disk or its line is full.
import { mkdir, readFile, writeFile, type FileHandle } from 'node:fs/promises';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { sha256Hex } from '../../src/lib/bytes.ts';
import { FileCache } from '../../src/proxy/file-cache.ts';
import { HELD_BACK_BYTES, Transfer } from '../../src/proxy/transfer.ts';
import { HostileUpstream, proxyOf, untilAnswered } from '../support/hostile-upstream.ts';
import { tempDir } from '../support/temp-dir.ts';

const FILE = 'packages/demo-1.0-py3-none-any.whl';

async function upstreamWith(content: string | Uint8Array) {
  const upstream = await HostileUpstream.start();
  const [file = ''] = upstream.publish({ [FILE]: content });
  return { upstream, file };
}

describe('what signed metadata says is said without the file', () => {
  test.each<[request: string, init: RequestInit, status: number]>([
    ['HEAD', { method: 'HEAD' }, 200],
    ['If-None-Match', { headers: { 'if-none-match': `"${sha256Hex('wheel')}"` } }, 304],
    ['both', { method: 'HEAD', headers: { 'if-none-match': `"${sha256Hex('wheel')}"` } }, 304],
    ['a range outside', { headers: { range: 'bytes=9-' } }, 416],
  ])('%s', async (_request, init, status) => {
    const { upstream, file } = await upstreamWith('wheel');
    const { address } = await proxyOf(upstream);
    const response = await fetch(`${address}/files/${FILE}`, init);
    expect(response.status).toBe(status);
    if (status === 200) expect(response.headers.get('content-length')).toBe('5');
    expect(upstream.requests).not.toContain(file);
  });
});

test('a range before the last bytes is no answer that looks whole before the file is right', async () => {
  const good = Buffer.alloc(4 * HELD_BACK_BYTES, 'good');
  const { upstream, file } = await upstreamWith(good);
  const { address } = await proxyOf(upstream);
  let finish = (): void => undefined;
  upstream.lies.set(file, (_request, response) => {
    response.write(Buffer.alloc(good.length - 1, 'evil'));
    finish = () => response.end('!');
  });
  const asked = fetch(`${address}/files/${FILE}`, { headers: { range: 'bytes=0-99' } });
  await expect.poll(() => upstream.requests).toContain(file);
  const body = untilAnswered(asked, upstream).then((response) => response.text());
  setTimeout(() => {
    finish();
  }, 500);
  const given = await body.catch(() => 'broken off');
  expect(given).not.toContain('evil');
});

test('a file that is wrong before its first byte went out is refused with a status, and counted once', async () => {
  const { upstream, file } = await upstreamWith('wheel');
  const { address } = await proxyOf(upstream);
  let finish = (): void => undefined;
  upstream.lies.set(file, (_request, response) => {
    response.write('whe');
    finish = () => response.end('xx');
  });
  const asked = fetch(`${address}/files/${FILE}`, { headers: { range: 'bytes=0-2' } });
  await expect.poll(() => upstream.requests).toContain(file);
  // Beyond the time in which it would be answered when it is right.
  await new Promise((resolve) => setTimeout(resolve, 300));
  upstream.repository.clock.advance(5000);
  await new Promise((resolve) => setTimeout(resolve, 300));
  finish();
  const refused = await asked;
  expect(refused.status).toBe(403);
  expect(refused.headers.get('content-range')).toBeNull();
  const metrics = await (await fetch(`${address}/metrics`)).text();
  expect(metrics).toContain('refusals_total{code="length-or-hash-mismatch"} 1\n');
});

test.each(['/healthz', '/', '/metrics', '/simple/demo'])('HEAD %s is answered as GET is', async (name) => {
  const { upstream } = await upstreamWith('wheel');
  const { address } = await proxyOf(upstream);
  const ask = (method: string) => fetch(`${address}${name}`, { method, redirect: 'manual' });
  expect((await ask('HEAD')).status).toBe((await ask('GET')).status);
});

test('more downloads than run at once wait for their turn', async () => {
  const upstream = await HostileUpstream.start();
  const paths = Array.from({ length: 100 }, (_, index) => `packages/f${index}.tar.gz`);
  const files = upstream.publish(Object.fromEntries(paths.map((name) => [name, name])));
  const held: (() => void)[] = [];
  let isOpen = false;
  files.forEach((file, index) => {
    upstream.lies.set(file, (_request, response) => {
      const answer = (): unknown => response.end(paths[index]);
      if (isOpen) answer();
      else held.push(answer);
    });
  });
  const { address } = await proxyOf(upstream);
  const answers = paths.map((name) => untilText(`${address}/files/${name}`));
  await expect.poll(() => held.length, { timeout: 10_000 }).toBe(64);
  isOpen = true;
  for (const answer of held) answer();
  expect(await Promise.all(answers)).toEqual(paths);
});

async function untilText(url: string): Promise<string> {
  const response = await fetch(url);
  return response.text();
}

describe('the cache', () => {
  const open = (directory: string) =>
    FileCache.open({ directory, maxBytes: 1000, now: () => 0, newId: () => 'work' });
  const hashes = new Map([['sha256', sha256Hex('kept')]]);

  async function withKept(directory: string): Promise<FileCache> {
    const cache = await open(directory);
    const { handle, work } = await cache.begin(4);
    await handle.writeFile('kept');
    await handle.close();
    await cache.keep(work, 4, hashes);
    return cache;
  }

  test('gives nothing up for a file that is larger than all of it', async () => {
    const cache = await withKept(await tempDir());
    const { handle } = await cache.begin(5000);
    await handle.close();
    expect(cache.bytes).toBe(4);
    const found = await cache.find(4, hashes);
    expect(found).toBeDefined();
    await found?.close();
  });

  test('is opened beside files of somebody else, and leaves them alone', async () => {
    const directory = await tempDir();
    await withKept(directory);
    const strange = path.join(directory, 'files', '.DS_Store');
    await writeFile(strange, 'x'.repeat(2000));
    await writeFile(path.join(directory, 'files', sha256Hex('kept').slice(0, 2), 'note'), 'x'.repeat(2000));
    expect((await open(directory)).bytes).toBe(4);
    expect(await readFile(strange, 'utf8')).toHaveLength(2000);
  });

  test('puts a file in the place of a directory that has its name', async () => {
    const directory = await tempDir();
    const name = `sha256-${sha256Hex('kept')}`;
    await mkdir(path.join(directory, 'files', sha256Hex('kept').slice(0, 2), name, 'x'), { recursive: true });
    const cache = await open(directory);
    expect(await cache.find(4, hashes)).toBeUndefined();
    await withKept(directory);
  });

  test('a disk that is full is told as that', async () => {
    const full = Object.assign(new Error('ENOSPC: no space left on device, write'), { code: 'ENOSPC' });
    const handle = { writeFile: () => Promise.reject(full), close: () => Promise.resolve() };
    const wanted = { path: FILE, url: 'http://x/', length: 4, hashes };
    const body = async function* (): AsyncGenerator<Uint8Array> {
      yield await Promise.resolve(Buffer.from('kept'));
    };
    const fetcher = { get: () => Promise.resolve(body()) };
    const transfer = new Transfer(wanted, fetcher, handle as unknown as FileHandle);
    await expect(transfer.verified).rejects.toMatchObject({
      code: 'store-unavailable',
      message: expect.stringContaining('no space left on device') as string,
    });
  });
});
