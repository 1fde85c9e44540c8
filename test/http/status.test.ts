// What supervisors and people are told about the service.
import { expect, test } from 'vitest';
import type { PublisherStatus } from '../../src/publish/status.ts';
import { freshStatus, send, startService, wireEvent } from './service.ts';

const gone = { version: 7, expires: Date.now() - 1000 };
const published = freshStatus().published!;

test.each<[string, Partial<PublisherStatus>, string | undefined]>([
  ['fresh metadata', {}, undefined],
  ['a standby with fresh metadata', { role: 'standby' }, undefined],
  ['an expired timestamp', { published: { ...published, timestamp: gone } }, 'metadata-expired'],
  ['an expired snapshot', { published: { ...published, snapshot: gone } }, 'metadata-expired'],
  ['an expired root', { published: { ...published, root: gone } }, 'metadata-expired'],
  ['one expired bin', { published: { ...published, earliestBinExpires: gone.expires } }, 'metadata-expired'],
  ['an altered bin', { alteredBins: [{ name: 'metadata/4.bin-3.json', message: 'differs' }] }, 'bin-altered'],
  [
    'a publisher that is held',
    { role: 'held', problem: { code: 'store-unavailable', message: 'disk full' } },
    'store-unavailable',
  ],
  [
    'a publisher that has stopped',
    { role: 'stopped', problem: { code: 'timestamp-conflict', message: 'not ours' } },
    'timestamp-conflict',
  ],
])('with %s the service is healthy or says why not', async (_what, parts, code) => {
  const service = await startService();
  service.status = freshStatus(parts);
  const answer = await service.app.inject({ url: '/healthz' });
  expect(answer.statusCode).toBe(code === undefined ? 200 : 503);
  if (code !== undefined) expect(answer.json()).toMatchObject({ code: 'unhealthy', reasons: [{ code }] });
  const status = (await service.app.inject({ url: '/v1/status' })).json<{ healthy: boolean }>();
  expect(status.healthy).toBe(code === undefined);
});

test('nothing published is not healthy', async () => {
  const service = await startService();
  service.status = { role: 'starting', alteredBins: [], renewalsDue: 0 };
  const answer = await service.app.inject({ url: '/healthz' });
  expect(answer.json()).toMatchObject({ status: 503, reasons: [{ code: 'not-bootstrapped' }] });
});

test('ready means that ledger and store answer, until the service stops', async () => {
  const service = await startService();
  const ready = async () => (await service.app.inject({ url: '/readyz' })).statusCode;
  expect(await ready()).toBe(503);
  service.store.tamper('metadata/timestamp.json', Buffer.from('{}'));
  expect(await ready()).toBe(200);
  service.shutdown.abort();
  expect(await ready()).toBe(503);
});

test('status shows versions, times and the backlog', async () => {
  const service = await startService();
  await send(service, { events: [wireEvent('a')] });
  const answer = await service.app.inject({ url: '/v1/status' });
  expect(answer.json()).toMatchObject({
    version: '0.0.0',
    backlog: { events: 1, oldestAcceptedAt: expect.stringMatching(/^\d{4}-.*Z$/) as string },
    publisher: { role: 'publishing' },
    published: { snapshot: { version: 1 }, binCount: 16, format: 'succinct' },
  });
});

test('metrics count requests by route, not by path', async () => {
  const service = await startService();
  for (let i = 0; i < 5; i++) await service.app.inject({ url: `/metadata/${i + 1}.root.json` });
  await service.app.inject({ url: '/nowhere/else' });
  const text = (await service.app.inject({ url: '/metrics' })).body;
  expect(text).toContain('countersign_http_request_seconds_count{route="/metadata/*",status="404"} 5');
  expect(text).toContain('countersign_errors_total{code="not-found"} 6');
  expect(text).not.toContain('nowhere');
});

test('a target path is shown with the snapshot and bin that list it', async () => {
  const service = await startService();
  await send(service, { events: [wireEvent('a')] });
  const read = () => service.app.inject({ url: '/v1/targets/packages/a.whl' });
  expect((await read()).json()).toMatchObject({ code: 'target-absent', snapshot: { version: 1 } });
  await service.publish();
  expect((await read()).json()).toMatchObject({
    path: 'packages/a.whl',
    snapshot: { version: 2 },
    bin: { name: 'bin-0' },
    target: { length: 4 },
  });
  const bad = await service.app.inject({ url: '/v1/targets/a%20b' });
  expect(bad.json()).toMatchObject({ status: 400, code: 'path-forbidden' });
});

test('a fault inside says nothing but its code', async () => {
  const service = await startService({
    catalogue: { lookup: () => Promise.reject(new Error('password is hunter2')) },
  });
  const answer = await service.app.inject({ url: '/v1/targets/a' });
  expect(answer.statusCode).toBe(500);
  expect(answer.json()).toMatchObject({ code: 'internal', title: 'A fault inside countersign.' });
  expect(answer.body).not.toContain('hunter2');
});
