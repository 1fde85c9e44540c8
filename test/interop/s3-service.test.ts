// The built programs with their store in a bucket: founded, served, killed in the middle of publications, served again,
// and judged by fsck. Prints what it took.
import { afterAll, beforeAll, expect, test } from 'vitest';
import { systemClock } from '../../src/lib/clock.ts';
import { eventually } from '../support/publisher-process.ts';
import { faultyProxy } from './faulty-proxy.ts';
import { BUCKET, CREDENTIALS, startS3Server, type S3Server } from '../../scripts/interop/s3-server.ts';
import { installIndex, serveIndex, type InstalledIndex } from './installed-index.ts';

const BINS = 256;

let server: S3Server;
beforeAll(async () => {
  server = await startS3Server();
});
afterAll(() => server.stop());

test('an index in a bucket survives kills of its service', async () => {
  const index = await found('killed', server.endpoint);
  const ids: string[] = [];
  for (let round = 0; round < 4; round++) {
    const service = await serveIndex(index);
    for (let batch = 0; batch < 5; batch++) ids.push(...(await service.accept(5, `${round}-${batch}`)));
    // Some batches are public now, one is half-way, others are only in the ledger.
    service.child.kill('SIGKILL');
    await service.ended;
  }
  const service = await serveIndex(index);
  await eventually('all events are published', async () => {
    const states = await service.states(ids);
    return states.every((state) => state === 'published');
  });
  service.child.kill('SIGTERM');
  expect((await service.ended)[0]).toBe(0);
  expect(await index.run('fsck', '--json')).toMatch(/"violations": \[\]/);
});

test.each([0, 20])('publications with %d ms more to the store', async (delayMs) => {
  const proxy = await faultyProxy(server.endpoint);
  proxy.delayMs = delayMs;
  const startedAt = systemClock.now();
  const index = await found(`delay-${delayMs}`, proxy.endpoint);
  const foundedMs = systemClock.now() - startedAt;
  const service = await serveIndex(index);
  const took: number[] = [];
  for (let round = 0; round < 20; round++) {
    const before = systemClock.now();
    await service.accept(1, `timed-${delayMs}-${round}`, 30);
    took.push(systemClock.now() - before);
  }
  service.child.kill('SIGTERM');
  await service.ended;
  took.sort((a, b) => a - b);
  console.log(
    `${delayMs} ms: bootstrap of ${BINS} bins ${foundedMs} ms; upload until public: median ${took[10]} ms, worst ${took.at(-1)} ms`,
  );
  expect(await index.run('fsck', '--json')).toMatch(/"violations": \[\]/);
});

function found(prefix: string, endpoint: string): Promise<InstalledIndex> {
  return installIndex({
    bins: BINS,
    settings: {
      ...CREDENTIALS,
      COUNTERSIGN_STORE: `s3://${BUCKET}/${prefix}?endpoint=${endpoint}&path-style=true`,
      COUNTERSIGN_LOG_LEVEL: 'warn',
    },
  });
}
