// The read side, over real sockets: what TUF clients, caches and curl see.
import { mkdir, symlink, writeFile } from 'node:fs/promises';
import { request } from 'node:http';
import path from 'node:path';
import { brotliDecompressSync, gunzipSync } from 'node:zlib';
import { expect, test, vi } from 'vitest';
import { sha256Hex } from '../../src/lib/bytes.ts';
import { systemClock } from '../../src/lib/clock.ts';
import { hashedTargetPath } from '../../src/tuf/layout.ts';
import { tempDir } from '../support/temp-dir.ts';
import { send, startService, wireEvent, type TestService } from './service.ts';

const ROOT = Buffer.from(JSON.stringify({ signed: { _type: 'root', pad: 'x'.repeat(5000) } }));

interface Answer {
  readonly status: number;
  readonly headers: Record<string, string | string[] | undefined>;
  readonly bytes: Buffer;
}

/** One GET (or HEAD) with exactly these headers; the path goes out as it is. */
function get(
  origin: string,
  target: string,
  headers: Record<string, string> = {},
  method = 'GET',
): Promise<Answer> {
  const { hostname, port } = new URL(origin);
  return new Promise((resolve, reject) => {
    const req = request({ hostname, port, path: target, headers, method }, (res) => {
      const chunks: Buffer[] = [];
      res.on('data', (chunk: Buffer) => chunks.push(chunk));
      res.on('end', () => {
        resolve({ status: res.statusCode ?? 0, headers: res.headers, bytes: Buffer.concat(chunks) });
      });
    });
    req.on('error', reject);
    req.end();
  });
}

async function withRoot(): Promise<{ service: TestService; origin: string }> {
  const service = await startService();
  service.store.tamper('metadata/1.root.json', ROOT);
  service.store.tamper('metadata/timestamp.json', Buffer.from('{"signed":1}'));
  return { service, origin: await service.listen() };
}

test('an immutable file is cached for a year, timestamp.json for seconds, and is never stale here', async () => {
  const { service, origin } = await withRoot();
  const root = await get(origin, '/metadata/1.root.json');
  expect(root.status).toBe(200);
  expect(root.bytes.equals(ROOT)).toBe(true);
  expect(root.headers).toMatchObject({
    'cache-control': 'public, max-age=31536000, immutable',
    'content-type': 'application/json',
    'content-length': String(ROOT.length),
    'accept-ranges': 'bytes',
    vary: 'accept-encoding',
  });
  expect((await get(origin, '/metadata/timestamp.json')).headers['cache-control']).toContain('max-age=2');
  service.store.tamper('metadata/timestamp.json', Buffer.from('{"signed":2}'));
  expect((await get(origin, '/metadata/timestamp.json')).bytes.toString()).toBe('{"signed":2}');
});

test.each([
  '/metadata/2.root.json',
  '/metadata/',
  '/metadata/root.json',
  '/metadata/01.root.json',
  '/metadata/1.ROOT.json',
  '/metadata/../secret',
  '/metadata/..%2f..%2fetc%2fpasswd',
  '/metadata/%2e%2e/%2e%2e/etc/passwd',
  '/metadata/1.root.json%00',
  '/metadata//1.root.json',
  '/targets/',
  '/targets/plain.whl',
  `/targets/${'a'.repeat(64)}.absent.whl`,
  `/targets/..%2f${'a'.repeat(64)}.absent.whl`,
])('%s is 404, never 403', async (target) => {
  const { origin } = await withRoot();
  const answer = await get(origin, target);
  expect(answer.status).toBe(404);
  expect(answer.headers['content-type']).toBe('application/problem+json');
  expect(answer.headers['cache-control']).toBe('no-store');
});

test('HEAD has the headers of GET and no body', async () => {
  const { origin } = await withRoot();
  const answer = await get(origin, '/metadata/1.root.json', {}, 'HEAD');
  expect(answer.status).toBe(200);
  expect(answer.headers['content-length']).toBe(String(ROOT.length));
  expect(answer.bytes.length).toBe(0);
});

test.each([
  [{}, undefined],
  [{ 'accept-encoding': 'gzip, deflate, br' }, 'br'],
  [{ 'accept-encoding': 'gzip' }, 'gzip'],
  [{ 'accept-encoding': 'br;q=0.5, gzip;q=0.8' }, 'gzip'],
  [{ 'accept-encoding': 'br;q=0, *' }, 'gzip'],
  [{ 'accept-encoding': 'br;q=0.2, identity' }, undefined],
  [{ 'accept-encoding': 'br;q=2' }, undefined],
  [{ 'accept-encoding': 'identity;q=0, *;q=0' }, undefined],
  [{ 'accept-encoding': 'br', range: 'bytes=0-9' }, undefined],
])('%j is answered in coding %s', async (headers, coding) => {
  const { origin } = await withRoot();
  const answer = await get(origin, '/metadata/1.root.json', headers);
  expect(answer.headers['content-encoding']).toBe(coding);
  if (coding === undefined) return;
  const plain = coding === 'br' ? brotliDecompressSync(answer.bytes) : gunzipSync(answer.bytes);
  expect(plain.equals(ROOT)).toBe(true);
  const identity = await get(origin, '/metadata/1.root.json');
  expect(answer.headers['etag']).not.toBe(identity.headers['etag']);
});

test('If-None-Match answers 304 for the representation that would be sent', async () => {
  const { origin } = await withRoot();
  const url = '/metadata/1.root.json';
  const etag = String((await get(origin, url)).headers['etag']);
  const brotli = String((await get(origin, url, { 'accept-encoding': 'br' })).headers['etag']);
  for (const [headers, status] of [
    [{ 'if-none-match': etag }, 304],
    [{ 'if-none-match': `"other", W/${etag}` }, 304],
    [{ 'if-none-match': '*' }, 304],
    [{ 'if-none-match': '"other"' }, 200],
    [{ 'if-none-match': etag, 'accept-encoding': 'br' }, 200],
    [{ 'if-none-match': brotli, 'accept-encoding': 'br' }, 304],
  ] as const) {
    const answer = await get(origin, url, headers);
    expect([headers, answer.status]).toEqual([headers, status]);
    if (status === 304) {
      expect(answer.bytes.length).toBe(0);
      expect(answer.headers['cache-control']).toContain('immutable');
    }
  }
});

test.each([
  ['bytes=0-9', 206, 0, 9],
  ['bytes=10-', 206, 10, ROOT.length - 1],
  ['bytes=-10', 206, ROOT.length - 10, ROOT.length - 1],
  ['bytes=0-999999', 206, 0, ROOT.length - 1],
  [`bytes=-${ROOT.length + 5}`, 206, 0, ROOT.length - 1],
  [`bytes=${ROOT.length}-`, 416, 0, 0],
  ['bytes=-0', 416, 0, 0],
  ['bytes=5-2', 200, 0, ROOT.length - 1],
  ['bytes=0-1,3-4', 200, 0, ROOT.length - 1],
  ['pages=1-2', 200, 0, ROOT.length - 1],
])('Range: %s is answered %d', async (range, status, start, end) => {
  const { origin } = await withRoot();
  const answer = await get(origin, '/metadata/1.root.json', { range });
  expect(answer.status).toBe(status);
  if (status === 416) {
    expect(answer.headers['content-range']).toBe(`bytes */${ROOT.length}`);
    expect(JSON.parse(answer.bytes.toString())).toMatchObject({ code: 'range-unsatisfiable' });
    return;
  }
  expect(answer.bytes.equals(ROOT.subarray(start, end + 1))).toBe(true);
  if (status === 206) expect(answer.headers['content-range']).toBe(`bytes ${start}-${end}/${ROOT.length}`);
});

test('If-Range with another ETag gets the whole file', async () => {
  const { origin } = await withRoot();
  const etag = String((await get(origin, '/metadata/1.root.json')).headers['etag']);
  const ask = (value: string) =>
    get(origin, '/metadata/1.root.json', { range: 'bytes=0-1', 'if-range': value });
  expect((await ask(etag)).status).toBe(206);
  expect((await ask('"other"')).status).toBe(200);
});

const FILE = Buffer.from('wheel');
const NAME = 'packages/a+b~c-1.0.whl';
const HASHED = `/targets/${hashedTargetPath(NAME, sha256Hex(FILE))}`;

async function withTarget(content = FILE) {
  const directory = path.join(await tempDir(), 'files');
  await mkdir(path.join(directory, 'packages'), { recursive: true });
  await writeFile(path.join(directory, NAME), content);
  const service = await startService({ targets: { kind: 'file', directory } });
  const target = { path: NAME, length: FILE.length, hashes: { sha256: sha256Hex(FILE) } };
  await send(service, { events: [wireEvent('a', target)] });
  await service.publish();
  return { service, directory, origin: await service.listen() };
}

test('a target file is served under its hashed name, whole or in part', async () => {
  const { origin } = await withTarget();
  // tough puts the hash before the whole path.
  const whole = `/targets/${sha256Hex(FILE)}.${NAME}`;
  for (const name of [HASHED, HASHED.replace('+', '%2B'), whole, whole.replace('packages/', 'packages%2F')]) {
    const answer = await get(origin, name);
    expect(answer.status).toBe(200);
    expect(answer.bytes.equals(FILE)).toBe(true);
    expect(answer.headers).toMatchObject({ etag: `"${sha256Hex(FILE)}"`, 'content-length': '5' });
    expect(answer.headers['cache-control']).toContain('immutable');
  }
  expect((await get(origin, HASHED, { range: 'bytes=1-2' })).bytes.toString()).toBe('he');
  expect((await get(origin, HASHED, { 'if-none-match': `"${sha256Hex(FILE)}"` })).status).toBe(304);
  const head = await get(origin, HASHED, {}, 'HEAD');
  expect([head.status, head.headers['content-length'], head.bytes.length]).toEqual([200, '5', 0]);
  expect((await get(origin, `/targets/${NAME}`)).status).toBe(404);
  for (const name of [HASHED, whole]) {
    expect((await get(origin, name.replace(sha256Hex(FILE), sha256Hex('other')))).status).toBe(404);
  }
});

test('a file with other bytes than signed metadata says is never served', async () => {
  for (const content of ['whell', 'longer than signed']) {
    const { origin } = await withTarget(Buffer.from(content));
    const answer = await get(origin, HASHED);
    expect(answer.status).toBe(502);
    expect(JSON.parse(answer.bytes.toString())).toMatchObject({ code: 'length-or-hash-mismatch' });
  }
});

test('a file that changes after it was served is noticed', async () => {
  const { directory, origin } = await withTarget();
  expect((await get(origin, HASHED)).status).toBe(200);
  await writeFile(path.join(directory, NAME), 'whell');
  expect((await get(origin, HASHED)).status).toBe(502);
});

test('a symbolic link that leads out of the directory is absent', async () => {
  const { directory, service, origin } = await withTarget();
  await writeFile(path.join(directory, '..', 'secret'), FILE);
  await symlink('../../secret', path.join(directory, 'packages/link.whl'));
  await symlink('../..', path.join(directory, 'packages/up'));
  for (const name of ['packages/link.whl', 'packages/up/secret', 'packages']) {
    service.current.set(name, { length: FILE.length, hashes: { sha256: sha256Hex(FILE) } });
    expect((await get(origin, `/targets/${hashedTargetPath(name, sha256Hex(FILE))}`)).status).toBe(404);
  }
});

test('the oldest retained snapshot counts: what it listed last is still served', async () => {
  const targets = { kind: 'redirect', base: 'https://files.example/x/' } as const;
  let now = Date.now();
  const clock = { ...systemClock, now: () => now };
  const service = await startService({ targets, retentionMs: 1000, clock });
  const old = { path: NAME, length: 5, hashes: { sha256: sha256Hex(FILE) } };
  await send(service, { events: [wireEvent('a', old)] });
  const listing = await service.publish();
  now = Date.now() + 1000;
  await vi.waitUntil(() => Date.now() > now - 1000);
  await send(service, { events: [wireEvent('b', { ...old, hashes: { sha256: sha256Hex('new') } })] });
  await service.publish();
  expect(await service.ledger.snapshotAt(now - 1000)).toBe(listing);
  expect((await service.app.inject({ url: HASHED })).statusCode).toBe(307);
});

test('a former target is found as long as a retained snapshot lists it', async () => {
  const targets = { kind: 'redirect', base: 'https://files.example/x/' } as const;
  for (const [retentionMs, status] of [
    [3_600_000, 307],
    [-1000, 404],
  ] as const) {
    const service = await startService({ targets, retentionMs });
    const old = { path: NAME, length: 5, hashes: { sha256: sha256Hex(FILE) } };
    await send(service, { events: [wireEvent('a', old)] });
    await service.publish();
    await send(service, { events: [wireEvent('b', { ...old, hashes: { sha256: sha256Hex('new') } })] });
    await service.publish();
    const answer = await service.app.inject({ url: HASHED });
    expect(answer.statusCode).toBe(status);
    if (status === 307) {
      expect(answer.headers.location).toBe('https://files.example/x/packages/a%2Bb~c-1.0.whl');
    }
  }
});
