// Back-signing of lists of growing length into one number of bins, each checked by fsck and by python-tuf.
import * as fs from 'node:fs';
import { join } from 'node:path';
import { run } from '../interop/run.ts';
import { MeasuredService } from '../bench/service.ts';
import { pythonTuf } from '../interop/components.ts';
import { CEREMONY, MAIN, REPOSITORY_ROOT } from './places.ts';
import { measured, type Taken } from './measured-process.ts';
import { pypiFile } from './pypi-files.ts';

/** Files that python-tuf looks up. */
const LOOKUPS = 1000;

export interface Growth {
  readonly files: number;
  readonly bins: number;
  readonly listBytes: number;
  readonly backsign: Taken;
  /** Seconds of its steps. */
  readonly steps: { readonly read: number; readonly sort: number; readonly sign: number };
  readonly fsck: Taken;
  /** Bytes of all bins. */
  readonly metadataBytes: number;
  readonly client?: {
    readonly found: number;
    readonly refreshSeconds: number;
    readonly lookupSeconds: number;
  };
}

/** The list of so many files, made once. */
export async function listOf(files: number, cache: string): Promise<string> {
  const list = join(cache, `files-${files}.ndjson`);
  if (fs.existsSync(list)) return list;
  await measured(
    join(import.meta.dirname, '../generate-manifest.js'),
    [String(files), '--to', `${list}.next`],
    cache,
  );
  fs.renameSync(`${list}.next`, list);
  return list;
}

/** Founds a repository in `folder`, signs the list into it, and checks it. */
export async function growth(files: number, bins: number, cache: string, folder: string): Promise<Growth> {
  const list = await listOf(files, cache);
  // Read once: every size begins with its list in the page cache, or none does.
  fs.rmSync(folder, { recursive: true, force: true });
  await measured(CEREMONY, ['rehearse', '--out', folder, '--bins', String(bins)], cache);
  await measured(MAIN, ['bootstrap', 'bundle.json'], folder);
  const backsign = await measured(MAIN, ['backsign', '--manifest', list, '--report', 'report.json'], folder);
  const { files: signed, result } = JSON.parse(fs.readFileSync(join(folder, 'report.json'), 'utf8')) as {
    files: number;
    result?: { agreed: number };
  };
  if (signed !== files || result?.agreed !== files) {
    throw new Error(`${signed} files were signed and ${result?.agreed ?? 0} found again, of ${files}`);
  }
  const at = (name: string): number => fs.statSync(join(folder, 'backsign', name)).mtimeMs / 1000;
  const fsck = await measured(MAIN, ['fsck'], folder);
  return {
    files,
    bins,
    listBytes: fs.statSync(list).size,
    backsign: taken(backsign),
    steps: {
      read: at('read.json') - at('run.json'),
      sort: at('prepared.json') - at('read.json'),
      sign: at('report.json') - at('prepared.json'),
    },
    fsck: taken(fsck),
    metadataBytes: sizeOf(join(folder, 'repository', 'metadata'), /^2\.bin-/),
    ...(await clientFigures(files, folder)),
  };
}

function taken({ seconds, cpuSeconds, peakMb }: Taken): Taken {
  return {
    seconds,
    ...(cpuSeconds === undefined ? {} : { cpuSeconds }),
    ...(peakMb === undefined ? {} : { peakMb }),
  };
}

function sizeOf(directory: string, names: RegExp): number {
  return fs
    .readdirSync(directory)
    .filter((name) => names.test(name))
    .reduce((sum, name) => sum + fs.statSync(join(directory, name)).size, 0);
}

/** A refresh and 1,000 look-ups of files drawn at random, the same in every run. */
async function clientFigures(files: number, folder: string): Promise<Pick<Growth, 'client'>> {
  const python = await pythonTuf();
  if (python.program === undefined) return {};
  const targets = drawn(LOOKUPS, files).map((number) => {
    const { path, target } = pypiFile(number);
    return { path, length: target.length, sha256: target.hashes.sha256 };
  });
  fs.writeFileSync(join(folder, 'targets.json'), JSON.stringify(targets));
  const service = await MeasuredService.start(folder);
  try {
    const output = await run(python.program, [
      join(REPOSITORY_ROOT, 'test/interop/python_tuf_client.py'),
      'check',
      ...['--url', service.address, '--root', join(folder, 'root.json')],
      ...['--state', join(folder, 'client'), '--targets', join(folder, 'targets.json'), '--downloads', '0'],
    ]);
    return { client: JSON.parse(output) as NonNullable<Growth['client']> };
  } finally {
    await service.stop();
  }
}

/** `count` numbers below `limit`, by a generator of its own: Math.random would draw others in each run. */
export function drawn(count: number, limit: number): number[] {
  let state = 20_240_501;
  return Array.from({ length: count }, () => {
    state = (state * 48_271) % 2_147_483_647;
    return Math.floor((state / 2_147_483_647) * limit);
  });
}
