// Each clause of the client workflow with an attack that only this clause stops.
import { beforeAll, describe, expect, test } from 'vitest';
import type { ErrorCode } from '../../src/lib/errors.ts';
import { BinLayout } from '../../src/tuf/bins.ts';
import { formatExpires } from '../../src/tuf/lifetimes.ts';
import { metadataFile, splitMetadataFile } from '../../src/tuf/metadata-file.ts';
import type { Root, Targets } from '../../src/tuf/metadata.ts';
import { TrustedSet } from '../../src/tuf/trusted-set.ts';
import { checkBinPaths } from '../../src/tuf/verify-roles.ts';
import {
  binFile,
  bundleFiles,
  DAY_MS,
  genesisRepository,
  NOW,
  onlineFiles,
  rootFile,
  signed,
  targetsFile,
  testKey,
  timestampFile,
  type GenesisRepository,
} from '../support/genesis-repository.ts';

let repository: GenesisRepository;
let files: ReturnType<typeof bundleFiles>;
let root: Root;
let targets: Targets;
let bins: Targets;

beforeAll(async () => {
  repository = await genesisRepository();
  files = bundleFiles(repository.bundle);
  root = repository.bundle.roots[0]!.signed;
  targets = repository.bundle.targets.signed;
  bins = repository.bundle.bins.signed;
});

function refusal(code: ErrorCode, message: string | RegExp): unknown {
  return expect.objectContaining({ code, message: expect.stringMatching(message) as string });
}

async function atRoot(now = NOW): Promise<TrustedSet> {
  const set = await TrustedSet.start(files.root, now);
  set.finishRoot();
  return set;
}

async function atSnapshot(versions: Parameters<typeof onlineFiles>[1] = {}): Promise<TrustedSet> {
  const set = await atRoot();
  const online = await onlineFiles(repository, versions);
  await set.updateTimestamp(online.timestamp);
  await set.updateSnapshot(online.snapshot);
  return set;
}

async function atBins(): Promise<TrustedSet> {
  const set = await atSnapshot();
  await set.updateTargets(files.targets);
  await set.updateBins(files.bins);
  return set;
}

test('a whole update ends with a verified bin', async () => {
  const set = await atBins();
  const path = 'simple/a/index.html';
  const index = repository.layout.indexOf(path);
  const bin = await set.verifyBin(index, await binFile([path], 1, NOW + DAY_MS, [repository.online]));
  expect(bin.get(path)?.length).toBe(1);
  expect(set.binDelegation).toMatchObject({ format: 'succinct', threshold: 1 });
  expect(set.binDelegation.layout.count).toBe(4);
});

test('steps out of order are a fault of the caller', async () => {
  const set = await TrustedSet.start(files.root, NOW);
  const { timestamp, snapshot } = await onlineFiles(repository);
  await expect(set.updateTimestamp(timestamp)).rejects.toEqual(refusal('internal', 'at root'));
  set.finishRoot();
  await expect(set.updateRoot(files.root)).rejects.toEqual(refusal('internal', 'at root-final'));
  await expect(set.updateSnapshot(snapshot)).rejects.toEqual(refusal('internal', 'after timestamp'));
  expect(() => set.snapshot).toThrow('snapshot is not trusted yet');
});

describe('root (TUF 5.3)', () => {
  const next = (change: Partial<Root> = {}, keys = repository.root): Promise<Buffer> =>
    rootFile(root, { version: 2, ...change }, keys);

  test('5.2: the first root is signed by its own keys', async () => {
    await expect(TrustedSet.start(await rootFile(root, {}, repository.root.slice(1, 2)), NOW)).rejects.toEqual(
      refusal('signature-invalid', 'role root is signed by 1 of 2 required keys'),
    );
  });

  test('5.3.4: a threshold of the old keys and a threshold of the new ones', async () => {
    const strangers = [await testKey('stranger 0'), await testKey('stranger 1')];
    const keys = new Map([...root.keys, ...strangers.map((key) => [key.keyid, key.publicKey] as const)]);
    const taken = { keyids: strangers.map(({ keyid }) => keyid), threshold: 2 };
    const change = { keys, roles: { ...root.roles, root: taken } };
    const set = await TrustedSet.start(files.root, NOW);
    await expect(set.updateRoot(await next(change, strangers))).rejects.toEqual(
      refusal('signature-invalid', 'root is signed by 0 of 2'),
    );
    await expect(set.updateRoot(await next(change, repository.root))).rejects.toEqual(
      refusal('signature-invalid', 'root is signed by 0 of 2'),
    );
    await set.updateRoot(await next(change, [...repository.root.slice(0, 2), ...strangers]));
    expect(set.root.signed.version).toBe(2);
  });

  test('5.3.5: the version is exactly one more', async () => {
    const set = await TrustedSet.start(files.root, NOW);
    await expect(set.updateRoot(await next({ version: 3 }))).rejects.toEqual(
      refusal('metadata-invalid', 'version 3, expected version 2'),
    );
    await expect(set.updateRoot(files.root)).rejects.toEqual(
      refusal('metadata-invalid', 'version 1, expected version 2'),
    );
    await set.updateRoot(await next());
    await expect(set.updateRoot(files.root)).rejects.toEqual(refusal('version-rollback', 'version 1 of root'));
  });

  test('5.3.10: the last root must not have expired, an intermediate one may have', async () => {
    const set = await TrustedSet.start(files.root, NOW + 366 * DAY_MS);
    expect(() => {
      set.finishRoot();
    }).toThrow(refusal('metadata-expired', 'role root expired'));
    await set.updateRoot(await next({ expires: formatExpires(NOW + 400 * DAY_MS) }));
    set.finishRoot();
  });

  test('expiry is at the second, not after it', async () => {
    const expires = NOW + 365 * DAY_MS;
    const before = await TrustedSet.start(files.root, expires - 1);
    before.finishRoot();
    const at = await TrustedSet.start(files.root, expires);
    expect(() => {
      at.finishRoot();
    }).toThrow('expired');
  });

  test('5.3.11: new online keys forget what the old ones signed, so that no version is out of reach', async () => {
    const set = await atSnapshot({ timestamp: 1_000_000, snapshot: 1_000_000 });
    const fresh = await testKey('online 2');
    const role = { keyids: [fresh.keyid], threshold: 1 };
    const keys = new Map([...root.keys, [fresh.keyid, fresh.publicKey] as const]);
    const old = await onlineFiles(repository, { timestamp: 1_000_001 });
    set.restart(NOW);
    await set.updateRoot(await next({ keys, roles: { ...root.roles, snapshot: role, timestamp: role } }));
    set.finishRoot();
    await expect(set.updateTimestamp(old.timestamp)).rejects.toEqual(refusal('signature-invalid', '0 of 1'));
    const online = await onlineFiles({ online: fresh, layout: repository.layout });
    expect(await set.updateTimestamp(online.timestamp)).toBe(true);
    await set.updateSnapshot(online.snapshot);
  });
});

describe('timestamp (TUF 5.4)', () => {
  test('5.4.2: signed by the online key', async () => {
    const { snapshot } = await onlineFiles(repository);
    const forged = await timestampFile(snapshot, 1, {}, [await testKey('stranger')]);
    await expect((await atRoot()).updateTimestamp(forged)).rejects.toEqual(
      refusal('signature-invalid', 'role timestamp is signed by 0 of 1 required keys'),
    );
  });

  test('a signature under the right key id over other bytes counts for nothing', async () => {
    const { timestamp } = await onlineFiles(repository);
    const { signed: bytes, signatures } = splitMetadataFile(timestamp);
    const altered = Buffer.from(Buffer.from(bytes).toString().replace('"version":1}', '"version":9}'));
    await expect((await atRoot()).updateTimestamp(metadataFile(altered, signatures))).rejects.toEqual(
      refusal('signature-invalid', '0 of 1'),
    );
  });

  test('5.4.3.1: no lower version; the same version is discarded', async () => {
    const set = await atSnapshot({ timestamp: 5 });
    const trusted = set.timestamp;
    const lower = await onlineFiles(repository, { timestamp: 4 });
    await expect(set.updateTimestamp(lower.timestamp)).rejects.toEqual(
      refusal('version-rollback', 'version 4 of timestamp is below the trusted 5'),
    );
    const same = await onlineFiles(repository, { timestamp: 5, snapshot: 9 });
    expect(await set.updateTimestamp(same.timestamp)).toBe(false);
    expect(set.timestamp).toBe(trusted);
  });

  test('5.4.3.2: no lower snapshot version', async () => {
    const set = await atSnapshot({ timestamp: 5, snapshot: 5 });
    const lower = await onlineFiles(repository, { timestamp: 6, snapshot: 4 });
    await expect(set.updateTimestamp(lower.timestamp)).rejects.toEqual(
      refusal('version-rollback', 'version 4 of snapshot in timestamp'),
    );
  });

  test('5.4.4: not expired, unless the service itself starts after a downtime', async () => {
    const { timestamp, snapshot } = await onlineFiles(repository);
    await expect((await atRoot(NOW + DAY_MS)).updateTimestamp(timestamp)).rejects.toEqual(
      refusal('metadata-expired', 'role timestamp expired at 2026-01-02T00:00:00Z'),
    );
    const own = await TrustedSet.start(files.root, NOW + 1000 * DAY_MS, 'ignored');
    own.finishRoot();
    await own.updateTimestamp(timestamp);
    await own.updateSnapshot(snapshot);
    await own.updateTargets(files.targets);
    await own.updateBins(files.bins);
    await own.verifyBin(0, await binFile([], 1, NOW, [repository.online]));
  });

  test('freeze attack: a trusted timestamp that the mirror repeats expires all the same', async () => {
    const { timestamp, snapshot } = await onlineFiles(repository);
    const set = await atRoot(NOW + DAY_MS);
    expect(await set.recall({ timestamp, snapshot })).toEqual({ timestamp: true, snapshot: true });
    await expect(set.updateTimestamp(timestamp)).rejects.toEqual(refusal('metadata-expired', 'timestamp'));
  });
});

describe('what an earlier update left (recall)', () => {
  test('is the measure for rollbacks, even when it has expired', async () => {
    const earlier = await onlineFiles(repository, {
      timestamp: 7,
      snapshot: 7,
      bin: [{ bin: 2, version: 6 }],
      timestampExpires: -DAY_MS,
      snapshotExpires: -DAY_MS,
    });
    const set = await atRoot();
    await set.recall(earlier);
    const lower = await onlineFiles(repository, { timestamp: 6, snapshot: 6 });
    await expect(set.updateTimestamp(lower.timestamp)).rejects.toEqual(refusal('version-rollback', 'timestamp'));
    const bad = await onlineFiles(repository, { timestamp: 8, snapshot: 8, bin: [{ bin: 2, version: 5 }] });
    await set.updateTimestamp(bad.timestamp);
    await expect(set.updateSnapshot(bad.snapshot)).rejects.toEqual(refusal('version-rollback', 'bin-2'));
  });

  test('is left out when it does not verify', async () => {
    const set = await atRoot();
    const other = await onlineFiles({ online: await testKey('stranger'), layout: repository.layout });
    expect(await set.recall({ timestamp: other.timestamp, snapshot: Buffer.from('{') })).toEqual({
      timestamp: false,
      snapshot: false,
    });
  });
});

describe('snapshot (TUF 5.5)', () => {
  test('5.5.2: length and hash are those in timestamp', async () => {
    const set = await atRoot();
    const { timestamp, snapshot } = await onlineFiles(repository);
    await set.updateTimestamp(timestamp);
    const altered = Buffer.from(snapshot);
    altered[altered.length - 5] = altered[altered.length - 5]! ^ 1;
    await expect(set.updateSnapshot(altered)).rejects.toEqual(refusal('length-or-hash-mismatch', 'sha256'));
    await expect(set.updateSnapshot(snapshot.subarray(1))).rejects.toEqual(
      refusal('length-or-hash-mismatch', `length ${snapshot.length - 1}`),
    );
  });

  test('5.5.3: signed by the online key', async () => {
    const stranger = await testKey('stranger');
    const { snapshot } = await onlineFiles({ online: stranger, layout: repository.layout });
    const set = await atRoot();
    await set.updateTimestamp(await timestampFile(snapshot, 1, {}, [repository.online]));
    await expect(set.updateSnapshot(snapshot)).rejects.toEqual(
      refusal('signature-invalid', 'role snapshot is signed by 0 of 1 required keys'),
    );
  });

  test('5.5.4: the version is the one in timestamp', async () => {
    const { snapshot } = await onlineFiles(repository, { snapshot: 2 });
    const set = await atRoot();
    await set.updateTimestamp(await timestampFile(snapshot, 3, {}, [repository.online]));
    await expect(set.updateSnapshot(snapshot)).rejects.toEqual(
      refusal('metadata-invalid', 'role snapshot has version 2, expected version 3'),
    );
  });

  test.each([
    ['targets', { targets: 2 }],
    ['bins', { bins: 2 }],
    ['bin-3', { bin: [{ bin: 3, version: 2 }] }],
  ])('5.5.5: %s does not go back', async (role, versions) => {
    const set = await atSnapshot({ timestamp: 5, snapshot: 5, ...versions });
    const lower = await onlineFiles(repository, { timestamp: 6, snapshot: 6 });
    await set.updateTimestamp(lower.timestamp);
    await expect(set.updateSnapshot(lower.snapshot)).rejects.toEqual(
      refusal('version-rollback', `version 1 of ${role} in snapshot is below the trusted 2`),
    );
  });

  test('5.5.5: no role leaves the snapshot', async () => {
    const set = await atSnapshot();
    const fewer = await onlineFiles(repository, { timestamp: 2, snapshot: 2, layout: new BinLayout(2) });
    await set.updateTimestamp(fewer.timestamp);
    await expect(set.updateSnapshot(fewer.snapshot)).rejects.toEqual(
      refusal('metadata-invalid', 'bin-0 of 4 bins has left the snapshot'),
    );
  });

  test('5.5.6: not expired', async () => {
    const set = await atRoot();
    const { timestamp, snapshot } = await onlineFiles(repository, { snapshotExpires: 0 });
    await set.updateTimestamp(timestamp);
    await expect(set.updateSnapshot(snapshot)).rejects.toEqual(refusal('metadata-expired', 'role snapshot'));
  });
});

describe('targets and bins (TUF 5.6)', () => {
  test('5.6.3: every one of the 2-of-2 keys signs, and a second signature of one key does not count', async () => {
    const set = await atSnapshot();
    const [first] = repository.targets;
    await expect(set.updateTargets(await targetsFile(targets, {}, [first!]))).rejects.toEqual(
      refusal('signature-invalid', 'role targets is signed by 1 of 2 required keys'),
    );
    await expect(set.updateTargets(await targetsFile(targets, {}, [first!, first!]))).rejects.toEqual(
      refusal('metadata-invalid', 'targets.signatures has .* twice'),
    );
    await expect(set.updateTargets(await targetsFile(targets, {}, [first!, repository.online]))).rejects.toEqual(
      refusal('signature-invalid', '1 of 2'),
    );
  });

  test('5.6.4 and 5.6.5: version and expiry', async () => {
    const set = await atSnapshot();
    await expect(
      set.updateTargets(await targetsFile(targets, { version: 2 }, repository.targets)),
    ).rejects.toEqual(refusal('metadata-invalid', 'role targets has version 2, expected version 1'));
    const expires = formatExpires(NOW);
    await expect(set.updateTargets(await targetsFile(targets, { expires }, repository.targets))).rejects.toEqual(
      refusal('metadata-expired', 'role targets'),
    );
    await set.updateTargets(files.targets);
    await expect(set.updateBins(await targetsFile(bins, { version: 2 }, repository.bins))).rejects.toEqual(
      refusal('metadata-invalid', 'role bins has version 2'),
    );
    await expect(set.updateBins(await targetsFile(bins, { expires }, repository.bins))).rejects.toEqual(
      refusal('metadata-expired', 'role bins'),
    );
  });

  test('mix and match: targets in the place of bins, and the reverse', async () => {
    const set = await atSnapshot();
    await expect(set.updateTargets(files.bins)).rejects.toEqual(refusal('signature-invalid', 'targets'));
    await set.updateTargets(files.targets);
    await expect(set.updateBins(files.targets)).rejects.toEqual(refusal('signature-invalid', 'bins'));
  });

  test('neither lists files that would hide what a bin says', async () => {
    const set = await atSnapshot();
    const listed = new Map([['a', { length: 1, hashes: { sha256: '0'.repeat(64) } }]]);
    await expect(
      set.updateTargets(await targetsFile(targets, { targets: listed }, repository.targets)),
    ).rejects.toEqual(refusal('metadata-invalid', 'targets lists target files'));
    await set.updateTargets(files.targets);
    await expect(set.updateBins(await targetsFile(bins, { targets: listed }, repository.bins))).rejects.toEqual(
      refusal('metadata-invalid', 'bins lists target files'),
    );
  });

  test('bins delegates to the bins that snapshot lists', async () => {
    const set = await atSnapshot();
    await set.updateTargets(files.targets);
    const { keys, succinct_roles } = bins.delegations!;
    const delegations = { keys, succinct_roles: { ...succinct_roles!, bit_length: 3 } };
    await expect(set.updateBins(await targetsFile(bins, { delegations }, repository.bins))).rejects.toEqual(
      refusal('metadata-invalid', 'bins delegates to 8 bins bin-…, snapshot 1 lists 4 bins bin-…'),
    );
  });
});

describe('bin-n', () => {
  const expires = NOW + DAY_MS;

  test('signature, version and expiry', async () => {
    const set = await atBins();
    const { online } = repository;
    await expect(set.verifyBin(0, await binFile([], 1, expires, [await testKey('stranger')]))).rejects.toEqual(
      refusal('signature-invalid', 'role bin-0 is signed by 0 of 1 required keys'),
    );
    await expect(set.verifyBin(0, await binFile([], 2, expires, [online]))).rejects.toEqual(
      refusal('metadata-invalid', 'role bin-0 has version 2, expected version 1'),
    );
    await expect(set.verifyBin(3, await binFile([], 1, NOW, [online]))).rejects.toEqual(
      refusal('metadata-expired', 'role bin-3'),
    );
  });

  test('a signature that stands twice counts once', async () => {
    const set = await atBins();
    const { signed: bytes, signatures } = splitMetadataFile(await binFile([], 1, expires, [repository.online]));
    await set.verifyBin(0, metadataFile(bytes, [...signatures, ...signatures]));
    const other = await signed(bytes, await testKey('stranger'), await testKey('another'));
    await expect(set.verifyBin(0, other)).rejects.toEqual(refusal('signature-invalid', '0 of 1'));
  });

  test('a stray path is found', async () => {
    const set = await atBins();
    const index = repository.layout.indexOf('a');
    const bytes = await binFile(['a'], 1, expires, [repository.online]);
    checkBinPaths(await set.verifyBin(index, bytes), repository.layout, index);
    const elsewhere = index ^ 1;
    const stray = await set.verifyBin(elsewhere, bytes);
    expect(() => {
      checkBinPaths(stray, repository.layout, elsewhere);
    }).toThrow(`bin-${elsewhere} lists a, which belongs to bin-${index}`);
  });
});
