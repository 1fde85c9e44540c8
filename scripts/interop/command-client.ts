// A client that is driven in the command form of the TUF conformance suite: `init`, `refresh` and `download`, a process
// each, with metadata under names without a version in its folder. Exit status 0 or the refusal on standard error.
import { mkdir, mkdtemp, readdir, readFile, stat } from 'node:fs/promises';
import path from 'node:path';
import type { ClientSetting, InteropClient, TrustedVersions } from './clients.ts';
import { fakeTimeEnv } from './fake-time.ts';
import { run } from './run.ts';

/** Milliseconds: tuf-js takes 106 s for a repository with 16,384 bins. */
const CALL_MS = 600_000;

export interface CommandForm {
  readonly program: string;
  /** Before the options: a script, a subcommand. */
  readonly first?: readonly string[];
  /** How the program is told the time; by default libfaketime tells it. */
  readonly timeEnv?: (
    time: number,
  ) => Readonly<Record<string, string>> | Promise<Readonly<Record<string, string>>>;
}

export async function commandClient(form: CommandForm, setting: ClientSetting): Promise<InteropClient> {
  const metadata = path.join(setting.directory, 'metadata');
  const targets = path.join(setting.directory, 'targets');
  const { program, first = [], timeEnv = fakeTimeEnv } = form;
  const call = async (time: number | undefined, ...args: readonly string[]): Promise<string> => {
    const all = [...first, '--metadata-dir', metadata, ...args];
    const options = { timeoutMs: setting.callMs ?? CALL_MS };
    return run(program, all, { ...options, ...(time === undefined ? {} : { env: await timeEnv(time) }) });
  };
  await mkdir(targets, { recursive: true });
  if (!(await exists(metadata))) {
    await mkdir(metadata);
    await call(undefined, 'init', setting.rootFile);
  }
  return {
    refresh: async (time) => {
      await call(time, '--metadata-url', setting.metadataUrl, 'refresh');
      return trustedIn(metadata);
    },
    download: async (targetPath, time) => {
      // Each client has its own way of turning a path into the name of a file: the one that is there afterwards is it.
      const place = await mkdtemp(path.join(targets, 'download-'));
      const where = ['--target-base-url', setting.targetsUrl, '--target-dir', place];
      await call(
        time,
        ...['--metadata-url', setting.metadataUrl, '--target-name', targetPath, ...where, 'download'],
      );
      const [name, ...more] = await readdir(place);
      if (name === undefined || more.length > 0) throw new Error(`${place} holds no single file`);
      return path.join(place, name);
    },
  };
}

/** The metadata that a client keeps. */
async function trustedIn(folder: string): Promise<TrustedVersions> {
  const version = async (role: string): Promise<number> => {
    const { signed } = JSON.parse(await readFile(path.join(folder, `${role}.json`), 'utf8')) as {
      signed: { version: number };
    };
    return signed.version;
  };
  return {
    root: await version('root'),
    timestamp: await version('timestamp'),
    snapshot: await version('snapshot'),
    targets: await version('targets'),
  };
}

async function exists(file: string): Promise<boolean> {
  return stat(file).then(
    () => true,
    () => false,
  );
}
