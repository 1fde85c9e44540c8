// The built programs on PostgreSQL: founded, served by two nodes, one of them killed in the middle of publications, and
// judged by fsck.
import { afterAll, beforeAll, expect, test } from 'vitest';
import { systemClock } from '../../src/lib/clock.ts';
import { eventually } from '../support/publisher-process.ts';
import { PASSWORD, startPostgres, type PostgresServer } from '../../scripts/interop/postgres-server.ts';
import { installIndex, serveIndex, type InstalledIndex } from './installed-index.ts';

let server: PostgresServer;
beforeAll(async () => {
  server = await startPostgres();
});
afterAll(() => server.stop());

test('two nodes on one ledger: what either accepts is published, whoever is killed', async () => {
  const index = await found();
  let [first, second] = [await serveIndex(index), await serveIndex(index)];
  const ids: string[] = [];
  const took: number[] = [];
  for (let round = 0; round < 20; round++) {
    for (const [number, node] of [first, second].entries()) {
      const startedAt = systemClock.now();
      ids.push(...(await node.accept(3, `waited-${round}-${number}`, 30)));
      took.push(systemClock.now() - startedAt);
    }
  }
  took.sort((a, b) => a - b);
  console.log(`upload until public, from both nodes: median ${took[20]} ms, 95 % ${took[37]} ms`);
  for (let round = 0; round < 3; round++) {
    for (let batch = 0; batch < 4; batch++) ids.push(...(await second.accept(5, `killed-${round}-${batch}`)));
    // The one that publishes is killed with a batch half-way; the other one takes over.
    first.child.kill('SIGKILL');
    await first.ended;
    [first, second] = [second, await serveIndex(index)];
  }
  await server.crash();
  await eventually('all events are published', async () => {
    const states = await second.states(ids).catch((): string[] => ['unavailable']);
    return states.every((state) => state === 'published');
  });
  for (const { child, ended } of [first, second]) {
    child.kill('SIGTERM');
    expect((await ended)[0]).toBe(0);
  }
  expect(await index.run('fsck', '--json')).toMatch(/"violations": \[\]/);
});

async function found(): Promise<InstalledIndex> {
  const { port, user, database } = await server.createDatabase('service');
  return installIndex({
    bins: 256,
    settings: {
      COUNTERSIGN_LEDGER: `postgres://${user}@127.0.0.1:${port}/${database}`,
      COUNTERSIGN_LEDGER_PASSWORD: PASSWORD,
      COUNTERSIGN_LOG_LEVEL: 'fatal',
    },
  });
}
