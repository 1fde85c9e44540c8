// A mirror that is killed shows a sound repository at every moment: fsck says so, and our own client from the root. Where
// it is killed is drawn by lot; SLOW=1 draws a hundred times. In the ordinary suite every write is a place to fail too.
// python-tuf judges the same in test/interop/mirror-kill.test.ts.
import { expect, test } from 'vitest';
import { openFileLargeObjects } from '../../src/storage/file-large-objects.ts';
import { openFileStore } from '../../src/storage/file-store.ts';
import { breakAfter } from '../support/broken-stores.ts';
import { killMirror } from '../support/killed-mirror.ts';
import { mirrorBench } from '../support/mirror-bench.ts';
import { accept, foundRepository, publishAll, publishPaths } from '../support/repository.ts';
import { tempDir } from '../support/temp-dir.ts';
import { isWholeCopy, isWholeMirror } from '../support/whole-mirror.ts';

const KILLS = process.env['SLOW'] === undefined ? 3 : 100;

test(
  `killed ${KILLS} times at moments drawn by lot, it always shows a whole repository`,
  { timeout: KILLS * 30_000 },
  async () => {
    const { ended } = await killMirror(KILLS, async (shown) => {
      expect(await isWholeCopy(shown, shown.rootBytes)).toBe(true);
    });
    // Most were killed at work, not after it.
    if (KILLS > 10) expect(ended).toBeLessThan(KILLS / 2);
  },
);

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
