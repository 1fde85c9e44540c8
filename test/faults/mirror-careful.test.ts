// One file, one hint, one copy that is not as it should be: the rest of a mirror goes on, and a whole one is told from it.
import { mkdir, readdir, rename, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { downloadTarget } from '../../src/client/target-download.ts';
import { targetObjects } from '../../src/client/mirror/object-names.ts';
import { Upstream } from '../../src/client/mirror/upstream.ts';
import { verifyCopy, type Fault } from '../../src/client/mirror/verify.ts';
import { sha256Hex } from '../../src/lib/bytes.ts';
import { CountersignError } from '../../src/lib/errors.ts';
import { openFileLargeObjects } from '../../src/storage/file-large-objects.ts';
import { ReadDirectory } from '../../src/storage/read-directory.ts';
import { HostileRepository } from '../support/hostile-repository.ts';
import { codeOf, GRACE_MS, mirrorBench, type Bench } from '../support/mirror-bench.ts';
import { accept, foundRepository, publishAll, publishPaths } from '../support/repository.ts';
import { tempDir } from '../support/temp-dir.ts';

const objectOf = (name: string): string =>
  targetObjects({ path: name, length: 1, hashes: new Map([['sha256', sha256Hex(name)]]) })[0] ?? '';

describe('a path that needs a directory where another target is a file', () => {
  const file = 'p/file';
  const below = `p/${sha256Hex(file)}.file/below`;

  test.each([
    ['the file first', file, below, objectOf(file)],
    ['the directory first', below, file, objectOf(file)],
  ])(
    '%s: it alone is refused, both are named, and its removal ends nothing',
    async (_, first, second, named) => {
      const repository = await foundRepository();
      await publishPaths(repository, [first]);
      const bench = await mirrorBench(repository);
      await bench.sync();
      await publishPaths(repository, [second, 'p/other', 'q/other']);
      expect(await codeOf(bench.sync())).toBe('mirror-incomplete');
      const report = await bench.sync({ publishIncomplete: true });
      expect(report).toMatchObject({ published: true, problemCount: 1 });
      const [problem] = report.problems;
      expect(problem).toMatchObject({ path: second, code: 'path-forbidden' });
      expect(problem?.message).toContain(objectOf(second));
      expect(problem?.message).toContain(named);
      expect((await readdir(path.join(bench.directory, 'targets'), { recursive: true })).join(' ')).toContain(
        sha256Hex('q/other'),
      );

      await accept(repository, [{ op: 'remove', path: second }]);
      await publishAll(repository);
      expect(await bench.sync()).toMatchObject({ problemCount: 0 });
      repository.clock.advance(GRACE_MS + 1);
      await bench.sync();
      await bench.expectSound();
      expect(await (await openFileLargeObjects(bench.directory)).size(objectOf(first))).toBe(first.length);
    },
  );
});

test('a server with another answer than 404 for the retention that it does not promise is mirrored', async () => {
  const repository = await foundRepository();
  await publishPaths(repository, ['p/file']);
  const bench = await mirrorBench(repository);
  bench.upstream.tamper = (name, honest) => {
    if (!name.endsWith('retention.json')) return honest;
    throw new CountersignError('store-unavailable', `${name}: answers 400`);
  };
  expect(await bench.sync()).toMatchObject({ published: true, problemCount: 0 });
});

test('a sync that is ended begins no further file, also of a role in hand', async () => {
  const repository = await foundRepository({ bins: 2 });
  await publishPaths(
    repository,
    Array.from({ length: 60 }, (_, index) => `p/${index}`),
  );
  const bench = await mirrorBench(repository);
  const ending = new AbortController();
  const asked = (): number => bench.upstream.requests.filter((name) => name.startsWith('targets/')).length;
  bench.upstream.tamper = (name, honest) => {
    if (name.startsWith('targets/')) ending.abort();
    return honest;
  };
  expect(await codeOf(bench.sync({ signal: ending.signal }))).toBe('interrupted');
  // As many as were in hand.
  expect(asked()).toBeLessThanOrEqual(4);
  bench.upstream.tamper = (_name, honest) => honest;
  expect(await bench.sync()).toMatchObject({ published: true, filesStored: 60 });
});

async function faultsOf({ directory }: Bench, rootBytes: Uint8Array, now: number): Promise<Fault[]> {
  const files = await ReadDirectory.open(directory);
  const faults: Fault[] = [];
  await verifyCopy({
    metadata: files,
    rootBytes,
    clock: { now: () => now, sleep: () => Promise.resolve() },
    targets: { files, objects: targetObjects },
    complete: true,
    progress: () => undefined,
    fault: (fault) => faults.push(fault),
  });
  return faults;
}

test('verify: a bin in the place of another of the same version, which the same key has signed', async () => {
  const repository = await foundRepository();
  await publishPaths(repository, ['p/first', 'p/second']);
  const bench = await mirrorBench(repository);
  await bench.sync();
  const now = repository.clock.now();
  expect(await faultsOf(bench, repository.rootBytes, now)).toEqual([]);
  const folder = path.join(bench.directory, 'metadata');
  const bins = (await readdir(folder)).filter((name) => name.startsWith('2.bin-')).sort();
  const [one = '', two = ''] = bins;
  expect(bins).toHaveLength(2);
  await rename(path.join(folder, one), path.join(folder, 'x'));
  await rename(path.join(folder, two), path.join(folder, one));
  await rename(path.join(folder, 'x'), path.join(folder, two));
  const faults = await faultsOf(bench, repository.rootBytes, now);
  expect(faults.map(({ name }) => name).sort()).toEqual([`metadata/${one}`, `metadata/${two}`]);
});

test('verify: an older root that leads nowhere, although whoever verifies began with a newer one', async () => {
  const repository = new HostileRepository();
  repository.publishRoot(2);
  repository.publishRoot(3);
  const directory = await tempDir();
  await mkdir(path.join(directory, 'metadata'));
  const write = (name: string, bytes: Uint8Array): Promise<void> =>
    writeFile(path.join(directory, 'metadata', name), bytes);
  for (const [url, bytes] of repository.served) await write(path.basename(url), bytes);
  const faults = async (): Promise<string[]> => {
    const found: Fault[] = [];
    await verifyCopy({
      metadata: await ReadDirectory.open(directory),
      rootBytes: repository.at('3.root.json'),
      clock: repository.clock,
      complete: true,
      progress: () => undefined,
      fault: (fault) => found.push(fault),
    });
    return found.map(({ name, code }) => `${name} ${code}`);
  };
  expect(await faults()).toEqual([]);
  await write('2.root.json', repository.at('1.root.json'));
  expect(await faults()).toEqual(['metadata/2.root.json metadata-invalid']);
  await write('2.root.json', Buffer.from('{}'));
  await write('1.root.json', Buffer.alloc(0));
  // What lies before a root that is none cannot be told.
  expect(await faults()).toEqual(['metadata/2.root.json metadata-invalid']);
});

describe('a place that cannot take a file leaves no answer unread', () => {
  test('of the mirror', async () => {
    let asked = 0;
    const upstream = new Upstream({
      fetcher: {
        get: () => {
          asked += 1;
          return Promise.resolve(undefined);
        },
      },
      clock: { now: () => 0, sleep: () => Promise.resolve() },
      random: () => 0,
      metadataUrl: 'mem:/metadata',
      targetBaseUrl: 'mem:/targets',
    });
    const directory = await tempDir();
    const files = await openFileLargeObjects(directory);
    await writeFile(path.join(directory, 'targets'), 'in the way');
    const target = { path: 'p/file', length: 6, hashes: new Map([['sha256', sha256Hex('p/file')]]) };
    const taken = upstream.target(target, (body) => files.write(objectOf('p/file'), 6, body));
    expect(await codeOf(taken)).toBe('path-forbidden');
    expect(asked).toBe(0);
  });

  test('of a download: its file is open before anything is asked for', async () => {
    const directory = await tempDir();
    const there: string[] = [];
    const fetcher = {
      get: async () => {
        there.push(...(await readdir(directory, { recursive: true })));
        return undefined;
      },
    };
    const target = { path: 'p/file', length: 6, hashes: new Map([['sha256', sha256Hex('p/file')]]) };
    const plan = { fetcher, baseUrl: 'mem:/', consistentSnapshot: true, directory };
    expect(await codeOf(downloadTarget(target, plan))).toBe('not-found');
    expect(there.some((name) => name.endsWith('/partial'))).toBe(true);
    expect(await readdir(directory)).toEqual([]);
  });
});
