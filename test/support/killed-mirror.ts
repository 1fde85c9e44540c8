// A mirror that is killed at moments drawn by lot, while its index goes on publishing.
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { expect } from 'vitest';
import { systemClock } from '../../src/lib/clock.ts';
import { ManualClock } from './manual-clock.ts';
import { accept, foundRepository, publishAll, publishPaths } from './repository.ts';
import { serveRepository, type RepositoryServer } from './repository-server.ts';
import { runCommand } from './service-process.ts';
import { tempDir } from './temp-dir.ts';
import { shownIn, type Shown } from './whole-mirror.ts';

/** What a mirror shows at one moment. */
export interface ShownMirror extends Shown {
  readonly rootBytes: Uint8Array;
  /** Every target path that was published so far, also those that were removed, the newest last. */
  readonly paths: readonly string[];
}

/** Where a mirror goes. */
export interface MirrorPlace {
  readonly args: readonly string[];
  /** After its first run: what it shows there. */
  readonly open: () => Promise<Shown>;
}

async function inDirectory(): Promise<MirrorPlace> {
  const directory = path.join(await tempDir(), 'mirror');
  return { args: ['--to', directory], open: () => shownIn(directory) };
}

/**
 * Runs the built `countersign mirror` again and again, kills it `kills` times, and has `judge` look at what it shows
 * after each. By default the mirror goes into a directory. How many runs ended before they were killed.
 */
export async function killMirror(
  kills: number,
  judge: (shown: ShownMirror) => Promise<void>,
  place?: MirrorPlace,
): Promise<{ readonly ended: number }> {
  // Expiry is judged by the real time in the other process.
  const repository = await foundRepository({ clock: new ManualClock(systemClock.now() - 60_000) });
  const { rootBytes } = repository;
  const server = await serveRepository(repository.store);
  const folder = await tempDir();
  const root = path.join(folder, 'root.json');
  await writeFile(root, rootBytes);
  const { args: to, open } = place ?? (await inDirectory());
  const upstream = ['--metadata-url', `${server.url}/metadata`, '--root', root];
  const targets = ['--targets', '--target-base-url', `${server.url}/targets`];
  // Removals take place too.
  const command = ['mirror', ...upstream, ...targets, ...to, '--grace', '1s', '--json'];
  const paths: string[] = [];
  // Something is shown before the first kill: otherwise there would be nothing to judge.
  expect((await runCommand(folder, command)).how).toBe(0);
  const shown: ShownMirror = { ...(await open()), rootBytes, paths };
  await judge(shown);
  let ended = 0;
  for (let round = 0; round < kills; round++) {
    const added = Array.from({ length: 20 }, (_, index) => `p/${round}/${index}`);
    await publishPaths(repository, added);
    paths.push(...added);
    if (round > 0) {
      await accept(repository, [{ op: 'remove', path: `p/${round - 1}/7` }]);
      await publishAll(repository);
    }
    const newestSnapshot = `metadata/${2 * round + 2}.snapshot.json`;
    const killed = await runCommand(folder, command, moment(server, shown, newestSnapshot));
    expect(['SIGKILL', 0]).toContain(killed.how);
    if (killed.how === 0) ended += 1;
    await judge(shown);
  }
  const last = await runCommand(folder, command);
  expect(last.stderr).toBe('');
  const newest = 1 + kills + kills - 1;
  expect((JSON.parse(last.stdout) as { snapshot: number }).snapshot).toBe(newest);
  await judge(shown);
  return { ended };
}

/** Requests of a run that takes what is new here: roots, timestamp, snapshot, retention, up to sixteen bins, twenty files. */
const REQUESTS = 40;

/** Half of the moments are after one of its requests; the others when its newest snapshot is there, and up to 20 ms later. */
async function moment(server: RepositoryServer, { files }: Shown, newestSnapshot: string): Promise<void> {
  const end = systemClock.now() + 60_000;
  const until = async (arrived: () => boolean | Promise<boolean>): Promise<void> => {
    while (!(await arrived()) && systemClock.now() < end) await systemClock.sleep(1);
  };
  if (Math.random() < 0.5) {
    const requests = server.requests.length + 1 + Math.floor(Math.random() * REQUESTS);
    await until(() => server.requests.length >= requests);
    return;
  }
  await until(async () => (await files.size(newestSnapshot)) !== undefined);
  await systemClock.sleep(Math.random() * 20);
}
