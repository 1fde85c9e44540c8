// The real clients, installed once into a cache outside the checkout, in a folder named by what is in it. A component
// that cannot be had is a reason in words, not an error: the suite reports it as skipped.
import { mkdir, rename, rm, stat } from 'node:fs/promises';
import { homedir } from 'node:os';
import path from 'node:path';
import process from 'node:process';
import { run } from './run.ts';

const PYTHON_PACKAGES = ['tuf==7.0.1', 'securesystemslib[crypto]==1.6.0'];

/** The newest long-term line of Node; the suite itself runs on whatever is installed. */
export const NEWEST_NODE = '26.10.0';

const CACHE = path.join(
  process.env['XDG_CACHE_HOME'] ?? path.join(homedir(), '.cache'),
  'countersign',
  'interop',
);

export interface Component {
  readonly name: string;
  /** The program to run, or why there is none. */
  readonly program: string | undefined;
  readonly reason: string;
}

export function pythonTuf(): Promise<Component> {
  return component(
    'python-tuf 7.0.1',
    'python-tuf-7.0.1-securesystemslib-1.6.0',
    'bin/python',
    async (folder) => {
      await run('python3', ['-m', 'venv', folder]);
      await run(path.join(folder, 'bin/python'), ['-m', 'pip', 'install', '--quiet', ...PYTHON_PACKAGES]);
    },
  );
}

export function newestNode(): Promise<Component> {
  const platform = `${process.platform}-${process.arch}`;
  const spec = `node-${platform}@${NEWEST_NODE}`;
  const program = `node_modules/node-${platform}/bin/node`;
  return component(`Node ${NEWEST_NODE}`, `node-${NEWEST_NODE}-${platform}`, program, async (folder) => {
    await run('npm', ['install', '--no-save', '--no-audit', '--no-fund', '--prefix', folder, spec]);
  });
}

/** Installs once; a folder without its mark is from an interrupted installation, and is made again. */
export async function component(
  name: string,
  folderName: string,
  program: string,
  install: (folder: string) => Promise<void>,
): Promise<Component> {
  const folder = path.join(CACHE, folderName);
  const complete = path.join(CACHE, `${folderName}.complete`);
  try {
    if (!(await exists(complete))) {
      // A virtual environment holds its own path: it is made where it stays.
      await rm(folder, { recursive: true, force: true });
      await mkdir(folder, { recursive: true });
      await install(folder);
      await stat(path.join(folder, program));
      const mark = `${complete}.${process.pid}`;
      await mkdir(mark);
      await rename(mark, complete);
    }
    return { name, program: path.join(folder, program), reason: '' };
  } catch (error) {
    return { name, program: undefined, reason: error instanceof Error ? error.message : String(error) };
  }
}

async function exists(file: string): Promise<boolean> {
  return stat(file).then(
    () => true,
    () => false,
  );
}
