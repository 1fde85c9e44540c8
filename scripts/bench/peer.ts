// The peer: the steps of RSTUF's worker (peer.py) on bins of the same index, timed in the same run.
import { execFile, execFileSync } from 'node:child_process';
import * as fs from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { BinLayout } from '../../src/tuf/bins.ts';
import { modelFile } from './model-files.ts';
import type { ModelIndex } from './model-index.ts';

const run = promisify(execFile);

/** What is installed beside the index, once. */
const PACKAGES = ['tuf==5.1.0', 'securesystemslib[crypto]==1.6.0'];
const PEER_SEED = 3;
const MAX_OUTPUT_BYTES = 64 * 1024 * 1024;

export interface PeerFigures {
  /** Of python-tuf. */
  readonly version: string;
  /** Seconds of each publication with one event. */
  readonly single: readonly number[];
  /** Seconds of each publication with `batchSize` events. */
  readonly batches: readonly number[];
}

/** A Python that has python-tuf, or undefined when it cannot be installed here. */
export function peerPython(cache: string): string | undefined {
  const python = join(cache, 'py', 'bin', 'python');
  const has = (): boolean => {
    try {
      execFileSync(python, ['-c', 'import tuf.api.metadata'], { stdio: 'ignore' });
      return true;
    } catch {
      return false;
    }
  };
  if (has()) return python;
  try {
    execFileSync('python3', ['-m', 'venv', join(cache, 'py')], { stdio: 'ignore' });
    execFileSync(python, ['-m', 'pip', 'install', '--quiet', ...PACKAGES], { stdio: 'ignore' });
    return has() ? python : undefined;
  } catch {
    return undefined;
  }
}

/** Runs the peer on a copy of the bins that its events touch. */
export async function peerFigures(
  python: string,
  index: ModelIndex,
  folder: string,
  { singles, batches, batchSize }: { singles: number; batches: number; batchSize: number },
): Promise<PeerFigures> {
  await fs.mkdir(folder, { recursive: true });
  const layout = new BinLayout(index.bins);
  const touched = new Set<string>();
  let number = 0;
  const events = (count: number): [string, string, number, string][] =>
    Array.from({ length: count }, () => {
      const { path, target } = modelFile(PEER_SEED, number++);
      const bin = layout.name(layout.indexOf(path));
      touched.add(bin);
      return [bin, path, target.length, target.hashes.sha256];
    });
  const work = {
    single: events(singles),
    batches: Array.from({ length: batches }, () => events(batchSize)),
  };
  await fs.writeFile(join(folder, 'events.json'), JSON.stringify(work));
  const metadata = join(index.folder, 'repository', 'metadata');
  for (const role of [...touched, 'snapshot']) {
    await fs.copyFile(join(metadata, `1.${role}.json`), join(folder, `${role}.json`));
    await fs.chmod(join(folder, `${role}.json`), 0o600);
  }
  await fs.copyFile(join(metadata, 'timestamp.json'), join(folder, 'timestamp.json'));
  const { stdout } = await run(
    python,
    [join(import.meta.dirname, '../../../scripts/bench/peer.py'), folder],
    {
      maxBuffer: MAX_OUTPUT_BYTES,
    },
  );
  return JSON.parse(stdout) as PeerFigures;
}
