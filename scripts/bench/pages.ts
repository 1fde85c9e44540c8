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

/** Milliseconds from sending to published, and of processor time. */
interface Cost {
  readonly wallMs: number;
  readonly processorMs: number;
}

async function costOf(service: MeasuredService, work: () => Promise<void>): Promise<Cost> {
  const before = await service.processorMs();
  const begun = performance.now();
  await work();
  const wallMs = performance.now() - begun;
  return { wallMs, processorMs: (await service.processorMs()) - before };
}

/** For each of `SINGLES` events, each published before the next is sent. */
async function singles(service: MeasuredService, project: () => string): Promise<Cost> {
  const { wallMs, processorMs } = await costOf(service, async () => {
    for (let n = 0; n < SINGLES; n++) await publish(service, [upload(project())]);
  });
  return { wallMs: wallMs / SINGLES, processorMs: processorMs / SINGLES };
}

function batch(service: MeasuredService): Promise<Cost> {
  const events = Array.from({ length: BATCH }, () => upload(newProject()));
  return costOf(service, () => publish(service, events));
}

const CASES = [
  'one event, a project of one file',
  `one event, a project of over ${MANY} files`,
  `a batch of ${BATCH} events in as many projects`,
];

/** The medians of each case. */
async function measure(folder: string, render: boolean): Promise<Cost[]> {
  const configuration = `${CONFIGURATION}simple-index: ${render ? 'render' : 'off'}\n`;
  const service = await MeasuredService.start(folder, [], { configuration });
  try {
    const large = `large_${RUN}_${render ? 'on' : 'off'}`;
    const existing = Array.from({ length: MANY }, () => upload(large));
    await publish(service, existing);
    await singles(service, newProject);
    await batch(service);
    const rounds: Cost[][] = [];
    for (let round = 0; round < ROUNDS; round++) {
      rounds.push([
        await singles(service, newProject),
        await singles(service, () => large),
        await batch(service),
      ]);
    }
    return CASES.map((_, at) => ({
      wallMs: median(rounds.map((costs) => costs[at]?.wallMs ?? Number.NaN)),
      processorMs: median(rounds.map((costs) => costs[at]?.processorMs ?? Number.NaN)),
    }));
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
  console.log(
    `${SIZE.bins} bins of ${SIZE.targetsPerBin} targets; medians of ${ROUNDS} rounds, milliseconds`,
  );
  console.log(`${''.padEnd(44)}      off   render      off   render`);
  console.log(`${''.padEnd(44)}     time     time      CPU      CPU`);
  for (const [at, name] of CASES.entries()) {
    const [off, on] = [without[at], rendered[at]];
    const figures = [off?.wallMs, on?.wallMs, off?.processorMs, on?.processorMs];
    console.log(name.padEnd(44) + figures.map((ms) => (ms ?? Number.NaN).toFixed(1).padStart(9)).join(''));
  }
} finally {
  await fs.rm(folder, { recursive: true, force: true });
}
