// A mirror under its ordinary burdens: what it asks for, what it keeps, what it removes and when, and what it does with a
// store and a state that are not what it left there.
import { chmod, readdir, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { selectionOf, NO_TARGETS } from '../../src/client/mirror/selection.ts';
import { SqliteMirrorJournal } from '../../src/storage/sqlite-mirror-journal.ts';
import type { ObjectStore } from '../../src/storage/store.ts';
import { codeOf, GRACE_MS, mirrorBench, type Bench } from '../support/mirror-bench.ts';
import { accept, foundRepository, publishAll, publishPaths, targetOf } from '../support/repository.ts';

async function names(bench: Bench, prefix: string): Promise<string[]> {
  const found: string[] = [];
  for await (const { name } of (await bench.store()).list(prefix)) found.push(name);
  return found.sort();
}

const files = async (bench: Bench): Promise<string[]> =>
  (await names(bench, 'targets/')).map((name) => name.replace(/[0-9a-f]{64}\./, '')).sort();

describe('what a sync costs', () => {
  test('the first takes everything, the next nothing but what has changed', async () => {
    const repository = await foundRepository({ bins: 64 });
    await publishPaths(repository, ['packages/a-1.0.tar.gz', 'packages/b-1.0.tar.gz']);
    const bench = await mirrorBench(repository);
    const first = await bench.sync();
    expect(first).toMatchObject({ published: true, snapshot: 2, filesStored: 2 });
    await bench.expectSound();
    expect(await files(bench)).toEqual(['targets/packages/a-1.0.tar.gz', 'targets/packages/b-1.0.tar.gz']);

    bench.upstream.take();
    expect(await bench.sync()).toMatchObject({ published: false, rolesTaken: 0 });
    expect(bench.upstream.take().sort()).toEqual([
      'metadata/2.root.json',
      'metadata/retention.json',
      'metadata/timestamp.json',
    ]);

    await publishPaths(repository, ['packages/c-1.0.tar.gz']);
    expect(await bench.sync()).toMatchObject({ published: true, rolesTaken: 1, filesStored: 1 });
    const asked = bench.upstream.take();
    expect(asked.filter((name) => name.includes('bin-'))).toHaveLength(1);
    // Root, timestamp, snapshot, retention, the bin and its file: not one for each of 64 bins.
    expect(asked.length).toBeLessThanOrEqual(6);
    await bench.expectSound();
  });

  test('requests are as many as changed bins, whatever the number of bins', async () => {
    const counts: number[] = [];
    for (const bins of [16, 256]) {
      const repository = await foundRepository({ bins });
      const bench = await mirrorBench(repository);
      await bench.sync({ selection: NO_TARGETS });
      await publishPaths(repository, ['p/one', 'p/two', 'p/three']);
      bench.upstream.take();
      const { rolesTaken } = await bench.sync({ selection: NO_TARGETS });
      counts.push(bench.upstream.take().length - rolesTaken);
    }
    expect(counts[0]).toBe(counts[1]);
  });
});

describe('removal', () => {
  test('what upstream removes stays until the new timestamp is public here and the grace is over', async () => {
    const repository = await foundRepository();
    await publishPaths(repository, ['p/stays', 'p/goes']);
    const bench = await mirrorBench(repository);
    await bench.sync();
    await accept(repository, [{ op: 'remove', path: 'p/goes' }]);
    await publishAll(repository);

    // A sync that is broken off before the timestamp does not start the clock, however long it takes.
    bench.upstream.tamper = (name, honest) => (/\d+\.bin-/.test(name) ? undefined : honest);
    expect(await codeOf(bench.sync())).toBe('metadata-missing');
    repository.clock.advance(2 * GRACE_MS);
    bench.upstream.tamper = (_name, honest) => honest;
    expect((await bench.sync()).removed).toEqual({ metadata: 0, targets: 0 });
    expect(await files(bench)).toEqual(['targets/p/goes', 'targets/p/stays']);

    repository.clock.advance(GRACE_MS + 1);
    expect((await bench.sync()).removed).toMatchObject({ targets: 1 });
    expect(await files(bench)).toEqual(['targets/p/stays']);
    expect((await names(bench, 'metadata/')).filter((name) => name.endsWith('snapshot.json'))).toHaveLength(
      1,
    );
    await bench.expectSound();
  });

  test('a file that comes back within the grace is not removed', async () => {
    const repository = await foundRepository();
    await publishPaths(repository, ['p/file']);
    const bench = await mirrorBench(repository);
    await bench.sync();
    await accept(repository, [{ op: 'remove', path: 'p/file' }], 'gone');
    await publishAll(repository);
    await bench.sync();
    await accept(repository, [{ op: 'add', path: 'p/file', target: targetOf('p/file') }], 'back');
    await publishAll(repository);
    await bench.sync();
    repository.clock.advance(2 * GRACE_MS);
    await bench.sync();
    expect(await files(bench)).toEqual(['targets/p/file']);
  });

  test('a file of a role that was superseded before it was shown does not stay for ever', async () => {
    const repository = await foundRepository();
    const bench = await mirrorBench(repository);
    await bench.sync();
    await publishPaths(repository, ['p/brief']);
    // Everything is taken, and the process ends before the timestamp.
    const store = await bench.store();
    const broken: ObjectStore = {
      get: (name, maxBytes) => store.get(name, maxBytes),
      putImmutable: (name, bytes) => store.putImmutable(name, bytes),
      replace: () => Promise.reject(new Error('power cut')),
      list: (prefix) => store.list(prefix),
      remove: (name) => store.remove(name),
    };
    await expect(bench.sync({ store: broken })).rejects.toThrow('power cut');
    await accept(repository, [{ op: 'remove', path: 'p/brief' }]);
    await publishAll(repository);
    await bench.sync();
    await bench.expectSound();
    repository.clock.advance(GRACE_MS + 1);
    await bench.sync();
    expect(await files(bench)).toEqual([]);
    await bench.expectSound();
  });
});

describe('filters', () => {
  test('metadata are whole, files are those of the selection, also after it has changed', async () => {
    const repository = await foundRepository();
    await publishPaths(repository, [
      'packages/Demo_Project-1.0-py3-none-any.whl',
      'packages/demo-project-1.0.tar.gz',
      'packages/other-2.0.tar.gz',
    ]);
    const bench = await mirrorBench(repository);
    await bench.sync({ selection: selectionOf({ projects: ['demo.project'] }) });
    expect(await files(bench)).toEqual([
      'targets/packages/Demo_Project-1.0-py3-none-any.whl',
      'targets/packages/demo-project-1.0.tar.gz',
    ]);
    await bench.expectSound();

    bench.upstream.take();
    await bench.sync({ selection: selectionOf({ include: ['packages/*.tar.gz'] }) });
    // The one that is there is not fetched again.
    expect(bench.upstream.take().filter((name) => name.startsWith('targets/'))).toHaveLength(1);
    // No new timestamp: what is left out goes with the next one.
    await publishPaths(repository, ['x/y.txt']);
    await bench.sync({ selection: selectionOf({ include: ['packages/*.tar.gz'] }) });
    repository.clock.advance(GRACE_MS + 1);
    await bench.sync({ selection: selectionOf({ include: ['packages/*.tar.gz'] }) });
    expect(await files(bench)).toEqual([
      'targets/packages/demo-project-1.0.tar.gz',
      'targets/packages/other-2.0.tar.gz',
    ]);
  });

  test('files grow too old', async () => {
    const day = 86_400_000;
    const repository = await foundRepository();
    const upload = (name: string, agoMs: number) => ({
      op: 'add' as const,
      path: name,
      target: {
        ...targetOf(name),
        custom: { 'upload-time': new Date(repository.clock.now() - agoMs).toISOString() },
      },
    });
    await accept(repository, [upload('p/old', 100 * day), upload('p/new', day)]);
    await publishAll(repository);
    const bench = await mirrorBench(repository);
    const selection = selectionOf({ youngerThanMs: 90 * day });
    await bench.sync({ selection });
    expect(await files(bench)).toEqual(['targets/p/new']);
  });
});

describe("the mirror's own store is not trusted", () => {
  test('bins that were altered or removed are noticed by the next process and fetched again', async () => {
    const repository = await foundRepository();
    await publishPaths(repository, ['p/one']);
    const bench = await mirrorBench(repository);
    await bench.sync({ selection: NO_TARGETS });
    const [altered = '', removed = ''] = (await readdir(path.join(bench.directory, 'metadata')))
      .filter((name) => name.includes('bin-'))
      .map((name) => path.join(bench.directory, 'metadata', name));
    await chmod(altered, 0o644);
    await writeFile(altered, '{"signed":{},"signatures":[]}');
    await rm(removed);
    bench.upstream.take();
    await bench.sync({ selection: NO_TARGETS });
    expect(bench.upstream.take().filter((name) => name.includes('bin-'))).toHaveLength(2);
    await bench.expectSound();
  });

  test('without its state it verifies what is there, and fetches nothing twice', async () => {
    const repository = await foundRepository();
    await publishPaths(repository, ['p/one', 'p/two']);
    const bench = await mirrorBench(repository);
    await bench.sync();
    await rm(path.join(bench.directory, '.mirror'), { recursive: true });
    bench.upstream.take();
    await bench.sync();
    expect(bench.upstream.take().filter((name) => /bin|targets\//.test(name))).toEqual([]);
    await bench.expectSound();
  });

  test('without its state it still refuses a repository that went back', async () => {
    const repository = await foundRepository();
    const bench = await mirrorBench(repository);
    await bench.sync();
    const old = new Map<string, Uint8Array>();
    for (const name of ['metadata/timestamp.json', 'metadata/1.snapshot.json']) {
      old.set(name, (await repository.store.get(name, 1_000_000))?.bytes ?? Buffer.of());
    }
    await publishPaths(repository, ['p/one']);
    await bench.sync();
    await rm(path.join(bench.directory, '.mirror'), { recursive: true });
    bench.upstream.tamper = (name, honest) => old.get(name) ?? honest;
    expect(await codeOf(bench.sync())).toBe('version-rollback');
    await bench.expectSound();
  });

  test('two mirrors of one directory: the second says so', async () => {
    const repository = await foundRepository();
    const bench = await mirrorBench(repository);
    const held = SqliteMirrorJournal.open(path.join(bench.directory, '.mirror', 'journal.db'));
    expect(await codeOf(bench.sync())).toBe('mirror-locked');
    held.close();
    await bench.sync();
  });

  test('another root, or the directory of another repository, is refused', async () => {
    const repository = await foundRepository();
    const other = await foundRepository({ seed: 2 });
    const bench = await mirrorBench(repository);
    await bench.sync();
    expect(await codeOf(bench.sync({ rootBytes: other.rootBytes }))).toBe('mirror-refused');
    await bench.expectSound();
  });
});
