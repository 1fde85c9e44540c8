// The client against a repository of any form: each clause of TUF 5.2 to 5.6 with an attack that this clause stops, and
// what is trusted after the attack.
import { beforeEach, describe, expect, test } from 'vitest';
import { Updater } from '../../src/client/updater.ts';
import { sha256Hex } from '../../src/lib/bytes.ts';
import type { ErrorCode } from '../../src/lib/errors.ts';
import { MAX_METADATA_BYTES, MAX_ROOT_ROTATIONS } from '../../src/tuf/metadata-limits.ts';
import { DAY, HostileRepository, isoTime, makeKey, START, type Fields } from '../support/hostile-repository.ts';

let repository: HostileRepository;
let client: Updater;

beforeEach(async () => {
  repository = new HostileRepository();
  client = await repository.client();
});

function refusal(code: ErrorCode, message: RegExp | string = ''): unknown {
  return expect.objectContaining({ code, message: expect.stringMatching(message) as string });
}

function trustedVersion(role: string): number | undefined {
  const bytes = repository.store.files.get(`${role}.json`);
  if (bytes === undefined) return undefined;
  return (JSON.parse(Buffer.from(bytes).toString()) as { signed: { version: number } }).signed.version;
}

const TARGETS_1: Fields = { 'targets.json': { version: 1 } };

test('5.4.5, 5.5.7, 5.6.6: a whole update asks for what it needs, in order, and keeps it for the next one', async () => {
  expect(await client.refresh()).toEqual({ root: 1, timestamp: 1, snapshot: 1, targets: 1 });
  const names = (): string[] => repository.requests.splice(0).map((url) => url.slice('mem:/metadata/'.length));
  expect(names()).toEqual(['2.root.json', 'timestamp.json', '1.snapshot.json', '1.targets.json']);
  const kept = Object.fromEntries(repository.store.files);
  expect(kept).toEqual({
    'root.json': repository.at('1.root.json'),
    'timestamp.json': repository.at('timestamp.json'),
    'snapshot.json': repository.at('1.snapshot.json'),
    'targets.json': repository.at('1.targets.json'),
  });
  await repository.updater().refresh();
  expect(names()).toEqual(['2.root.json', 'timestamp.json']);
});

test('5: whatever was refused, the client updates when the repository is sound again', async () => {
  const sound = new Map(repository.served);
  for (const name of ['2.root.json', 'timestamp.json', '1.snapshot.json', '1.targets.json']) {
    repository.serve(name, Buffer.from('{"signed":{},"signatures":[]}'));
    await expect(client.refresh()).rejects.toEqual(refusal('metadata-invalid'));
    repository.served.clear();
    for (const [url, bytes] of sound) repository.served.set(url, bytes);
  }
  expect(await client.refresh()).toEqual({ root: 1, timestamp: 1, snapshot: 1, targets: 1 });
});

test('5.1: what is valid when an update begins is valid until it ends', async () => {
  const get = repository.fetcher.get.bind(repository.fetcher);
  repository.clock.advance(30 * DAY - 1);
  const slow = new Updater({
    store: repository.store,
    clock: repository.clock,
    metadataUrl: 'mem:/metadata',
    fetcher: {
      get: (url, maxBytes) => {
        repository.clock.advance(DAY);
        return get(url, maxBytes);
      },
    },
  });
  expect(await slow.refresh()).toMatchObject({ targets: 1 });
  await expect(slow.refresh()).rejects.toEqual(refusal('metadata-expired', 'role root'));
});

describe('root', () => {
  test('5.2: without a root, or with one that its own keys did not sign, nothing is asked for', async () => {
    repository.store.files.delete('root.json');
    await expect(client.refresh()).rejects.toEqual(refusal('metadata-missing', 'not initialised'));
    repository.publishRoot(1, {}, [repository.keys.root[0]!]);
    await expect(Updater.init(repository.store, repository.at('1.root.json'))).rejects.toEqual(
      refusal('signature-invalid', '1 of 2'),
    );
    repository.store.files.set('root.json', repository.at('1.root.json'));
    await expect(client.refresh()).rejects.toEqual(refusal('signature-invalid'));
    expect(repository.requests).toEqual([]);
  });

  test('5.2: init never replaces the root that is trusted', async () => {
    await expect(Updater.init(repository.store, new HostileRepository().at('1.root.json'))).rejects.toEqual(
      refusal('file-exists'),
    );
  });

  test('5.3.1, 5.3.2, 5.3.9: one root after another from the one on disk, never past a gap', async () => {
    for (const version of [2, 3, 5]) {
      const old = repository.keys.root;
      repository.keys.root = [makeKey(), makeKey()];
      repository.publishRoot(version, {}, [...old, ...repository.keys.root]);
    }
    expect(await client.refresh()).toMatchObject({ root: 3 });
    const asked = (): string[] =>
      repository.requests.splice(0).flatMap((url) => /\d+(?=\.root\.json$)/.exec(url)?.[0] ?? []);
    expect(asked()).toEqual(['2', '3', '4']);
    expect(await repository.updater().refresh()).toMatchObject({ root: 3 });
    expect(asked()).toEqual(['4']);
  });

  test('5.3.3: a root ends at its limit of bytes', async () => {
    repository.serve('2.root.json', Buffer.alloc(MAX_METADATA_BYTES.root + 1, 0x20));
    await expect(client.refresh()).rejects.toEqual(refusal('metadata-too-large', '512000'));
    expect(trustedVersion('root')).toBe(1);
  });

  test('5.3.3: an update follows so many roots and no more; the next one goes on', async () => {
    for (let version = 2; version <= MAX_ROOT_ROTATIONS + 3; version++) repository.publishRoot(version);
    expect(await client.refresh()).toMatchObject({ root: MAX_ROOT_ROTATIONS + 1 });
    expect(repository.requests).not.toContain(`mem:/metadata/${MAX_ROOT_ROTATIONS + 2}.root.json`);
    expect(await client.refresh()).toMatchObject({ root: MAX_ROOT_ROTATIONS + 3 });
  });

  test('5.3.4: a threshold of the old keys and one of the new', async () => {
    const old = repository.keys.root;
    repository.keys.root = [makeKey(), makeKey()];
    repository.publishRoot(2);
    await expect(client.refresh()).rejects.toEqual(refusal('signature-invalid', '0 of 2'));
    repository.publishRoot(2, {}, old);
    await expect(client.refresh()).rejects.toEqual(refusal('signature-invalid', '0 of 2'));
    expect(trustedVersion('root')).toBe(1);
    repository.publishRoot(2, {}, [...old, ...repository.keys.root]);
    expect(await client.refresh()).toMatchObject({ root: 2 });
  });

  test('4.2.1: one key under two ids counts once', async () => {
    const [first] = repository.keys.root;
    const twin = { ...first!, id: 'another-name' };
    repository.keys.root = [first!, twin];
    repository.publishRoot(1);
    await expect(Updater.init(repository.store, repository.at('1.root.json'))).rejects.toEqual(
      refusal('signature-invalid', '1 of 2'),
    );
  });

  test('5.3.5: the version is one more, whatever the name of the file says', async () => {
    for (const version of [1, 3]) {
      const bytes = repository.file('root', version, JSON.parse(rootFields()) as Fields, repository.keys.root);
      repository.serve('2.root.json', bytes);
      await expect(client.refresh()).rejects.toEqual(refusal('metadata-invalid', 'expected version 2'));
    }
    expect(trustedVersion('root')).toBe(1);
  });

  test('5.3.6: a root on the way may have expired', async () => {
    repository.publishRoot(2, { expires: isoTime(START) });
    repository.publishRoot(3);
    expect(await client.refresh()).toMatchObject({ root: 3 });
  });

  test('5.3.7: the keys of the new root count at once', async () => {
    await client.refresh();
    repository.keys.timestamp = [makeKey()];
    repository.publishRoot(2);
    await expect(client.refresh()).rejects.toEqual(refusal('signature-invalid', 'role timestamp'));
    repository.publishTimestamp(2, { version: 1 });
    expect(await client.refresh()).toMatchObject({ root: 2, timestamp: 2 });
  });

  test('5.3.8, 5.3.10: an expired last root is kept, and nothing behind it is asked for', async () => {
    repository.publishRoot(2, { expires: isoTime(START) });
    await expect(client.refresh()).rejects.toEqual(refusal('metadata-expired', 'role root expired'));
    expect(trustedVersion('root')).toBe(2);
    expect(repository.requests.at(-1)).toMatch(/3\.root\.json$/);
    repository.publishRoot(3);
    expect(await client.refresh()).toMatchObject({ root: 3 });
  });

  test('5.3.11: a revoked online key takes its versions with it; an added key does not', async () => {
    repository.publishOnline(1_000_000, TARGETS_1);
    await client.refresh();
    repository.keys.timestamp.push(makeKey());
    repository.publishRoot(2);
    repository.publishOnline(2, TARGETS_1);
    await expect(client.refresh()).rejects.toEqual(refusal('version-rollback'));
    repository.keys.timestamp = [makeKey()];
    repository.keys.snapshot = [makeKey()];
    repository.publishRoot(3);
    repository.publishOnline(2, TARGETS_1);
    expect(await client.refresh()).toMatchObject({ root: 3, timestamp: 2, snapshot: 2 });
  });

  test('5.3.11: the versions go before the root that revokes is kept, so that no crash falls in between', async () => {
    await client.refresh();
    repository.keys.snapshot = [makeKey()];
    repository.publishRoot(2);
    const exchange = repository.store.exchange.bind(repository.store);
    repository.store.exchange = (name, expected, next) =>
      name === 'root.json' ? Promise.reject(new Error('killed')) : exchange(name, expected, next);
    await expect(client.refresh()).rejects.toThrow('killed');
    expect([...repository.store.files.keys()]).toEqual(['root.json', 'targets.json']);
    expect(trustedVersion('root')).toBe(1);
  });

  test('5.3.12: the trusted root says whether names carry versions, from this update on', async () => {
    repository.serve('snapshot.json', repository.at('1.snapshot.json'));
    repository.serve('targets.json', repository.at('1.targets.json'));
    repository.publishRoot(2, { consistent_snapshot: false });
    await client.refresh();
    expect(client.consistentSnapshot).toBe(false);
    const names = repository.requests.map((url) => url.slice('mem:/metadata/'.length));
    expect(names.slice(2)).toEqual(['timestamp.json', 'snapshot.json', 'targets.json']);
  });

  function rootFields(): string {
    const { signed } = JSON.parse(Buffer.from(repository.at('1.root.json')).toString()) as { signed: Fields };
    const { consistent_snapshot, keys, roles } = signed;
    return JSON.stringify({ consistent_snapshot, keys, roles });
  }
});

describe('timestamp', () => {
  test('5.4.1: no more than its limit is read', async () => {
    repository.serve('timestamp.json', Buffer.alloc(16_385, 0x20));
    await expect(client.refresh()).rejects.toEqual(refusal('metadata-too-large', '16384'));
  });

  test('5.4.2: signed by its own key, and a timestamp by its type', async () => {
    repository.publishTimestamp(2, { version: 1 }, {}, repository.keys.snapshot);
    await expect(client.refresh()).rejects.toEqual(refusal('signature-invalid', 'timestamp'));
    const fields = { meta: { 'snapshot.json': { version: 1 } } };
    repository.serve('timestamp.json', repository.file('snapshot', 2, fields, repository.keys.timestamp));
    await expect(client.refresh()).rejects.toEqual(refusal('metadata-invalid', '_type is "snapshot"'));
    expect(trustedVersion('timestamp')).toBeUndefined();
  });

  test('5.4.3.1, 5.4.3.2: neither it nor the snapshot it names goes back; the same version changes nothing', async () => {
    repository.publishOnline(5, TARGETS_1);
    await client.refresh();
    repository.publishTimestamp(4, { version: 5 });
    await expect(client.refresh()).rejects.toEqual(refusal('version-rollback', 'version 4 of timestamp'));
    repository.publishTimestamp(6, { version: 4 });
    await expect(client.refresh()).rejects.toEqual(refusal('version-rollback', 'version 4 of snapshot'));
    repository.publishTimestamp(5, { version: 99 });
    expect(await client.refresh()).toMatchObject({ timestamp: 5, snapshot: 5 });
    expect(trustedVersion('timestamp')).toBe(5);
  });

  test('5.4.4: a frozen mirror is noticed when its timestamp has expired', async () => {
    await client.refresh();
    repository.clock.advance(30 * DAY - 1);
    await client.refresh();
    repository.clock.advance(1);
    repository.publishRoot(2, { expires: isoTime(START + 60 * DAY) });
    await expect(client.refresh()).rejects.toEqual(refusal('metadata-expired', 'role timestamp'));
  });

  test('5.4.4, 5.4.5: an expired new one is not kept', async () => {
    await client.refresh();
    repository.publishTimestamp(2, { version: 1 }, { expires: isoTime(START) });
    await expect(client.refresh()).rejects.toEqual(refusal('metadata-expired'));
    expect(trustedVersion('timestamp')).toBe(1);
  });
});

describe('snapshot', () => {
  test('5.5.1: no more is read than timestamp says, or than a limit of our own', async () => {
    repository.serve('2.snapshot.json', Buffer.alloc(101, 0x20));
    repository.publishTimestamp(2, { version: 2, length: 100 });
    await expect(client.refresh()).rejects.toEqual(refusal('metadata-too-large', '100 bytes'));
    repository.serve('3.snapshot.json', Buffer.alloc(MAX_METADATA_BYTES.snapshot + 1, 0x20));
    repository.publishTimestamp(3, { version: 3 });
    await expect(client.refresh()).rejects.toEqual(refusal('metadata-too-large', '2000000 bytes'));
    repository.publishTimestamp(4, { version: 3, length: Number.MAX_SAFE_INTEGER });
    await expect(client.refresh()).rejects.toEqual(refusal('length-or-hash-mismatch'));
  });

  test('5.5.2: length and every known hash, of several', async () => {
    const bytes = repository.at('1.snapshot.json');
    const wrong = [
      { version: 1, length: bytes.length + 1 },
      { version: 1, hashes: { sha256: '0'.repeat(64) } },
      { version: 1, hashes: { sha256: sha256Hex(bytes), sha512: '0'.repeat(128) } },
    ];
    for (const [index, reference] of wrong.entries()) {
      repository.publishTimestamp(index + 2, reference);
      await expect(client.refresh()).rejects.toEqual(refusal('length-or-hash-mismatch', 'snapshot has'));
    }
    repository.publishTimestamp(7, { version: 1, hashes: { md5: '0'.repeat(32) } });
    await expect(client.refresh()).rejects.toEqual(refusal('metadata-invalid', 'md5'));
    const hashes = { sha256: sha256Hex(bytes), md5: '0'.repeat(32) };
    repository.publishTimestamp(8, { version: 1, length: bytes.length, hashes });
    expect(await client.refresh()).toMatchObject({ timestamp: 8, snapshot: 1 });
  });

  test('5.5.3, 5.5.4: signed by its key, of the version that timestamp names', async () => {
    repository.publishSnapshot(2, TARGETS_1, {}, repository.keys.timestamp);
    repository.publishTimestamp(2, { version: 2 });
    await expect(client.refresh()).rejects.toEqual(refusal('signature-invalid', 'snapshot'));
    repository.publishSnapshot(3, TARGETS_1);
    repository.serve('2.snapshot.json', repository.at('3.snapshot.json'));
    await expect(client.refresh()).rejects.toEqual(refusal('metadata-invalid', 'version 3, expected version 2'));
    expect(trustedVersion('timestamp')).toBe(2);
    expect(trustedVersion('snapshot')).toBeUndefined();
  });

  test('5.5.5: no role goes back, and none leaves', async () => {
    repository.publishOnline(2, { ...TARGETS_1, 'a/b.json': { version: 7 } });
    await client.refresh();
    repository.publishOnline(3, { ...TARGETS_1, 'a/b.json': { version: 6 } });
    await expect(client.refresh()).rejects.toEqual(refusal('version-rollback', 'version 6 of "a/b" in snapshot'));
    repository.publishOnline(4, TARGETS_1);
    await expect(client.refresh()).rejects.toEqual(refusal('version-rollback', '"a/b" has left'));
    expect(trustedVersion('snapshot')).toBe(2);
    repository.publishOnline(5, { ...TARGETS_1, 'a/b.json': { version: 7 }, 'c.json': { version: 1 } });
    expect(await client.refresh()).toMatchObject({ snapshot: 5 });
  });

  test('5.5.6: not expired', async () => {
    repository.publishSnapshot(2, TARGETS_1, { expires: isoTime(START) });
    repository.publishTimestamp(2, { version: 2 });
    await expect(client.refresh()).rejects.toEqual(refusal('metadata-expired', 'role snapshot'));
    expect(trustedVersion('snapshot')).toBeUndefined();
  });
});

describe('targets', () => {
  test('5.6.1: no more is read than snapshot says, or than a limit of our own', async () => {
    repository.serve('2.targets.json', Buffer.alloc(MAX_METADATA_BYTES.targets + 1, 0x20));
    repository.publishOnline(2, { 'targets.json': { version: 2 } });
    await expect(client.refresh()).rejects.toEqual(refusal('metadata-too-large', '5000000 bytes'));
    repository.publishOnline(3, { 'targets.json': { version: 2, length: 100 } });
    await expect(client.refresh()).rejects.toEqual(refusal('metadata-too-large', '100 bytes'));
  });

  test.each<[string, ErrorCode, (it: HostileRepository) => void]>([
    ['5.6.2', 'length-or-hash-mismatch', (it) => {
      it.publishOnline(2, { 'targets.json': { version: 1, hashes: { sha256: '0'.repeat(64) } } });
    }],
    ['5.6.3', 'signature-invalid', (it) => {
      it.publishTargets(1, {}, it.keys.snapshot);
    }],
    ['5.6.4', 'metadata-invalid', (it) => {
      it.publishTargets(2);
      it.serve('1.targets.json', it.at('2.targets.json'));
    }],
    ['5.6.5', 'metadata-expired', (it) => {
      it.publishTargets(1, { expires: isoTime(START) });
    }],
    ['a file that is not there', 'metadata-missing', (it) => {
      it.served.delete('mem:/metadata/1.targets.json');
    }],
  ])('%s', async (_, code, attack) => {
    attack(repository);
    await expect(client.refresh()).rejects.toEqual(refusal(code));
    expect(trustedVersion('snapshot')).toBeGreaterThan(0);
    expect(trustedVersion('targets')).toBeUndefined();
  });
});

test.each(['timestamp', 'snapshot', 'targets'])('a damaged %s on disk is fetched again', async (role) => {
  await client.refresh();
  const sound = repository.store.files.get(`${role}.json`);
  repository.store.files.set(`${role}.json`, Buffer.from('{"signed":'));
  expect(await repository.updater().refresh()).toEqual({ root: 1, timestamp: 1, snapshot: 1, targets: 1 });
  expect(repository.store.files.get(`${role}.json`)).toEqual(sound);
});

test('another process that updates meanwhile is not undone', async () => {
  const slow = repository.updater();
  const read = repository.store.read.bind(repository.store);
  let overtaken = false;
  repository.store.read = async (name) => {
    const bytes = await read(name);
    if (name === 'timestamp.json' && !overtaken) {
      overtaken = true;
      repository.publishOnline(9, TARGETS_1);
      await client.refresh();
      repository.publishOnline(2, TARGETS_1);
    }
    return bytes;
  };
  await expect(slow.refresh()).rejects.toEqual(refusal('version-rollback', 'version 2 of timestamp'));
  expect(trustedVersion('timestamp')).toBe(9);
});
