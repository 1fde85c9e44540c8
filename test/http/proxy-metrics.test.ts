// What a proxy tells Prometheus, also about a file that turned out wrong when half of it was on its way.
import { expect, test } from 'vitest';
import { sha256Hex } from '../../src/lib/bytes.ts';
import { HELD_BACK_BYTES } from '../../src/proxy/transfer.ts';
import { HostileUpstream, jsonPage, proxyOf, untilAnswered } from '../support/hostile-upstream.ts';

const FILE = 'packages/ab/demo-1.0-py3-none-any.whl';
const CONTENT = 'a wheel, as far as this test cares';

async function metricsOf(address: string): Promise<(name: string) => number | undefined> {
  const response = await fetch(`${address}/metrics`);
  expect(response.headers.get('content-type')).toMatch(/^text\/plain; version=/);
  const lines = (await response.text()).split('\n');
  return (name) => {
    const line = lines.find((each) => each.startsWith(`countersign_proxy_${name} `));
    return line === undefined ? undefined : Number(line.slice(line.lastIndexOf(' ')));
  };
}

test('files by origin, refreshes, refusals by code', async () => {
  const upstream = await HostileUpstream.start();
  const hashes = { sha256: sha256Hex(CONTENT) };
  const page = jsonPage('demo', [{ filename: 'demo-1.0-py3-none-any.whl', url: `../../${FILE}`, hashes }]);
  upstream.publish({ [FILE]: CONTENT, 'simple/demo/index.json': page });
  const { address } = await proxyOf(upstream, { freshMs: 60_000 });
  const get = (name: string) => fetch(`${address}/${name}`).then((response) => response.status);
  expect(await get('simple/demo/')).toBe(200);
  expect([await get(`files/${FILE}`), await get(`files/${FILE}`)]).toEqual([200, 200]);
  expect(await get('files/packages/unsigned.whl')).toBe(404);
  expect(await get('nothing')).toBe(404);
  const metric = await metricsOf(address);
  // The page itself is a file too.
  expect(metric('files_total{origin="upstream"}')).toBe(2);
  expect(metric('files_total{origin="cache"}')).toBe(1);
  expect(metric('cache_bytes')).toBe(CONTENT.length + Buffer.byteLength(page));
  expect(metric('upstream_bytes_total')).toBeGreaterThan(CONTENT.length + Buffer.byteLength(page));
  expect(metric('refusals_total{code="target-unsigned"}')).toBe(1);
  expect(metric('refusals_total{code="not-found"}')).toBe(1);
  expect(metric('refreshes_total{result="ok"}')).toBeGreaterThanOrEqual(1);
  expect(metric('last_refresh_timestamp_seconds')).toBe(upstream.repository.clock.now() / 1000);
  expect(metric('http_request_seconds_count{route="/files/*",status="200"}')).toBe(2);
  expect(metric('unverified_answers_total{kind="file"}')).toBeUndefined();
});

test('a refresh that fails, and what is passed on unverified', async () => {
  const upstream = await HostileUpstream.start();
  const [file = ''] = upstream.publish({ [FILE]: CONTENT });
  const { address } = await proxyOf(upstream, { verify: false });
  upstream.lies.set(file, Buffer.from(CONTENT.replace('wheel', 'wherl')));
  upstream.place(`/targets/${FILE}`, 'as somebody has it now');
  expect((await fetch(`${address}/files/${FILE}`)).status).toBe(200);
  upstream.repository.clock.advance(400 * 86_400_000);
  await fetch(`${address}/files/${FILE}`);
  const metric = await metricsOf(address);
  expect(metric('unverified_answers_total{kind="file"}')).toBe(2);
  expect(metric('refreshes_total{result="metadata-expired"}')).toBe(1);
});

test('a large file that is wrong at its end is counted, although its status was 200', async () => {
  const upstream = await HostileUpstream.start();
  const content = Buffer.alloc(HELD_BACK_BYTES * 3, 'large ');
  const [file = ''] = upstream.publish({ [FILE]: content });
  let finish = (): void => undefined;
  upstream.lies.set(file, (_request, response) => {
    response.write(content.subarray(0, -1));
    finish = () => response.end('!');
  });
  const { address } = await proxyOf(upstream);
  const asked = fetch(`${address}/files/${FILE}`);
  await expect.poll(() => upstream.requests.includes(file)).toBe(true);
  const response = await untilAnswered(asked, upstream);
  expect(response.status).toBe(200);
  finish();
  await expect(response.arrayBuffer()).rejects.toThrow();
  const metric = await metricsOf(address);
  expect(metric('refusals_total{code="length-or-hash-mismatch"}')).toBe(1);
});
