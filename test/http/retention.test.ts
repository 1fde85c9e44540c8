// metadata/retention.json: what the service tells mirrors about how long they have, and that it keeps its word.
import { expect, test } from 'vitest';
import { promiseRetention } from '../../src/publish/promise-retention.ts';
import { collectGarbage } from '../../src/publish/retention.ts';
import { expectSound } from '../support/oracle.ts';
import { foundRepository, publishPaths } from '../support/repository.ts';
import { startService } from './service.ts';

const HOUR_MS = 3_600_000;

test('is served as long as timestamp.json is cached, and is absent until it was promised', async () => {
  const { app, store } = await startService();
  const ask = () => app.inject({ url: '/metadata/retention.json' });
  expect((await ask()).statusCode).toBe(404);
  await promiseRetention(store, 24 * HOUR_MS, Date.UTC(2026, 2, 1));
  const answer = await ask();
  expect(answer.statusCode).toBe(200);
  expect(answer.json()).toEqual({ retention_seconds: 86_400 });
  expect(answer.headers['cache-control']).toBe('public, max-age=2, must-revalidate');
});

test('a lower promise names the former one, which is kept until its time is over', async () => {
  const repository = await foundRepository({ bins: 4 });
  const { store, ledger: history, clock } = repository;
  const collect = (snapshotsMs: number) =>
    collectGarbage({ store, history, clock, snapshotsMs, eventsMs: 48 * HOUR_MS });
  const promise = async (): Promise<unknown> =>
    JSON.parse(Buffer.from((await store.get('metadata/retention.json', 1000))?.bytes ?? []).toString());
  await collect(10 * HOUR_MS);
  expect(await promise()).toEqual({ retention_seconds: 36_000 });
  await publishPaths(repository, ['p/one']);
  clock.advance(2 * HOUR_MS);
  await publishPaths(repository, ['p/two']);
  expect((await collect(HOUR_MS)).removed).toBe(0);
  expect(await promise()).toEqual({
    retention_seconds: 3600,
    former: { retention_seconds: 36_000, until: '2026-03-02T00:00:00Z' },
  });
  clock.advance(11 * HOUR_MS);
  expect((await collect(HOUR_MS)).removed).toBeGreaterThan(0);
  await expectSound({ ...repository });
});

test('whoever writes nonsense there shortens nothing that was configured', async () => {
  const { store } = await foundRepository({ bins: 4 });
  store.tamper('metadata/retention.json', Buffer.from('{"retention_seconds":"soon"}'));
  expect(await promiseRetention(store, HOUR_MS, 0)).toBe(HOUR_MS);
});
