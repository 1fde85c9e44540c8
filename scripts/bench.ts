// `npm run bench`: measures the service on an index of PyPI's size, beside its peer, and writes docs/performance.md.
// Ends with status 1 when a promised bound is missed. `--quick`: a small index, no bounds, no page.
import * as fs from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';
import process from 'node:process';
import * as prettier from 'prettier';
import { systemClock } from '../src/lib/clock.ts';
import { clientFigures, type ClientFigures } from './bench/client.ts';
import { boundsOf, isKept, type Figures } from './bench/figures.ts';
import { intake, latencies, oneAtATime, oneBatch } from './bench/load.ts';
import { modelIndex, workingCopy, type ModelIndex } from './bench/model-index.ts';
import { peerFigures, peerPython, type PeerFigures } from './bench/peer.ts';
import { performancePage, rounded } from './bench/report.ts';
import { MeasuredService } from './bench/service.ts';
import { stackPartOf, withStackPart } from './bench/stack/report.ts';
import { touchFreeMemory } from './bench/touch-memory.ts';

const FULL = {
  bins: 16_384,
  targetsPerBin: 1000,
  starts: 3,
  runs: 5,
  warmUps: 5,
  singles: 100,
  batchSize: 1000,
  intakeEvents: 20_000,
  trickle: 1000,
  peerSingles: 20,
  peerBatches: 3,
  clientBins: [256, 1024, 4096, 16_384],
};
const QUICK: typeof FULL = {
  bins: 1024,
  targetsPerBin: 100,
  starts: 1,
  runs: 1,
  warmUps: 1,
  singles: 20,
  batchSize: 200,
  intakeEvents: 2000,
  trickle: 100,
  peerSingles: 3,
  peerBatches: 1,
  clientBins: [256],
};

const EVENTS_PER_REQUEST = 100;
const CONNECTIONS = 4;
const TRICKLE_PER_SECOND = 50;
const THREADS = 2;
const PAGE = 'docs/performance.md';

type Plan = typeof FULL;

async function measure(plan: Plan, cache: string, folder: string): Promise<Figures> {
  const index = await step('model index', () => modelIndex(cache, plan, THREADS));
  const python = await step('python-tuf', () => Promise.resolve(peerPython(cache)));
  await step('memory', () => Promise.resolve(touchFreeMemory()));
  const peer = await step('peer', () => measurePeer(plan, index, join(folder, 'peer'), python));
  const service = await step('service', () => measureService(plan, index, join(folder, 'service')));
  const clients: ClientFigures[] = [];
  for (const bins of plan.clientBins) {
    const own = join(folder, `client-${bins}`);
    await fs.mkdir(own, { recursive: true });
    clients.push(await step(`clients, ${bins} bins`, () => clientFigures(bins, own, python)));
  }
  return { index, batchSize: plan.batchSize, ...service, clients, peer };
}

async function measurePeer(
  { peerSingles, peerBatches, batchSize }: Plan,
  index: ModelIndex,
  folder: string,
  python: string | undefined,
): Promise<PeerFigures | undefined> {
  if (python === undefined) return undefined;
  return peerFigures(python, index, folder, { singles: peerSingles, batches: peerBatches, batchSize });
}

async function measureService(
  plan: Plan,
  index: ModelIndex,
  folder: string,
): Promise<Omit<Figures, 'index' | 'batchSize' | 'clients' | 'peer'>> {
  await workingCopy(index, folder);
  const startMs: number[] = [];
  let service = await MeasuredService.start(folder);
  startMs.push(service.startMs);
  while (startMs.length < plan.starts) {
    await service.stop();
    service = await MeasuredService.start(folder);
    startMs.push(service.startMs);
  }
  try {
    // A service runs for months: it is not measured while its code is still being compiled.
    await oneAtATime(service, plan.singles * 2);
    await repeat(plan.warmUps, () => oneBatch(service, plan.batchSize));
    const single = await repeat(plan.runs, () => oneAtATime(service, plan.singles));
    const batch = await repeat(plan.runs, () => oneBatch(service, plan.batchSize));
    const latencyMs = await latencies(service, plan.trickle, TRICKLE_PER_SECOND);
    const accepted = await repeat(plan.runs > 1 ? 3 : 1, () =>
      intake(service, plan.intakeEvents / 2, EVENTS_PER_REQUEST, CONNECTIONS),
    );
    await service.drained();
    return { startMs, single, batch, latencyMs, intake: accepted, peakMb: await service.peakMemoryMb() };
  } finally {
    await service.stop();
  }
}

async function repeat(runs: number, work: () => Promise<number>): Promise<number[]> {
  const results: number[] = [];
  for (let i = 0; i < runs; i++) results.push(await work());
  return results;
}

async function step<T>(name: string, work: () => Promise<T>): Promise<T> {
  const begun = performance.now();
  console.log(`bench: ${name} …`);
  const result = await work();
  console.log(`bench: ${name} done in ${((performance.now() - begun) / 1000).toFixed(1)} s`);
  return result;
}

const quick = process.argv.includes('--quick');
const cache = join(process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache'), 'countersign', 'bench');
// Not below /tmp, which is often in memory: the copy shares files with the index.
const folder = join(cache, `run-${process.pid}`);
await fs.mkdir(folder, { recursive: true });
try {
  const figures = await measure(quick ? QUICK : FULL, cache, folder);
  const bounds = boundsOf(figures);
  for (const { name, unit, value } of bounds) {
    console.log(`bench: ${name}: ${value === undefined ? 'not measured' : `${rounded(value)} ${unit}`}`);
  }
  if (!quick) {
    const before = await fs.readFile(PAGE, 'utf8').catch(() => '');
    const page = withStackPart(performancePage(figures, systemClock.now()), stackPartOf(before));
    const options = (await prettier.resolveConfig(PAGE)) ?? {};
    await fs.writeFile(PAGE, await prettier.format(page, { ...options, parser: 'markdown' }));
    console.log(`bench: wrote ${PAGE}`);
    for (const { name, unit, limit, kind } of bounds.filter((bound) => !isKept(bound))) {
      console.error(`bench: MISSED: ${name}, ${kind} ${limit} ${unit}`);
      process.exitCode = 1;
    }
  }
} finally {
  await fs.rm(folder, { recursive: true, force: true });
}
