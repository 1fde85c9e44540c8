// A mirror of repositories that are not of countersign's form: what the specification allows them to change must come
// through. The judge is a client that knows nothing but a root and the mirror's directory.
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { expect, test } from 'vitest';
import { targetObjects } from '../../src/client/mirror/object-names.ts';
import { verifyCopy } from '../../src/client/mirror/verify.ts';
import { sha256Hex } from '../../src/lib/bytes.ts';
import { ReadDirectory } from '../../src/storage/read-directory.ts';
import type { ObjectStore } from '../../src/storage/store.ts';
import { HostileRepository, makeKey, targetEntry, type Fields } from '../support/hostile-repository.ts';
import { mirrorBench, type Bench } from '../support/mirror-bench.ts';

const key = makeKey();

/** The contents of target files are their paths. */
async function benchOf(repository: HostileRepository): Promise<Bench> {
  const get: ObjectStore['get'] = (name) => {
    const bytes = repository.served.get(`mem:/${name}`);
    return Promise.resolve(bytes && { bytes, token: '' as never });
  };
  const { clock } = repository;
  return mirrorBench({
    store: { get } as unknown as ObjectStore,
    clock,
    rootBytes: Buffer.from(repository.at('1.root.json')),
  });
}

/** What is wrong with what the mirror shows. */
async function faultsOf(bench: Bench, repository: HostileRepository): Promise<unknown[]> {
  const copy = await ReadDirectory.open(bench.directory);
  const faults: unknown[] = [];
  await verifyCopy({
    metadata: copy,
    rootBytes: repository.at('1.root.json'),
    clock: repository.clock,
    targets: { files: copy, objects: targetObjects },
    complete: true,
    progress: () => undefined,
    fault: (fault) => faults.push(fault),
  });
  return faults;
}

function delegationOf(paths: readonly string[]): Fields {
  const role = { name: 'team', keyids: [key.id], threshold: 1, terminating: false, paths };
  return { delegations: { keys: { [key.id]: key.public }, roles: [role] } };
}

test('a role that is delegated more paths than before: its files there are fetched too', async () => {
  const repository = new HostileRepository();
  const targets = { 'a/file': targetEntry('a/file'), 'b/file': targetEntry('b/file') };
  repository.serve('1.team.json', repository.file('targets', 1, { targets }, [key]));
  repository.publishTargets(2, delegationOf(['a/*']));
  repository.publishOnline(2, { 'targets.json': { version: 2 }, 'team.json': { version: 1 } });
  const bench = await benchOf(repository);
  expect(await bench.sync()).toMatchObject({ filesStored: 1 });
  expect(await faultsOf(bench, repository)).toEqual([]);

  repository.publishTargets(3, delegationOf(['a/*', 'b/*']));
  repository.publishOnline(3, { 'targets.json': { version: 3 }, 'team.json': { version: 1 } });
  expect(await bench.sync()).toMatchObject({ filesStored: 1 });
  expect(await faultsOf(bench, repository)).toEqual([]);
});

test('a role that is delegated more paths, and has a new version: the same', async () => {
  const repository = new HostileRepository();
  const targets = { 'a/file': targetEntry('a/file'), 'b/file': targetEntry('b/file') };
  repository.serve('1.team.json', repository.file('targets', 1, { targets }, [key]));
  repository.serve('2.team.json', repository.file('targets', 2, { targets }, [key]));
  repository.publishTargets(2, delegationOf(['a/*']));
  repository.publishOnline(2, { 'targets.json': { version: 2 }, 'team.json': { version: 1 } });
  const bench = await benchOf(repository);
  await bench.sync();

  repository.publishTargets(3, delegationOf(['a/*', 'b/*']));
  repository.publishOnline(3, { 'targets.json': { version: 3 }, 'team.json': { version: 2 } });
  expect(await bench.sync()).toMatchObject({ filesStored: 1 });
  expect(await faultsOf(bench, repository)).toEqual([]);
});

test('a role that was signed again under its version: snapshot says by a hash which file it is', async () => {
  const repository = new HostileRepository();
  const publish = (version: number, path: string): void => {
    const bytes = repository.file('targets', 1, { targets: { [path]: targetEntry(path) } }, [key]);
    repository.serve('1.team.json', bytes);
    repository.publishTargets(version, delegationOf(['*']));
    const hashes = { sha256: sha256Hex(bytes) };
    repository.publishOnline(version, {
      'targets.json': { version },
      'team.json': { version: 1, length: bytes.length, hashes },
    });
  };
  publish(2, 'first');
  const bench = await benchOf(repository);
  await bench.sync();
  // What was compared once is not compared again.
  await bench.sync();
  expect(await faultsOf(bench, repository)).toEqual([]);
  publish(3, 'second');
  await bench.sync();
  expect(await faultsOf(bench, repository)).toEqual([]);
});

test('an older root that a power cut left empty in the state is fetched again', async () => {
  const repository = new HostileRepository();
  repository.publishRoot(2);
  const bench = await benchOf(repository);
  await bench.sync();
  await writeFile(path.join(bench.directory, '.mirror', 'trusted', '1.root.json'), '');
  expect(await bench.sync()).toMatchObject({ published: false });
  repository.publishRoot(3);
  await bench.sync();
  expect(await faultsOf(bench, repository)).toEqual([]);
});
