// A mirror that is killed at moments drawn by lot, judged after each kill by python-tuf: by a client that comes with the
// first root, and by one that has followed the mirror from the beginning. SLOW=1 kills a hundred times.
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { expect, test } from 'vitest';
import { pythonTuf } from '../../scripts/interop/components.ts';
import { run } from '../../scripts/interop/run.ts';
import { targetObjects } from '../../src/client/mirror/object-names.ts';
import { verifyCopy } from '../../src/client/mirror/verify.ts';
import { sha256Hex } from '../../src/lib/bytes.ts';
import { systemClock } from '../../src/lib/clock.ts';
import { openFileStore } from '../../src/storage/file-store.ts';
import { ReadDirectory } from '../../src/storage/read-directory.ts';
import { killMirror, type ShownMirror } from '../support/killed-mirror.ts';
import { serveStore } from '../support/store-server.ts';
import { tempDir } from '../support/temp-dir.ts';
import { isWholeMirror } from '../support/whole-mirror.ts';

const KILLS = process.env['SLOW'] === undefined ? 6 : 100;

/** Files that a client downloads after each kill: the newest that are named, and as many of the others. */
const DOWNLOADS = 20;

const python = await pythonTuf();

test.skipIf(python.program === undefined)(
  `killed ${KILLS} times, python-tuf updates and downloads from what it shows`,
  { timeout: KILLS * 60_000 },
  async () => {
    const folder = await tempDir();
    let url: string | undefined;
    let clients = 0;
    let downloaded = 0;
    const snapshots = new Set<number>();
    const { ended } = await killMirror(KILLS, async (shown) => {
      expect(await isWholeMirror(shown.directory, shown.rootBytes)).toBe(true);
      url ??= await serveStore(await openFileStore(shown.directory));
      await writeFile(path.join(folder, 'root.json'), shown.rootBytes);
      const { snapshot, targets } = await someTargets(shown);
      snapshots.add(snapshot);
      await writeFile(path.join(folder, 'targets.json'), JSON.stringify(targets));
      for (const state of [`fresh-${clients}`, 'kept']) {
        const answer = await run(python.program ?? '', [
          new URL('python_tuf_client.py', import.meta.url).pathname,
          ...['check', '--url', url, '--state', path.join(folder, state)],
          ...['--root', path.join(folder, 'root.json'), '--targets', path.join(folder, 'targets.json')],
          ...['--downloads', String(targets.length)],
        ]);
        expect(JSON.parse(answer)).toMatchObject({ downloaded: targets.length });
        clients += 1;
        downloaded += targets.length;
      }
    });
    const killed = `${KILLS - ended} kills at work, ${ended} after it`;
    const seen = `${clients} updates to ${snapshots.size} snapshots and ${downloaded} downloads by ${python.name}`;
    console.log(`${killed}: ${seen}, none failed`);
    if (KILLS > 10) expect(ended).toBeLessThan(KILLS / 2);
  },
);

/** Of those that the mirror's snapshot names, the newest, and others of any age. */
async function someTargets({
  directory,
  rootBytes,
  paths,
}: ShownMirror): Promise<{ snapshot: number; targets: object[] }> {
  const copy = await ReadDirectory.open(directory);
  const { lookUp, trusted } = await verifyCopy({
    metadata: copy,
    rootBytes,
    clock: systemClock,
    targets: { files: copy, objects: targetObjects },
    complete: true,
    progress: () => undefined,
    fault: (fault) => {
      throw new Error(JSON.stringify(fault));
    },
  });
  const named: string[] = [];
  for (const name of paths) if ((await lookUp(name)) !== undefined) named.push(name);
  const older = named.slice(0, -DOWNLOADS).map((name) => ({ name, at: Math.random() }));
  const others = older.sort((a, b) => a.at - b.at).map(({ name }) => name);
  const chosen = [...named.slice(-DOWNLOADS), ...others.slice(0, DOWNLOADS)];
  return {
    snapshot: trusted.snapshot.version,
    targets: chosen.map((name) => ({ path: name, length: name.length, sha256: sha256Hex(name) })),
  };
}
