// `npm run bench:stack`: the service on PostgreSQL, a distant S3 server and OpenBao, measured on a small index, on one of as
// many bins as PyPI has, and on one of PyPI's size, and written to its part of docs/performance.md. Ends with status 1 when a
// promised bound is missed.
// `--small`: the small index only, and no page.
import * as fs from 'node:fs/promises';
import { cpus, homedir, loadavg } from 'node:os';
import { join } from 'node:path';
import process from 'node:process';
import * as prettier from 'prettier';
import { systemClock } from '../../src/lib/clock.ts';
import { intake, oneAtATime, percentile } from './load.ts';
import { modelIndex, type ModelSize } from './model-index.ts';
import { rounded } from './report.ts';
import { MeasuredService } from './service.ts';
import { openLoop } from './stack/open-loop.ts';
import { missedByStack, stackPart, withStackPart, type StackFigures } from './stack/report.ts';
import { startStack } from './stack/stack.ts';

interface Plan extends ModelSize {
  /** How long the promised rate is offered, and how many events a backlog has. */
  readonly seconds: number;
  readonly backlog: number;
}

const SMALL: Plan = { bins: 1024, targetsPerBin: 100, seconds: 30, backlog: 5000 };
/** As many bins as PyPI's index has and a tenth of its files: nearly every event has a bin of its own, but not a large one. */
const MEDIUM: Plan = { bins: 16_384, targetsPerBin: 100, seconds: 20, backlog: 5000 };
/** Where the processor is the limit, a longer time would only make the backlog longer. */
const LARGE: Plan = { bins: 16_384, targetsPerBin: 1000, seconds: 8, backlog: 2000 };

/** Milliseconds added to each request to the S3 server. */
const DELAY_MS = 20;
const THREADS = 2;
const RUNS = 3;
const ONE_BY_ONE = 50;
const SINGLES = { requestsPerSecond: 25, eventsPerRequest: 1, seconds: 20 };
/** More than is promised: an open loop never publishes more than it offers. */
const SUSTAINED = { requestsPerSecond: 55, eventsPerRequest: 10 };
const PAGE = 'docs/performance.md';

async function measure(plan: Plan, cache: string, folder: string): Promise<StackFigures> {
  const { bins, targetsPerBin, seconds } = plan;
  const index = await modelIndex(cache, { bins, targetsPerBin }, THREADS);
  say(`${bins} bins of ${targetsPerBin}: moving the index …`);
  const stack = await startStack(index, folder, DELAY_MS);
  try {
    say(`moved in ${rounded(stack.copySeconds)} s`);
    const service = await MeasuredService.start(folder, [], stack);
    try {
      // A service runs for months: it is not measured while its code is still being compiled.
      await oneAtATime(service, ONE_BY_ONE);
      const oneByOne = await repeat(() => oneAtATime(service, ONE_BY_ONE));
      const singles = await openLoop(service, SINGLES);
      say(`single events: 95 % public within ${rounded(percentile(singles.latencyMs, 0.95))} ms`);
      const sustained = await openLoop(service, { ...SUSTAINED, seconds });
      say(`sustained: ${rounded(sustained.eventsPerSecond)} events/s`);
      const backlog = await repeat(async () => {
        const begun = performance.now();
        await intake(service, plan.backlog, 100, 4);
        await service.drained();
        return (plan.backlog * 1000) / (performance.now() - begun);
      });
      say(`from a backlog: ${backlog.map(rounded).join(', ')} events/s`);
      return {
        bins,
        targetsPerBin,
        delayMs: DELAY_MS,
        copySeconds: stack.copySeconds,
        startMs: service.startMs,
        oneByOne,
        singles: { ...singles, perSecond: SINGLES.requestsPerSecond },
        sustained: {
          ...sustained,
          perSecond: SUSTAINED.requestsPerSecond * SUSTAINED.eventsPerRequest,
          seconds,
        },
        backlog,
        peakMb: await service.peakMemoryMb(),
      };
    } finally {
      await service.stop();
    }
  } finally {
    await stack.stop();
  }
}

async function repeat(work: () => Promise<number>): Promise<number[]> {
  const results: number[] = [];
  for (let i = 0; i < RUNS; i++) results.push(await work());
  return results;
}

function say(line: string): void {
  console.log(`bench:stack: ${line}`);
}

const small = process.argv.includes('--small');
const cache = join(process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache'), 'countersign', 'bench');
/** Of the minute before. */
const load = loadavg()[0] ?? 0;
const figures: StackFigures[] = [];
for (const size of small ? [SMALL] : [SMALL, MEDIUM, LARGE]) {
  // Not below /tmp, which is often in memory: the index is linked, and the objects are as large again.
  const folder = join(cache, `stack-${process.pid}-${size.bins}-${size.targetsPerBin}`);
  await fs.mkdir(folder, { recursive: true });
  try {
    figures.push(await measure(size, cache, folder));
  } finally {
    await fs.rm(folder, { recursive: true, force: true });
  }
}
const date = new Date(systemClock.now()).toISOString().slice(0, 10);
const machine = `${cpus().length} × ${cpus()[0]?.model.trim() ?? 'unknown'}`;
const part = stackPart(figures, { date, machine, load });
console.log(part);
if (!small) {
  const page = withStackPart(await fs.readFile(PAGE, 'utf8'), part);
  const options = (await prettier.resolveConfig(PAGE)) ?? {};
  await fs.writeFile(PAGE, await prettier.format(page, { ...options, parser: 'markdown' }));
  say(`wrote ${PAGE}`);
}
for (const missed of missedByStack(figures)) {
  console.error(`bench:stack: MISSED: ${missed}`);
  process.exitCode = 1;
}
