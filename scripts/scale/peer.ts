// The peer: RSTUF's import and publication (peer.py) of a list that it can bear, and back-signing of the same list into
// the same number of bins, one after the other.
import * as fs from 'node:fs';
import { join } from 'node:path';
import { component } from '../interop/components.ts';
import { run } from '../interop/run.ts';
import { growth, type Growth } from './growth.ts';
import { REPOSITORY_ROOT } from './places.ts';
import { pypiFile } from './pypi-files.ts';

const FILES = 50_000;
const BINS = 1024;
const PACKAGES = ['tuf==7.0.1', 'securesystemslib[crypto]==1.6.0', 'sqlalchemy==2.0.44'];
const PATIENCE_MS = 1_800_000;

export interface PeerRun {
  readonly bins: number;
  readonly own: Growth;
  readonly peer: {
    /** Of python-tuf. */
    readonly version: string;
    readonly files: number;
    readonly importSeconds: number;
    readonly publishSeconds: number;
  };
}

/** Undefined, with a word on standard error, where the peer cannot be installed. */
export async function peerRun(cache: string, folder: string): Promise<PeerRun | undefined> {
  const python = await component(
    'python-tuf and SQLAlchemy',
    'rstuf-steps-1',
    'bin/python',
    async (place) => {
      await run('python3', ['-m', 'venv', place]);
      await run(join(place, 'bin/python'), ['-m', 'pip', 'install', '--quiet', ...PACKAGES]);
    },
  );
  if (python.program === undefined) {
    console.error(`bench: the peer is skipped: ${python.reason}`);
    return undefined;
  }
  const own = await growth(FILES, BINS, cache, join(folder, 'own'));
  const list = join(folder, 'list.csv');
  const lines = Array.from({ length: FILES }, (_, number) => {
    const { path, target } = pypiFile(number);
    return `${path};${target.length};sha256;${target.hashes.sha256}`;
  });
  fs.writeFileSync(list, lines.join('\n'));
  const script = join(REPOSITORY_ROOT, 'scripts/scale/peer.py');
  const database = `sqlite:///${join(folder, 'peer.db')}`;
  const args = [script, join(folder, 'peer'), database, list, String(BINS)];
  const output = await run(python.program, args, { timeoutMs: PATIENCE_MS });
  return { bins: BINS, own, peer: JSON.parse(output) as PeerRun['peer'] };
}
