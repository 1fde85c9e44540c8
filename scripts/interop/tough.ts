// tough, through its command tuftool. It loads a whole repository anew each time and keeps nothing: `clone` is its
// refresh.
import { mkdir, readdir, readFile, rm } from 'node:fs/promises';
import path from 'node:path';
import type { ClientKind, ClientSetting, InteropClient, TrustedVersions } from './clients.ts';
import { fakeTimeEnv } from './fake-time.ts';
import { component, type Component } from './components.ts';
import { run } from './run.ts';

const VERSION = '0.16.0';
const NAME = `tuftool ${VERSION}`;

/** Milliseconds: half an hour on a small computer that is busy. */
const BUILD_MS = 3_600_000;
const CALL_MS = 600_000;

export const tough: ClientKind = {
  name: NAME,
  formats: ['prefixes'],
  remembers: false,
  install: installTuftool,
  open: (program, setting) => Promise.resolve(toughClient(program, setting)),
};

function installTuftool(): Promise<Component> {
  return component(NAME, `tuftool-${VERSION}`, 'bin/tuftool', async (folder) => {
    const what = ['tuftool', '--version', VERSION, '--locked'];
    await run('cargo', ['install', '--quiet', ...what, '--root', folder], { timeoutMs: BUILD_MS });
  });
}

function toughClient(program: string, setting: ClientSetting): InteropClient {
  const { rootFile, metadataUrl, targetsUrl, directory } = setting;
  const call = async (time: number | undefined, ...args: readonly string[]): Promise<void> => {
    const all = [...args, '--root', rootFile, '--metadata-url', metadataUrl];
    const env = time === undefined ? {} : await fakeTimeEnv(time);
    await run(program, all, { timeoutMs: setting.callMs ?? CALL_MS, env });
  };
  return {
    refresh: async (time) => {
      const copy = path.join(directory, 'metadata');
      await rm(copy, { recursive: true, force: true });
      await mkdir(directory, { recursive: true });
      await call(time, 'clone', '--metadata-only', '--metadata-dir', copy);
      return trustedIn(copy);
    },
    download: async (targetPath, time) => {
      const place = path.join(directory, 'targets');
      await rm(place, { recursive: true, force: true });
      await call(time, 'download', '--targets-url', targetsUrl, '--target-name', targetPath, place);
      return path.join(place, targetPath);
    },
  };
}

/** The newest of each role in a copy with names that have versions. */
async function trustedIn(folder: string): Promise<TrustedVersions> {
  const names = await readdir(folder);
  const newest = (role: string): number =>
    Math.max(...names.flatMap((name) => (name.endsWith(`.${role}.json`) ? [Number.parseInt(name)] : [])));
  const { signed } = JSON.parse(await readFile(path.join(folder, 'timestamp.json'), 'utf8')) as {
    signed: { version: number };
  };
  return {
    root: newest('root'),
    timestamp: signed.version,
    snapshot: newest('snapshot'),
    targets: newest('targets'),
  };
}
