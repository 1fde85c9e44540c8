// Three nodes, their three servers, uploads and clients that never stop, and whatever can go wrong going wrong. The
// short form meets each fault once; SLOW=1 goes on for ten minutes. CHAOS_SEED=N repeats the order of a run.
import { readFile } from 'node:fs/promises';
import process from 'node:process';
import { describe, expect, test } from 'vitest';
import { openBao } from '../../scripts/interop/openbao.ts';
import { systemClock } from '../../src/lib/clock.ts';
import { messageOf } from '../../src/lib/errors.ts';
import { eventually } from '../support/publisher-process.ts';
import { startCluster, type Cluster } from './chaos/cluster.ts';
import { Faults } from './chaos/faults.ts';
import { Invariants } from './chaos/invariants.ts';
import { Load } from './chaos/load.ts';

const LONG = process.env['SLOW'] === '1';
const SEED = Number(process.env['CHAOS_SEED'] ?? systemClock.now() % 1_000_000);
/** Milliseconds. */
const DURATION_MS = LONG ? 600_000 : 0;
const RECOVERY_MS = 60_000;
const TAKEOVER_MS = 5000;

/** Mulberry32: the same seed gives the same order of faults. */
function randomOf(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

describe.skipIf(openBao.program === undefined)(`three nodes on ${openBao.name} ${openBao.reason}`, () => {
  test(
    `nothing is lost, whatever fails (seed ${SEED})`,
    async () => {
      const cluster = await startCluster();
      const invariants = new Invariants();
      const load = new Load(cluster, invariants, randomOf(SEED + 1));
      for (const node of cluster.nodes) await node.start();
      load.start();
      const random = randomOf(SEED);
      // The publisher once in a long run for a minute, and for a few seconds otherwise: more than a lease lasts.
      let minutes = LONG ? 1 : 0;
      const pauseMs = (who: 'publisher' | 'standby'): number =>
        who === 'publisher' && minutes-- > 0 ? 60_000 : 4000 + Math.floor(random() * 3000);
      const faults = new Faults({ cluster, load, random, pauseMs });
      const injected = new Map<string, number>();
      const recoveries: number[] = [];
      let order: string[] = [];
      const startedAt = systemClock.now();
      do {
        if (order.length === 0) order = shuffled(Object.keys(faults.kinds), random);
        const kind = order.pop()!;
        const begunAt = systemClock.now();
        injected.set(kind, (injected.get(kind) ?? 0) + 1);
        let overAt = begunAt;
        try {
          await faults.kinds[kind]?.();
          overAt = systemClock.now();
          const isPublic = await load.probe(`after-${recoveries.length}`);
          await eventually('an upload is public', isPublic, RECOVERY_MS);
        } catch (error) {
          console.log(await lastWords(cluster));
          throw new Error(`after "${kind}", fault ${recoveries.length + 1}`, { cause: error });
        }
        recoveries.push(systemClock.now() - overAt);
        console.log(`${kind}: ${overAt - begunAt} ms, public again after ${recoveries.at(-1)} ms`);
        await invariants.watchBucket(cluster);
        expect(invariants.broken).toEqual([]);
      } while (systemClock.now() - startedAt < DURATION_MS || order.length > 0);
      await load.stop();

      await eventually(
        'every answered event is published',
        async () => {
          return (await invariants.unpublished(cluster)).length === 0;
        },
        RECOVERY_MS,
      );
      await invariants.checkFeed(cluster.nodes[0]!.address);
      const objects = await invariants.watchBucket(cluster, true);
      await invariants.checkNothingGone(cluster);
      const { snapshot } = await cluster.publisher();
      for (const node of cluster.nodes) {
        if ((await node.end('SIGTERM')) !== 0) invariants.break(`node ${node.number} did not end well`);
        const log = await readFile(node.logFile, 'utf8');
        for (const line of log.split('\n').filter((each) => /"level":60|"code":"internal"/.test(each))) {
          invariants.break(`node ${node.number}: ${line}`);
        }
      }
      console.log(
        [
          `seed ${SEED}, ${Math.round((systemClock.now() - startedAt) / 1000)} s`,
          `faults: ${[...injected].map(([kind, count]) => `${kind} ${count}`).join(', ')}`,
          `events: ${load.counts.events} sent by uploaders, ${invariants.answered.size} answered, lost ${(await invariants.unpublished(cluster)).length}; ${snapshot} snapshots, ${objects} objects`,
          `uploads: ${JSON.stringify(load.counts)}`,
          `take-over (lease, published): ${faults.takeovers.map(({ how, leaseMs, publishedMs }) => `${how} ${leaseMs}, ${publishedMs} ms`).join('; ')}`,
          `rolling restart: ${JSON.stringify(faults.rolling)}; public again at the latest ${Math.max(...recoveries)} ms after a fault`,
          ...skipped(faults),
        ].join('\n'),
      );
      expect(await cluster.fsck().catch(messageOf)).toMatch(/"violations": \[\]/);
      expect(invariants.broken).toEqual([]);
      for (const { leaseMs } of faults.takeovers) expect(leaseMs).toBeLessThan(TAKEOVER_MS);
      expect(faults.rolling.retries).toBe(0);
    },
    DURATION_MS + 600_000,
  );
});

/** What the nodes said last, for whoever looks for the reason of a failure. */
async function lastWords({ nodes }: Cluster): Promise<string> {
  const logs = await Promise.all(nodes.map(({ logFile }) => readFile(logFile, 'utf8')));
  return logs
    .map((log) => log.split('\n').filter((line) => line !== '' && !line.includes('"msg":"request"')))
    .map((lines, index) => `node ${index + 1}:\n${lines.slice(-20).join('\n')}`)
    .join('\n');
}

function skipped({ kinds }: Faults): string[] {
  const needs = {
    'jump a clock': 'libfaketime cannot be installed',
    'fill the disk of PostgreSQL': 'a small file system takes root',
  };
  return Object.entries(needs)
    .filter(([kind]) => kinds[kind] === undefined)
    .map(([kind, why]) => `skipped: ${kind} (${why})`);
}

function shuffled<T>(items: readonly T[], random: () => number): T[] {
  return items
    .map((item) => ({ item, at: random() }))
    .sort((a, b) => a.at - b.at)
    .map(({ item }) => item);
}
