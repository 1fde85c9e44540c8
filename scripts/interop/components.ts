// The real clients, installed once into a cache outside the checkout, in a folder named by what is in it. A component
// that cannot be had is a reason in words, not an error: the suite reports it as skipped.
import { mkdir, rename, rm, stat } from 'node:fs/promises';
import { homedir } from 'node:os';
import path from 'node:path';
import process from 'node:process';
import { run } from './run.ts';

/** The two newest major versions of python-tuf, each with the securesystemslib that it was released for. */
const SECURESYSTEMSLIB = { '7.0.1': '1.6.0', '6.0.0': '1.3.1' } as const;
export type PythonTufVersion = keyof typeof SECURESYSTEMSLIB;

/** The two newest major versions of tuf-js are that of package-lock.json and this one, which needs a newer Node. */
export const NEWEST_TUF_JS = '6.0.2';

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

export function pythonTuf(version: PythonTufVersion = '7.0.1'): Promise<Component> {
  const library = SECURESYSTEMSLIB[version];
  const packages = [`tuf==${version}`, `securesystemslib[crypto]==${library}`];
  const folderName = `python-tuf-${version}-securesystemslib-${library}`;
  return component(`python-tuf ${version}`, folderName, 'bin/python', async (folder) => {
    await run('python3', ['-m', 'venv', folder]);
    await run(path.join(folder, 'bin/python'), ['-m', 'pip', 'install', '--quiet', ...packages]);
  });
}

export function newestNode(): Promise<Component> {
  const platform = `${process.platform}-${process.arch}`;
  const spec = `node-${platform}@${NEWEST_NODE}`;
  const program = `node_modules/node-${platform}/bin/node`;
  return component(`Node ${NEWEST_NODE}`, `node-${NEWEST_NODE}-${platform}`, program, async (folder) => {
    await run('npm', ['install', '--no-save', '--no-audit', '--no-fund', '--prefix', folder, spec]);
  });
}

/** The newest tuf-js beside the newest Node; the program is the Node. */
export async function newestTufJs(): Promise<Component> {
  const name = `tuf-js ${NEWEST_TUF_JS}`;
  const node = await newestNode();
  if (node.program === undefined) return { ...node, name };
  const spec = `tuf-js@${NEWEST_TUF_JS}`;
  const installed = await component(
    name,
    `tuf-js-${NEWEST_TUF_JS}`,
    'node_modules/tuf-js',
    async (folder) => {
      // Its engines are those of the Node that runs it, not of the one that installs it.
      const quiet = ['--no-save', '--no-audit', '--no-fund', '--engine-strict=false'];
      await run('npm', ['install', ...quiet, '--prefix', folder, spec]);
    },
  );
  return installed.program === undefined ? installed : { ...installed, program: node.program };
}

/** The folder of an installed component's packages. */
export function cacheFolder(folderName: string): string {
  return path.join(CACHE, folderName);
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
