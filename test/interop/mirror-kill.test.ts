// A mirror, in a directory and in a real bucket, that is killed at moments drawn by lot, judged after each kill by
// python-tuf: by a client that comes with the first root, and by one that has followed the mirror from the beginning.
// SLOW=1 kills a hundred times in each place.
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { pythonTuf } from '../../scripts/interop/components.ts';
import { run } from '../../scripts/interop/run.ts';
import { BUCKET, CREDENTIALS, startS3Server } from '../../scripts/interop/s3-server.ts';
import { targetObjects } from '../../src/client/mirror/object-names.ts';
import { verifyCopy } from '../../src/client/mirror/verify.ts';
import { sha256Hex } from '../../src/lib/bytes.ts';
import { systemClock } from '../../src/lib/clock.ts';
import { openS3LargeObjects } from '../../src/storage/s3-large-objects.ts';
import { openS3Store } from '../../src/storage/s3-store.ts';
import { killMirror, type MirrorPlace, type ShownMirror } from '../support/killed-mirror.ts';
import { serveStore } from '../support/store-server.ts';
import { tempDir } from '../support/temp-dir.ts';
import { isWholeCopy } from '../support/whole-mirror.ts';

const SLOW = process.env['SLOW'] !== undefined;

/** Files that a client downloads after each kill: the newest that are named, and as many of the others. */
const DOWNLOADS = 20;

const python = await pythonTuf();

/** In a bucket of a server of its own, which ends with the test. */
async function inBucket(): Promise<MirrorPlace> {
  const server = await startS3Server();
  onTestFinished(() => server.stop());
  const { endpoint } = server;
  // What the SDK says about the end of a Node's life would be taken for a fault of the run.
  Object.assign(process.env, CREDENTIALS, { AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED: 'true' });
  const state = await tempDir();
  const location = {
    kind: 's3',
    bucket: BUCKET,
    prefix: 'mirror',
    region: 'us-east-1',
    endpoint,
    pathStyle: true,
  };
  const runtime = { clock: systemClock, random: Math.random };
  return {
    args: [
      ...['--to', `s3://${BUCKET}/mirror?region=us-east-1&endpoint=${endpoint}&path-style=true`],
      ...['--state', path.join(state, 'mirror')],
    ],
    open: async () => ({
      store: await openS3Store(location, runtime, { access: 'read' }),
      files: await openS3LargeObjects(location, path.join(state, 'spool'), runtime),
    }),
  };
}

describe.skipIf(python.program === undefined).each([
  { where: 'a directory', place: () => Promise.resolve(undefined), kills: SLOW ? 100 : 6 },
  { where: 'a bucket', place: inBucket, kills: SLOW ? 100 : 8 },
])('in $where', ({ where, place, kills }) => {
  test(
    `killed ${kills} times, python-tuf updates and downloads from what it shows`,
    { timeout: kills * 60_000 },
    async () => {
      const folder = await tempDir();
      let url: string | undefined;
      let clients = 0;
      let downloaded = 0;
      const snapshots = new Set<number>();
      const judge = async (shown: ShownMirror): Promise<void> => {
        expect(await isWholeCopy(shown, shown.rootBytes)).toBe(true);
        url ??= await serveStore(shown.store);
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
      };
      const { ended } = await killMirror(kills, judge, await place());
      const killed = `in ${where}, ${kills - ended} kills at work, ${ended} after it`;
      const seen = `${clients} updates to ${snapshots.size} snapshots and ${downloaded} downloads by ${python.name}`;
      console.log(`${killed}: ${seen}, none failed`);
      if (SLOW) expect(ended).toBeLessThan(kills / 2);
    },
  );
});

/** Of those that the mirror's snapshot names, the newest, and others of any age. */
async function someTargets({
  files,
  rootBytes,
  paths,
}: ShownMirror): Promise<{ snapshot: number; targets: object[] }> {
  const { lookUp, trusted } = await verifyCopy({
    metadata: files,
    rootBytes,
    clock: systemClock,
    targets: { files, objects: targetObjects },
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
