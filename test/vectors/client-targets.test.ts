// Delegations and target files (TUF 5.6.7, 5.7, TAP 15): what is found, what is refused, and what is left on disk.
import { readdir, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { signatures } from '../../scripts/interop/attacks/test-keys.ts';
import { matchesPattern } from '../../src/client/roles/path-pattern.ts';
import { downloadTarget, targetFileName, targetUrl } from '../../src/client/target-download.ts';
import { Updater } from '../../src/client/updater.ts';
import { MAX_VISITED_ROLES } from '../../src/client/delegation-search.ts';
import { readOwnBin, readTargets } from '../../src/client/roles/targets-file.ts';
import { sha256Hex } from '../../src/lib/bytes.ts';
import { BinLayout } from '../../src/tuf/bins.ts';
import { canonicalJson, type Canonicalizable } from '../../src/tuf/canonical-json.ts';
import { HostileRepository, makeKey, targetEntry, type Fields, type TestKey } from '../support/hostile-repository.ts';
import { foundRepository, publishPaths } from '../support/repository.ts';
import { MemoryMetadata } from '../support/hostile-repository.ts';
import { tempDir } from '../support/temp-dir.ts';

const key = makeKey();

function delegation(name: string, more: Fields = { paths: ['*'] }, signer: TestKey = key): Fields {
  return { name, keyids: [signer.id], threshold: 1, terminating: false, ...more };
}

function delegations(...roles: Fields[]): Fields {
  return { delegations: { keys: { [key.id]: key.public }, roles } };
}

/** A repository whose roles are `roles`, all signed by the one key. */
function repositoryOf(roles: Readonly<Record<string, Fields>>): HostileRepository {
  const repository = new HostileRepository();
  const meta: Fields = {};
  for (const [name, fields] of Object.entries(roles)) {
    meta[`${name}.json`] = { version: 1 };
    if (name === 'targets') repository.publishTargets(1, fields);
    else {
      const bytes = repository.file('targets', 1, { targets: {}, ...fields }, [key]);
      repository.serve(`1.${encodeURIComponent(name)}.json`, bytes);
    }
  }
  repository.publishOnline(2, meta);
  return repository;
}

async function visits(repository: HostileRepository, name: string): Promise<string[]> {
  const client = await repository.client();
  await client.refresh();
  repository.requests.length = 0;
  expect(await client.find(name)).toBeUndefined();
  return repository.requests.map((url) => decodeURIComponent(/1\.(.*)\.json$/.exec(url)?.[1] ?? url));
}

describe('5.6.7: search', () => {
  test('5.6.7.1, 5.6.7.2: pre-order, depth first, each role once, cycles end', async () => {
    const repository = repositoryOf({
      targets: delegations(delegation('a'), delegation('b')),
      a: delegations(delegation('c'), delegation('d')),
      b: {},
      c: delegations(delegation('a'), delegation('d')),
      d: delegations(delegation('c')),
    });
    expect(await visits(repository, 'x')).toEqual(['a', 'c', 'd', 'b']);
  });

  test('5.6.7.2.1: nothing behind a terminating delegation is asked', async () => {
    const repository = repositoryOf({
      targets: delegations(delegation('a'), delegation('b')),
      a: delegations(delegation('c', { paths: ['*'], terminating: true }), delegation('b')),
      b: {},
      c: {},
    });
    expect(await visits(repository, 'x')).toEqual(['a', 'c']);
  });

  test('5.6.7.1: it ends at a number of roles, however they are nested', async () => {
    const names = Array.from({ length: MAX_VISITED_ROLES + 1 }, (_, index) => `r${index}`);
    const roles: Record<string, Fields> = { targets: delegations(delegation('r0')) };
    names.forEach((name, index) => {
      roles[name] = index === MAX_VISITED_ROLES ? {} : delegations(delegation(`r${index + 1}`));
    });
    const client = await repositoryOf(roles).client();
    await expect(client.find('x')).rejects.toMatchObject({ code: 'too-many-delegations' });
  });

  test('5.6.7.2.2: the first role that knows the path answers, and no later one is asked', async () => {
    const repository = repositoryOf({
      targets: delegations(delegation('a'), delegation('b'), delegation('c')),
      a: {},
      b: { targets: { x: targetEntry('first') } },
      c: { targets: { x: targetEntry('second, longer') } },
    });
    const client = await repository.client();
    expect(await client.find('x')).toMatchObject({ length: 'first'.length });
    expect(repository.requests.filter((url) => url.endsWith('/1.c.json'))).toEqual([]);
  });

  test('5.6.7: a role on the way that is missing or does not verify ends the search, whatever comes after', async () => {
    const answer = { targets: { x: targetEntry('x') } };
    const table = { targets: delegations(delegation('a'), delegation('b')), b: answer };
    const missing = repositoryOf({ ...table, a: {} });
    missing.served.delete('mem:/metadata/1.a.json');
    await expect((await missing.client()).find('x')).rejects.toMatchObject({ code: 'metadata-missing' });
    const unsigned = repositoryOf({ ...table, a: {} });
    unsigned.serve('1.a.json', unsigned.file('targets', 1, { targets: {} }, [makeKey()]));
    await expect((await unsigned.client()).find('x')).rejects.toMatchObject({ code: 'signature-invalid' });
  });

  test('a role that its own delegator did not empower is refused, though another one vouches for it', async () => {
    const stranger = makeKey();
    const repository = repositoryOf({
      targets: delegations(delegation('a', { paths: ['a/*'] }), delegation('b', { paths: ['b/*'] })),
      a: delegations(delegation('shared')),
      b: {
        delegations: {
          keys: { [stranger.id]: stranger.public },
          roles: [delegation('shared', { paths: ['*/*'] }, stranger)],
        },
      },
      shared: { targets: { 'a/x': targetEntry('x'), 'b/x': targetEntry('y') } },
    });
    repository.serve('1.a.json', repository.file('targets', 1, {
      targets: {},
      ...delegations(delegation('shared', { paths: ['*/*'] })),
    }, [key]));
    const client = await repository.client();
    expect(await client.find('a/x')).toMatchObject({ length: 1 });
    await expect(client.find('b/x')).rejects.toMatchObject({ code: 'signature-invalid' });
  });

  test('a role outside the snapshot, and one that takes the name of a top-level role', async () => {
    const absent = await repositoryOf({ targets: delegations(delegation('ghost')) }).client();
    await expect(absent.find('x')).rejects.toThrow('role ghost is not in the snapshot');
    const usurper = await repositoryOf({ targets: delegations(delegation('root')) }).client();
    await expect(usurper.find('x')).rejects.toMatchObject({ code: 'metadata-invalid' });
  });

  test('a name cannot leave the directory or the URL', async () => {
    const repository = repositoryOf({ targets: delegations(delegation('../../x?y#')), '../../x?y#': {} });
    expect(await visits(repository, 'x')).toEqual(['../../x?y#']);
    expect(repository.requests[0]).toBe('mem:/metadata/1...%2F..%2Fx%3Fy%23.json');
    expect(repository.store.files.has('..%2F..%2Fx%3Fy%23.json')).toBe(true);
  });

  test('hashed bins, as prefixes and succinct, ask one role', async () => {
    const layout = new BinLayout(16);
    const bin = layout.name(layout.indexOf('dir/file'));
    const all = Object.fromEntries(Array.from({ length: 16 }, (_, index) => [layout.name(index), {}]));
    const keys = { [key.id]: key.public };
    const succinct = { bit_length: 4, name_prefix: 'bin', keyids: [key.id], threshold: 1 };
    const roles = Array.from({ length: 16 }, (_, index) =>
      delegation(layout.name(index), { path_hash_prefixes: layout.hashPrefixes(index) }),
    );
    for (const table of [{ succinct_roles: succinct }, { roles }] as Fields[]) {
      expect(await visits(repositoryOf({ targets: { delegations: { keys, ...table } }, ...all }), 'dir/file')).toEqual(
        [bin],
      );
    }
  });
});

test.each([
  ['a/b', 'a/*', true],
  ['a/b/c', 'a/*', false],
  ['a/b', '*', false],
  ['foo-1.tgz', 'foo-?.tgz', true],
  ['foo-10.tgz', 'foo-?.tgz', false],
  ['abcabd', 'a*abd', true],
  ['', '*', true],
  ['b', '[a-c]', true],
  ['d', '[!a-c]', true],
  ['b', '[!a-c]', false],
  ['[', '[', true],
  ['.x', '*', true],
  ['A', 'a', false],
])('4.5: %s against the pattern %s: %s', (name, pattern, expected) => {
  expect(matchesPattern(name, pattern)).toBe(expected);
});

test.each(['plain', 'back\\slash', 'é', '\u{1f4e6}'])('the path %j is the same in every JSON layout', (name) => {
  const repository = new HostileRepository();
  const made = JSON.parse(String(repository.file('targets', 1, {}, [key]))) as { signed: Fields };
  const signed = { ...made.signed, targets: { [name]: targetEntry('x') } };
  const list = JSON.stringify(signatures(signed, [key]));
  const compact = Buffer.from(`{"signed":${canonicalJson(signed as Canonicalizable)},"signatures":${list}}`);
  for (const file of [readTargets('targets', compact), readOwnBin(compact) ?? readTargets('targets', compact)]) {
    expect(file.target(name)).toMatchObject({ path: name, length: 1 });
    expect([...file.targets()].map(({ path }) => path)).toEqual([name]);
  }
});

test('4.5: a pattern of many stars takes no exponential time', () => {
  expect(matchesPattern('a'.repeat(2_000), `${'*a'.repeat(1_000)}b`)).toBe(false);
});

describe('5.7: target files', () => {
  const content = 'wheel '.repeat(1_000);

  async function prepared(): Promise<{
    repository: HostileRepository;
    get: (name?: string) => Promise<string>;
    directory: string;
    url: string;
  }> {
    const repository = repositoryOf({ targets: { targets: { 'd/w.whl': targetEntry(content) } } });
    const client = await repository.client();
    const directory = await tempDir();
    const plan = { fetcher: repository.fetcher, baseUrl: 'mem:/targets', consistentSnapshot: true, directory };
    const target = await client.find('d/w.whl');
    return {
      repository,
      directory,
      url: `mem:/targets/d/${sha256Hex(content)}.w.whl`,
      get: async () => {
        const { file, cached } = await downloadTarget(target!, plan);
        return `${cached ? 'cached ' : ''}${path.basename(file)}`;
      },
    };
  }

  test('5.7.1, 5.7.3: whole and verified, and not a second time', async () => {
    const { repository, get, directory, url } = await prepared();
    repository.served.set(url, Buffer.from(content));
    expect(await get()).toBe('d%2Fw.whl');
    repository.served.clear();
    expect(await get()).toBe('cached d%2Fw.whl');
    expect(await readFile(path.join(directory, 'd%2Fw.whl'), 'utf8')).toBe(content);
    expect(await readdir(directory)).toEqual(['d%2Fw.whl']);
  });

  test.each([
    ['altered', content.replace('w', 'W')],
    ['shorter', content.slice(1)],
    ['longer', `${content}!`],
    ['empty', ''],
  ])('5.7.3: %s is refused, and the file that was there stays', async (_, bad) => {
    const { repository, get, directory, url } = await prepared();
    await writeFile(path.join(directory, 'd%2Fw.whl'), 'an older version');
    repository.served.set(url, Buffer.from(bad));
    await expect(get()).rejects.toMatchObject({ code: 'length-or-hash-mismatch' });
    expect(await readdir(directory)).toEqual(['d%2Fw.whl']);
    expect(await readFile(path.join(directory, 'd%2Fw.whl'), 'utf8')).toBe('an older version');
  });

  test('5.7.2: a target that no role knows is nothing to download', async () => {
    const repository = repositoryOf({ targets: { targets: { 'd/w.whl': targetEntry(content) } } });
    const client = await repository.client();
    expect(await client.find('d/W.whl')).toBeUndefined();
  });

  test('a file that does not exist leaves nothing', async () => {
    const { get, directory } = await prepared();
    await expect(get()).rejects.toMatchObject({ code: 'not-found' });
    expect(await readdir(directory)).toEqual([]);
  });

  test('names', () => {
    expect(targetFileName('../../etc/passwd')).toBe('%2E.%2F..%2Fetc%2Fpasswd');
    expect(targetFileName('.')).toBe('%2E');
    expect(targetFileName('x'.repeat(300))).toHaveLength(64);
    const target = { path: 'a b/c+d', length: 1, hashes: new Map([['sha512', 'ff']]) };
    expect(targetUrl(target, { baseUrl: 'u/', consistentSnapshot: true })).toBe('u/a%20b/ff.c%2Bd');
    expect(targetUrl(target, { baseUrl: 'u', consistentSnapshot: false })).toBe('u/a%20b/c%2Bd');
  });
});

test.each(['succinct', 'prefixes'] as const)('our own repository, %s', async (format) => {
  const repository = await foundRepository({ bins: 16, format });
  await publishPaths(repository, ['simple/a/index.html', 'packages/a-1.whl']);
  const store = new MemoryMetadata();
  await Updater.init(store, repository.rootBytes);
  const fetcher = {
    get: async (url: string, maxBytes: number) => {
      const object = await repository.store.get(url.replace('mem:/', ''), maxBytes);
      return object && (async function* () { await Promise.resolve(); yield object.bytes; })();
    },
  };
  const client = new Updater({ store, fetcher, clock: repository.clock, metadataUrl: 'mem:/metadata' });
  expect(await client.find('packages/a-1.whl')).toMatchObject({
    length: 16,
    hashes: new Map([['sha256', sha256Hex('packages/a-1.whl')]]),
  });
  expect(await client.find('packages/b-1.whl')).toBeUndefined();
  await publishPaths(repository, ['packages/b-1.whl']);
  expect(await client.refresh()).toMatchObject({ snapshot: 3 });
  expect(await client.find('packages/b-1.whl')).toMatchObject({ length: 16 });
});
