// `npm run bench:scale`: back-signing and the life of a repository at PyPI's size, and docs/scale.md. Each stage leaves its
// figures in the cache, and the page is written from what is there: `npm run bench:scale -- growth service`. `--quick`: all
// of it on small lists, with the page in the cache.
import * as fs from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import process from 'node:process';
import * as prettier from 'prettier';
import { systemClock } from '../src/lib/clock.ts';
import { growth } from './scale/growth.ts';
import { watchOtherWork, type Beside } from './scale/other-work.ts';
import { scalePage, scalePictures, type ScaleFigures } from './scale/page.ts';
import { peerRun } from './scale/peer.ts';
import { PYPI_FILES } from './scale/pypi-files.ts';
import { rebinRun } from './scale/rebin.ts';
import { serviceLife } from './scale/service-life.ts';
import { liveThrough } from './scale/week.ts';

const FULL = {
  bins: 16_384,
  sizes: [100_000, 1_000_000, PYPI_FILES],
  weekOf: 100_000,
  days: 7,
  publications: 500,
  rebins: [
    { files: 512_000, from: 1024, to: 2048 },
    { files: 1_024_000, from: 1024, to: 2048, garbage: [250_000, 1_000_000] },
    { files: 819_200, from: 8192, to: 16_384 },
    { files: 1_638_400, from: 16_384, to: 8192 },
  ],
};
const QUICK: typeof FULL = {
  bins: 256,
  sizes: [2000, 5000, 20_000],
  weekOf: 2000,
  days: 2,
  publications: 20,
  rebins: [{ files: 5000, from: 256, to: 512, garbage: [10_000] }],
};

const isQuick = process.argv.includes('--quick');
const plan = isQuick ? QUICK : FULL;
const cache = join(
  process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache'),
  'countersign',
  isQuick ? 'scale-quick' : 'scale',
);
fs.mkdirSync(cache, { recursive: true });

const STAGES = {
  growth: async () => {
    const sizes: NonNullable<ScaleFigures['growth']>[number][] = [];
    for (const files of plan.sizes) {
      sizes.push(await beside(() => growth(files, plan.bins, cache, folderOf(files))));
      console.log(`bench: ${JSON.stringify(sizes.at(-1))}`);
      keep('growth', sizes);
    }
  },
  service: async () => {
    const folder = folderOf(Math.max(...plan.sizes));
    keep('service', await beside(() => serviceLife(folder, plan.publications)));
  },
  week: async () => {
    // As many bins as the index of PyPI's size has, and the same work at the same times, with less in each.
    const progress = (hour: number): void => {
      if (hour > 0) console.log(`bench: hour ${hour}`);
    };
    keep('week', await beside(() => liveThrough(folderOf(plan.weekOf), plan.days, progress)));
  },
  rebin: async () => {
    const runs: NonNullable<ScaleFigures['rebin']>[number][] = [];
    for (const { files, from, to, garbage = [] } of plan.rebins) {
      const folder = join(cache, 'rebin');
      runs.push(await beside(() => rebinRun(files, from, to, cache, folder, garbage)));
      fs.rmSync(folder, { recursive: true });
      console.log(`bench: ${JSON.stringify({ ...runs.at(-1), uploadMs: undefined })}`);
      keep('rebin', runs);
    }
  },
  peer: async () => {
    const folder = join(cache, 'peer');
    fs.rmSync(folder, { recursive: true, force: true });
    fs.mkdirSync(folder);
    keep('peer', await beside(() => peerRun(cache, folder)));
  },
  page: () => writePage(),
} as const;

/** What a stage has measured, with what other work the machine did meanwhile. */
async function beside<T extends object | undefined>(stage: () => Promise<T>): Promise<T & Beside> {
  const otherWork = watchOtherWork();
  const figures = await stage();
  return figures && { ...figures, ...otherWork(), at: systemClock.now() };
}

function folderOf(files: number): string {
  return join(cache, `index-${files}`);
}

function keep(name: keyof ScaleFigures, figures: unknown): void {
  if (figures !== undefined) fs.writeFileSync(join(cache, `${name}.json`), JSON.stringify(figures));
}

function kept<K extends keyof ScaleFigures>(name: K): ScaleFigures[K] | undefined {
  const file = join(cache, `${name}.json`);
  return fs.existsSync(file) ? (JSON.parse(fs.readFileSync(file, 'utf8')) as ScaleFigures[K]) : undefined;
}

async function writePage(): Promise<void> {
  const [growth, peer] = [kept('growth'), kept('peer')];
  const [rebin, service, week] = [kept('rebin'), kept('service'), kept('week')];
  const figures: ScaleFigures = {
    ...(growth && { growth }),
    ...(peer && { peer }),
    ...(rebin && { rebin }),
    ...(service && { service }),
    ...(week && { week }),
  };
  const folder = isQuick ? cache : 'docs';
  const page = join(folder, 'scale.md');
  const before = fs.existsSync(page) ? fs.readFileSync(page, 'utf8') : '';
  for (const name of ['growth', 'peer', 'rebin', 'service', 'week'] as const) {
    if (figures[name] !== undefined) continue;
    console.error(`bench: ${cache} has no figures of ${name}: that section stays as it is`);
  }
  const options = (await prettier.resolveConfig('docs/scale.md')) ?? {};
  const text = await prettier.format(scalePage(figures, before), {
    ...options,
    parser: 'markdown',
  });
  fs.writeFileSync(page, text);
  for (const [name, picture] of scalePictures(figures)) fs.writeFileSync(join(folder, name), picture);
  console.log(`bench: wrote ${page}`);
}

function isStage(name: string): name is keyof typeof STAGES {
  return name in STAGES;
}

const asked = process.argv.slice(2).filter((argument) => argument !== '--quick');
const unknown = asked.find((name) => !isStage(name));
if (unknown !== undefined) {
  console.error(`bench: there is no stage ${unknown}; there are ${Object.keys(STAGES).join(', ')}`);
  process.exitCode = 2;
} else {
  const stages = asked.length > 0 ? asked.filter(isStage) : (Object.keys(STAGES) as (keyof typeof STAGES)[]);
  for (const stage of stages) {
    console.log(`bench: ${stage} …`);
    const begun = performance.now();
    await STAGES[stage]();
    console.log(`bench: ${stage} done in ${((performance.now() - begun) / 1000).toFixed(0)} s`);
  }
}
