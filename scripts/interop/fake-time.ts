// Another time of day for one program: libfaketime, from the system or from the packages of Debian, unpacked into the
// cache. It is preloaded by its path: the wrapper "faketime" knows one place of the system only.
import { access, readdir } from 'node:fs/promises';
import path from 'node:path';
import process from 'node:process';
import { component, type Component } from './components.ts';
import { run } from './run.ts';

const NAME = 'libfaketime';
const LIBRARY_FOLDER = path.join('lib', debianArchitecture(), 'faketime');

/** Which of its libraries: the one for programs of many threads is slower. */
export type Library = 'libfaketime.so.1' | 'libfaketimeMT.so.1';

/** `program` is the library that LD_PRELOAD must name. */
export async function installFakeTime(library: Library = 'libfaketime.so.1'): Promise<Component> {
  const system = path.join('/usr', LIBRARY_FOLDER, library);
  const found = await access(system).then(
    () => true,
    () => false,
  );
  if (found) return { name: NAME, program: system, reason: '' };
  return component(NAME, 'libfaketime', path.join('usr', LIBRARY_FOLDER, library), async (folder) => {
    await run('apt-get', ['download', '-qq', NAME], { cwd: folder });
    for (const file of await readdir(folder)) await run('dpkg-deb', ['-x', file, '.'], { cwd: folder });
  });
}

/**
 * What a program is started with whose clock is to stand at `time` (milliseconds since the epoch) and go on from it.
 * Time that is only measured is left alone.
 */
export async function fakeTimeEnv(time: number): Promise<Readonly<Record<string, string>>> {
  const { program, reason } = await installFakeTime();
  if (program === undefined) throw new Error(`no program can be told another time: ${reason}`);
  return {
    LD_PRELOAD: program,
    FAKETIME: `@${new Date(time).toISOString().slice(0, 19).replace('T', ' ')}`,
    FAKETIME_DONT_FAKE_MONOTONIC: '1',
    // Its name in older versions.
    DONT_FAKE_MONOTONIC: '1',
    TZ: 'UTC',
  };
}

/** As the folders of libraries are called. */
function debianArchitecture(): string {
  return process.arch === 'arm64' ? 'aarch64-linux-gnu' : 'x86_64-linux-gnu';
}
