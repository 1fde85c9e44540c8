// What rendering simple index pages costs a publication: the same events at an index of PyPI's size, without and with
// `simple-index: render`. `node dist/scripts/bench/pages.js`; `--quick` for a small index.
import { createHash, randomInt } from 'node:crypto';
import * as fs from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';
import process from 'node:process';
import { median } from './load.ts';
import { modelIndex, workingCopy } from './model-index.ts';
import { CONFIGURATION, MeasuredService } from './service.ts';

const QUICK = process.argv.includes('--quick');
const SIZE = QUICK ? { bins: 1024, targetsPerBin: 100 } : { bins: 16_384, targetsPerBin: 1000 };
const SINGLES = QUICK ? 20 : 100;
const BATCH = QUICK ? 200 : 1000;
const ROUNDS = 3;
/** Files of a large project; a few hundred of PyPI's have more than 1,000. */
const MANY = 1000;

const RUN = randomInt(2 ** 30);
let counter = 0;

/** An upload of a release of `project`; every second file of a release is a wheel. */
function upload(project: string): { id: string; changes: readonly unknown[] } {
  const n = counter++;
  const sha256 = createHash('sha256').update(`${RUN} ${n}`).digest('hex');
  const name = `${project}-0.${n}-py3-none-any.whl`;
  const path = `packages/${sha256.slice(0, 2)}/${sha256.slice(2, 4)}/${sha256.slice(4)}/${name}`;
  const custom = { 'requires-python': '>=3.9', 'core-metadata': true };
  const change = { op: 'add', path, length: 10_000 + n, hashes: { sha256 }, custom };
  return { id: `pages-${RUN}-${n}`, changes: [change] };
}

const newProject = (): string => `project_${RUN}_${counter}`;

async function publish(service: MeasuredService, events: readonly unknown[]): Promise<void> {
  await service.expect(200, 'POST', '/v1/events', { events }, { prefer: 'wait=50' });
}

/** Milliseconds for each of `count` events, each published before the next is sent. */
async function singles(service: MeasuredService, count: number, project: () => string): Promise<number> {
  const begun = performance.now();
  for (let n = 0; n < count; n++) await publish(service, [upload(project())]);
  return (performance.now() - begun) / count;
}

async function batch(service: MeasuredService, count: number): Promise<number> {
  const events = Array.from({ length: count }, () => upload(newProject()));
  const begun = performance.now();
  await publish(service, events);
  return performance.now() - begun;
}

interface Figures {
  readonly first: number;
  readonly large: number;
  readonly batch: number;
}

async function measure(folder: string, render: boolean): Promise<Figures> {
  const configuration = `${CONFIGURATION}simple-index: ${render ? 'render' : 'off'}\n`;
  const service = await MeasuredService.start(folder, [], { configuration });
  try {
    const large = `large_${RUN}_${render ? 'on' : 'off'}`;
    await publish(
      service,
      Array.from({ length: MANY }, () => upload(large)),
    );
    await singles(service, SINGLES, newProject);
    await batch(service, BATCH);
    const rounds: Figures[] = [];
    for (let round = 0; round < ROUNDS; round++) {
      rounds.push({
        first: await singles(service, SINGLES, newProject),
        large: await singles(service, SINGLES, () => large),
        batch: await batch(service, BATCH),
      });
    }
    return {
      first: median(rounds.map(({ first }) => first)),
      large: median(rounds.map((figures) => figures.large)),
      batch: median(rounds.map((figures) => figures.batch)),
    };
  } finally {
    await service.stop();
  }
}

const cache = join(process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache'), 'countersign', 'bench');
const folder = join(cache, `pages-${process.pid}`);
await fs.mkdir(folder, { recursive: true });
try {
  const index = await modelIndex(cache, SIZE, 2);
  await workingCopy(index, folder);
  const without = await measure(folder, false);
  const rendered = await measure(folder, true);
  const row = (name: string, key: keyof Figures): string =>
    `${name.padEnd(44)} ${without[key].toFixed(1).padStart(9)} ms ${rendered[key].toFixed(1).padStart(9)} ms ` +
    `${(rendered[key] / without[key]).toFixed(2).padStart(6)} x`;
  console.log(`${SIZE.bins} bins of ${SIZE.targetsPerBin} targets; medians of ${ROUNDS} rounds`);
  console.log(`${''.padEnd(44)} ${'off'.padStart(12)} ${'render'.padStart(12)}`);
  console.log(row('one event, a project of one file', 'first'));
  console.log(row(`one event, a project of over ${MANY} files`, 'large'));
  console.log(row(`a batch of ${BATCH} events in as many projects`, 'batch'));
} finally {
  await fs.rm(folder, { recursive: true, force: true });
}
