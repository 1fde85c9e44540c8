// Another number of bins for an index in service, while it takes uploads: the whole change as an operator orders it, timed,
// with the processor's seconds and the memory of the service, and how long uploads took meanwhile.
import * as fs from 'node:fs';
import { join } from 'node:path';
import { MeasuredService } from '../bench/service.ts';
import { holdBinsCeremony } from '../interop/next-bins.ts';
import { collectMany, type GarbageFigures } from './garbage.ts';
import { BinLayout } from '../../src/tuf/bins.ts';
import { growth } from './growth.ts';
import { measured, processFigures, type Taken } from './measured-process.ts';
import { MAIN } from './places.ts';

/** Milliseconds between two uploads. */
const UPLOAD_EVERY_MS = 500;

export interface RebinRun extends Taken {
  readonly from: number;
  readonly to: number;
  readonly files: number;
  readonly publications: number;
  /** Seconds in which bins were prepared, uploads in between; the rest waits until every client knows the new root. */
  readonly prepareSeconds: number;
  /** Milliseconds from the request of an upload until it was public, ascending. */
  readonly uploadMs: readonly number[];
  readonly fsck: Taken;
  /** Collections of garbage on what is there afterwards, one after the other. */
  readonly garbage: readonly GarbageFigures[];
}

/** Signs `files` into `from` bins in `folder`, and changes them to `to`. */
export async function rebinRun(
  files: number,
  from: number,
  to: number,
  cache: string,
  folder: string,
  garbage: readonly number[] = [],
): Promise<RebinRun> {
  await growth(files, from, cache, folder);
  const bundle = await holdBinsCeremony(folder, to);
  const service = await MeasuredService.start(folder);
  let figures: Omit<RebinRun, 'fsck' | 'garbage'>;
  try {
    // Ready is sooner than the first look at what is public.
    await upload(service, 'uploads/before.whl');
    const before = processFigures(service.pid).cpuSeconds ?? 0;
    const first = await snapshotOf(service);
    const begun = performance.now();
    const over = new AbortController();
    const uploads = (async () => {
      const taken: number[] = [];
      for (let n = 0; !over.signal.aborted; n++) {
        taken.push(await upload(service, `uploads/during-${n}.whl`));
        await new Promise((resolve) => setTimeout(resolve, UPLOAD_EVERY_MS));
      }
      return taken.sort((a, b) => a - b);
    })();
    await measured(MAIN, ['import', bundle], folder);
    const seconds = (performance.now() - begun) / 1000;
    over.abort();
    const uploadMs = await uploads;
    const { cpuSeconds, peakMb } = processFigures(service.pid);
    figures = {
      from,
      to,
      files,
      seconds,
      ...(cpuSeconds === undefined ? {} : { cpuSeconds: cpuSeconds - before }),
      ...(peakMb === undefined ? {} : { peakMb }),
      prepareSeconds: preparing(folder),
      publications: (await snapshotOf(service)) - first - uploadMs.length,
      uploadMs,
    };
  } finally {
    await service.stop();
  }
  const { seconds, cpuSeconds, peakMb } = await measured(MAIN, ['fsck'], folder);
  const fsck = { seconds, ...(cpuSeconds && { cpuSeconds }), ...(peakMb && { peakMb }) };
  const collected: GarbageFigures[] = [];
  for (const objects of garbage) collected.push(await collectMany(folder, new BinLayout(from), objects));
  return { ...figures, fsck, garbage: collected };
}

/** By the service's log: from the root that goes ahead to the last bins that were prepared. */
function preparing(folder: string): number {
  const lines = fs
    .readFileSync(join(folder, 'service.log'), 'utf8')
    .split('\n')
    .filter((line) => line.startsWith('{'))
    .map((line) => JSON.parse(line) as { readonly msg: string; readonly time: string });
  const root = lines.find(({ msg }) => msg === 'imported');
  const last = lines.findLast(({ msg }) => msg === 'bins of the layout to come are prepared');
  if (root === undefined || last === undefined)
    throw new Error(`${folder}/service.log tells of no change of bins`);
  return (Date.parse(last.time) - Date.parse(root.time)) / 1000;
}

async function snapshotOf({ address }: MeasuredService): Promise<number> {
  const status = (await (await fetch(`${address}/v1/status`)).json()) as {
    published: { snapshot: { version: number } };
  };
  return status.published.snapshot.version;
}

/** Milliseconds until it is public. */
async function upload({ address }: MeasuredService, path: string): Promise<number> {
  const begun = performance.now();
  const target = { length: 5, hashes: { sha256: '0'.repeat(64) } };
  const answer = await fetch(`${address}/v1/events`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', prefer: 'wait=60' },
    body: JSON.stringify({ events: [{ changes: [{ op: 'add', path, ...target }] }] }),
  });
  if (answer.status !== 200) throw new Error(`${path} was answered with ${answer.status}`);
  await answer.text();
  return performance.now() - begun;
}
