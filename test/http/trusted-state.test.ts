// What the proxy trusts, asked by several requests at the same time.
import { expect, test } from 'vitest';
import type { Target } from '../../src/client/roles/targets-file.ts';
import type { Updater } from '../../src/client/updater.ts';
import { TrustedState } from '../../src/proxy/trusted-state.ts';
import { DAY } from '../support/hostile-repository.ts';
import { HostileUpstream, proxyOf } from '../support/hostile-upstream.ts';
import { ManualClock } from '../support/manual-clock.ts';

test('a file that is published while somebody looks for it is found, whoever refreshed', async () => {
  const published: Target = { path: 'file', length: 1, hashes: new Map([['sha256', 'ab']]) };
  let snapshot = 1;
  const lookups: ((found: Target | undefined) => void)[] = [];
  const updater = {
    expires: Number.POSITIVE_INFINITY,
    refresh: () => Promise.resolve({ root: 1, timestamp: snapshot, snapshot, targets: 1 }),
    find: () =>
      snapshot === 1
        ? new Promise<Target | undefined>((resolve) => lookups.push(resolve))
        : Promise.resolve(published),
  };
  const observe = { refreshed: () => undefined, failed: () => undefined };
  const state = new TrustedState({
    updater: updater as unknown as Updater,
    clock: new ManualClock(0),
    freshMs: 10_000,
    observe,
  });
  const found = state.find('file');
  await expect.poll(() => lookups.length).toBe(1);
  snapshot = 2;
  await state.refresh(0);
  lookups[0]?.(undefined);
  expect(await found).toBe(published);
});

test('what has expired is fresh no longer, however long it was to be', async () => {
  const upstream = await HostileUpstream.start();
  upstream.publish({ 'packages/demo-1.0.tar.gz': 'demo' });
  const { address } = await proxyOf(upstream, { freshMs: 365 * DAY });
  const file = `${address}/files/packages/demo-1.0.tar.gz`;
  expect((await fetch(file)).status).toBe(200);
  upstream.repository.clock.advance(40 * DAY);
  const refused = await fetch(file);
  expect(refused.status).toBe(403);
  expect(refused.statusText).toMatch(/expired at/);
});
