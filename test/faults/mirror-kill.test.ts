// A mirror that is killed shows a sound repository at every moment: fsck says so, and our own client from the root. Where
// it is killed is drawn by lot; SLOW=1 draws a hundred times. In the ordinary suite every write is a place to fail too.
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { expect, test } from 'vitest';
import { systemClock } from '../../src/lib/clock.ts';
import { openFileLargeObjects } from '../../src/storage/file-large-objects.ts';
import { openFileStore } from '../../src/storage/file-store.ts';
import { breakAfter } from '../support/broken-stores.ts';
import { ManualClock } from '../support/manual-clock.ts';
import { mirrorBench } from '../support/mirror-bench.ts';
import { accept, foundRepository, publishAll, publishPaths } from '../support/repository.ts';
import { serveRepository, type RepositoryServer } from '../support/repository-server.ts';
import { runCommand } from '../support/service-process.ts';
import { tempDir } from '../support/temp-dir.ts';
import { isWholeMirror } from '../support/whole-mirror.ts';

const KILLS = process.env['SLOW'] === undefined ? 3 : 100;

test(
  `killed ${KILLS} times at moments drawn by lot, it always shows a whole repository`,
  { timeout: KILLS * 30_000 },
  async () => {
    // Expiry is judged by the real time in the other process.
    const repository = await foundRepository({ clock: new ManualClock(systemClock.now() - 60_000) });
    const server = await serveRepository(repository.store);
    const directory = await tempDir();
    const root = path.join(await tempDir(), 'root.json');
    await writeFile(root, repository.rootBytes);
    const mirrored = path.join(directory, 'mirror');
    const upstream = ['--metadata-url', `${server.url}/metadata`, '--root', root];
    const targets = ['--targets', '--target-base-url', `${server.url}/targets`];
    // Removals take place too.
    const command = ['mirror', ...upstream, ...targets, '--to', mirrored, '--grace', '1s', '--json'];
    // Something is shown before the first kill: otherwise there would be nothing to judge.
    expect((await runCommand(directory, command)).how).toBe(0);
    expect(await isWholeMirror(mirrored, repository.rootBytes)).toBe(true);
    let ended = 0;
    for (let round = 0; round < KILLS; round++) {
      const paths = Array.from({ length: 20 }, (_, index) => `p/${round}/${index}`);
      await publishPaths(repository, paths);
      if (round > 0) {
        await accept(repository, [{ op: 'remove', path: `p/${round - 1}/7` }]);
        await publishAll(repository);
      }
      const startedAt = server.requests.length;
      const killed = await runCommand(directory, command, moment(server, startedAt));
      expect(['SIGKILL', 0]).toContain(killed.how);
      if (killed.how === 0) ended += 1;
      expect(await isWholeMirror(mirrored, repository.rootBytes)).toBe(true);
    }
    const last = await runCommand(directory, command);
    expect(last.stderr).toBe('');
    const newest = 1 + KILLS + KILLS - 1;
    expect((JSON.parse(last.stdout) as { snapshot: number }).snapshot).toBe(newest);
    expect(await isWholeMirror(mirrored, repository.rootBytes)).toBe(true);
    // Most were killed at work, not after it.
    if (KILLS > 10) expect(ended).toBeLessThan(KILLS / 2);
  },
);

/** From the first request on: how long a process takes to start says nothing. */
async function moment(server: RepositoryServer, startedAt: number): Promise<void> {
  const end = systemClock.now() + 60_000;
  while (server.requests.length === startedAt && systemClock.now() < end) await systemClock.sleep(2);
  await systemClock.sleep(Math.random() * 600);
}

test('wherever it fails between two writes, it shows a whole repository, and the next run goes on', async () => {
  const repository = await foundRepository({ bins: 4 });
  const { clock } = repository;
  await publishPaths(repository, ['p/a', 'p/b']);
  const directory = await tempDir();
  const bench = await mirrorBench(repository, { directory });
  await bench.sync();
  for (let allowed = 0; ; allowed++) {
    await publishPaths(repository, [`p/c${allowed}`, `p/d${allowed}`]);
    await accept(repository, [{ op: 'remove', path: allowed === 0 ? 'p/a' : `p/c${allowed - 1}` }]);
    await publishAll(repository);
    // What was superseded before is due in this run.
    clock.advance(2 * 3_600_000);
    const breaking = breakAfter(
      allowed,
      await openFileStore(directory),
      await openFileLargeObjects(directory),
    );
    const whole = await bench.sync(breaking).then(
      () => true,
      () => false,
    );
    expect(await isWholeMirror(directory, repository.rootBytes, clock)).toBe(true);
    if (whole) {
      expect(allowed).toBeGreaterThan(6);
      return;
    }
  }
});
