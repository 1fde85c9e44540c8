// Uploads do not wait for renewals: the time from acceptance to publication, with every one of 256 bins due and with
// none. Printed for the record; asserted only so far that no upload waits behind the renewal of everything.
import { performance } from 'node:perf_hooks';
import { expect, test } from 'vitest';
import { startPublisher } from '../support/publisher-process.ts';
import { FOUNDED_AT, foundRepository, publishPaths, targetOf } from '../support/repository.ts';
import { RunningClock } from '../support/running-clock.ts';

const HOUR_MS = 3_600_000;
const UPLOADS = 150;

/** Milliseconds from acceptance to publication of each upload, ascending. */
async function latencies(hoursLater: number): Promise<{ sorted: number[]; renewed: number }> {
  const repository = await foundRepository({ bins: 256 });
  await publishPaths(
    repository,
    Array.from({ length: 5000 }, (_, i) => `packages/old-${i}.whl`),
  );
  const { ledger, ports } = repository;
  const before = await ledger.bins();
  const clock = new RunningClock(FOUNDED_AT + hoursLater * HOUR_MS, 1);
  const { publisher, waiter } = startPublisher(ports, { holder: 'one', clock });
  const measured: number[] = [];
  for (let i = 0; i < UPLOADS; i++) {
    const id = `upload ${i}`;
    const begun = performance.now();
    const path = `packages/new-${i}.whl`;
    await ledger.append([{ id, changes: [{ op: 'add', path, target: targetOf(path) }] }], clock.now());
    publisher.wake();
    await waiter.wait([id], 20_000, new AbortController().signal);
    measured.push(performance.now() - begun);
  }
  await publisher.stop();
  const after = await ledger.bins();
  const renewed = after.filter(({ bin, version }) => version > (before[bin]?.version ?? 0)).length;
  return { sorted: measured.sort((a, b) => a - b), renewed };
}

test('uploads beside the renewal of every bin', async () => {
  const idle = await latencies(1);
  const busy = await latencies(13);
  const at = ({ sorted }: { sorted: number[] }, share: number): number =>
    sorted[Math.floor(sorted.length * share)] ?? Number.NaN;
  const show = (name: string, run: { sorted: number[]; renewed: number }): string =>
    `${name}: p50 ${at(run, 0.5).toFixed(1)} ms, p99 ${at(run, 0.99).toFixed(1)} ms, ${run.renewed} bins signed\n`;
  process.stdout.write(show('no bin due', idle) + show('all bins due', busy));
  expect(busy.renewed).toBe(256);
  expect(at(busy, 0.5)).toBeLessThan(10 * at(idle, 0.5) + 200);
  expect(at(busy, 0.99)).toBeLessThan(2000);
});
