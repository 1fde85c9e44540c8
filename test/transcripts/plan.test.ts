// countersign plan, and whether it tells the truth: its sizes beside those of a repository that was really built.
import { expect, test } from 'vitest';
import { bestBinCount, clientCost, dayCost, metadataSizes } from '../../src/tuf/overhead.ts';
import { runInProcess, type CommandOutcome } from '../support/cli-command.ts';
import { accept, foundRepository, publishAll, targetOf } from '../support/repository.ts';

const plan = (...args: readonly string[]): Promise<CommandOutcome> =>
  runInProcess('/', {}, ['plan', ...args]);

test.each(['succinct', 'prefixes'] as const)(
  'a repository that was built: %s',
  { timeout: 60_000 },
  async (format) => {
    const bins = 16;
    const paths = Array.from(
      { length: 2000 },
      (_, n) => `packages/${n % 97}/name-${String(n).padStart(60, '0')}.whl`,
    );
    const repository = await foundRepository({ bins, format });
    await accept(
      repository,
      paths.map((path) => ({
        op: 'add',
        path,
        target: { ...targetOf(path), length: 1_234_567 },
      })),
    );
    await publishAll(repository);
    const { store } = repository;
    const bytesOf = async (name: string): Promise<number> =>
      (await store.get(`metadata/${name}.json`, 10_000_000))?.bytes.length ?? 0;
    const pathBytes = paths.reduce((sum, { length }) => sum + length, 0) / paths.length;
    const sizes = metadataSizes({ targets: paths.length, bins, format, pathBytes, versionDigits: 1 });
    let allBins = 0;
    for (let bin = 0; bin < bins; bin++) allBins += await bytesOf(`2.bin-${bin.toString(16)}`);
    const real = {
      timestamp: await bytesOf('timestamp'),
      snapshot: await bytesOf('2.snapshot'),
      targets: await bytesOf('1.targets'),
      bins: await bytesOf('1.bins'),
      bin: allBins / bins,
    };
    for (const [role, bytes] of Object.entries(sizes)) {
      const found = real[role as keyof typeof real];
      expect(Math.abs(bytes - found) / found, `${role}: ${bytes} planned, ${found} built`).toBeLessThan(0.03);
    }
  },
);

test('what follows from the sizes', () => {
  const shape = { targets: 16_400_000, format: 'succinct', pathBytes: 115, versionDigits: 3 } as const;
  const sizes = metadataSizes({ ...shape, bins: 16_384 });
  // One package in an index of PyPI's size: snapshot and one bin (docs/performance.md measured 541 KB and 223 KB).
  const { returningBytes, newBytes } = clientCost(sizes, 16_384, 1);
  expect(returningBytes).toBe(sizes.timestamp + sizes.snapshot + sizes.bin);
  expect(newBytes - returningBytes).toBe(sizes.targets + sizes.bins);
  // Who needs more bins wants smaller ones.
  const advised = [1, 20, 200].map((packages) => bestBinCount(shape, packages) ?? 0);
  expect([...advised].sort((a, b) => a - b)).toEqual(advised);
  expect(bestBinCount({ ...shape, targets: 16_400_000_000 }, 1)).toBeUndefined();
  const idle = { uploads: 0, clients: 0, packages: 20, intervalSeconds: 1 };
  expect(dayCost(sizes, 16_384, idle)).toMatchObject({
    publications: 1024,
    reads: 0,
    writes: 2 * 16_384 + 2048,
  });
  expect(dayCost(sizes, 16_384, { ...idle, uploads: 100_000, intervalSeconds: 10 }).publications).toBe(
    8640 + 1024,
  );
});

test('the command: a table, one JSON document, and what it refuses', async () => {
  const table = await plan(
    '--targets',
    '100000',
    '--bins',
    '256',
    '--file-bytes',
    '100000',
    '--clients',
    '1000',
    '--price-gb',
    '1',
  );
  expect(table).toMatchObject({ status: 0, err: '' });
  expect(table.out).toContain('100,000 targets in 256 bins, 390.6 in each (succinct)');
  expect(table.out).toMatch(/^installs +new client +returning client$/m);
  expect(table.out).toMatch(/^1 +[\d,]+ \([\d.]+ %\) +[\d,]+ \([\d.]+ %\)$/m);
  expect(table.out).toContain('PEP 458 asks for another number of bins');
  expect(table.out).toMatch(/publications a day, price \d+\.\d\d$/m);
  const { out } = await plan('--targets', '100000', '--json');
  const document = JSON.parse(out) as { bins: number; advised: Record<string, number> };
  expect(document.bins).toBe(document.advised['20']);
  expect(await plan('--targets', '5', '--bins', '3')).toMatchObject({
    status: expect.any(Number) as number,
    err: expect.stringContaining('not a power of two') as string,
  });
  expect((await plan('--targets', 'many')).status).toBe(2);
  expect((await plan('--targets', '16400000000')).err).toContain('no number of bins holds');
});
