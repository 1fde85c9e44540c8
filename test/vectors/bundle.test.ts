import { generateKeyPairSync } from 'node:crypto';
import { Metadata, MetadataKind } from '@tufjs/models';
import { beforeAll, describe, expect, test } from 'vitest';
import { checkOnlineKey, parseBundle, serializeBundle, verifyBundle, type Bundle } from '../../src/tuf/bundle.ts';
import { envelopeFile } from '../../src/tuf/envelope.ts';
import { keyId, publicKeyOf } from '../../src/tuf/keys.ts';
import { formatExpires } from '../../src/tuf/lifetimes.ts';
import type { Root, Targets } from '../../src/tuf/metadata.ts';
import { parseRoot } from '../../src/tuf/parse-root.ts';
import { parseBins, parseTargets } from '../../src/tuf/parse-targets.ts';
import { serializeRoot, serializeTargets } from '../../src/tuf/serialize.ts';
import {
  bundleFiles,
  DAY_MS,
  genesisRepository,
  NOW,
  rootFile,
  targetsFile,
  testKey,
  type GenesisRepository,
} from '../support/genesis-repository.ts';

let repository: GenesisRepository;
let bundle: Bundle;
let root: Root;

beforeAll(async () => {
  repository = await genesisRepository();
  bundle = repository.bundle;
  root = bundle.roots[0]!.signed;
});

function refusal(message: string): unknown {
  return expect.objectContaining({
    code: 'bundle-invalid',
    message: expect.stringContaining(message) as string,
  });
}

const newRoot = async (change: Partial<Root>, keys = repository.root): Promise<Bundle['roots'][number]> =>
  parseRoot(await rootFile(root, change, keys));
const newTargets = async (change: Partial<Targets>, keys = repository.targets): Promise<Bundle['targets']> =>
  parseTargets(await targetsFile(bundle.targets.signed, change, keys));
const newBins = async (change: Partial<Targets>, keys = repository.bins): Promise<Bundle['bins']> =>
  parseBins(await targetsFile(bundle.bins.signed, change, keys));

test('round trip: what is read is what will be published', async () => {
  const verified = await verifyBundle(parseBundle(serializeBundle(bundle)), NOW);
  const files = bundleFiles(bundle);
  expect(verified.roots).toEqual([{ version: 1, bytes: files.root }]);
  expect(verified.targets).toEqual({ version: 1, bytes: files.targets });
  expect(verified.bins).toEqual({ version: 1, bytes: files.bins });
  expect(verified.layout.count).toBe(4);
  expect(verified.onlineKeyids).toEqual([repository.online.keyid]);
  checkOnlineKey(verified, repository.online.keyid);
  const stranger = await testKey('stranger');
  expect(() => {
    checkOnlineKey(verified, stranger.keyid);
  }).toThrow(
    expect.objectContaining({
      code: 'key-mismatch',
      message: `the signer holds key ${stranger.keyid}, but timestamp is signed by ${repository.online.keyid}`,
    }) as Error,
  );
});

test('a chain of roots', async () => {
  const second = await newRoot({ version: 2 });
  const verified = await verifyBundle({ ...bundle, roots: [...bundle.roots, second] }, NOW);
  expect(verified.roots.map(({ version }) => version)).toEqual([1, 2]);
  const usurper = await newRoot({ version: 2 }, repository.root.slice(2));
  await expect(verifyBundle({ ...bundle, roots: [...bundle.roots, usurper] }, NOW)).rejects.toEqual(
    refusal('root 2: role root is signed by 1 of 2 required keys'),
  );
  const gap = await newRoot({ version: 3 });
  await expect(verifyBundle({ ...bundle, roots: [...bundle.roots, gap] }, NOW)).rejects.toEqual(
    refusal('role root has version 3, expected version 2'),
  );
  await expect(verifyBundle({ ...bundle, roots: [second] }, NOW)).rejects.toEqual(
    refusal('role root has version 2, expected version 1'),
  );
});

test('a P-256 online key: its PEM is escaped in the files, raw under the signatures', async () => {
  const publicKey = publicKeyOf(generateKeyPairSync('ec', { namedCurve: 'prime256v1' }).publicKey);
  const keyid = keyId(publicKey);
  const role = { keyids: [keyid], threshold: 1 };
  const roles = { ...root.roles, timestamp: role, snapshot: role };
  const bytes = serializeRoot({ ...root, keys: new Map([...root.keys, [keyid, publicKey]]), roles });
  const signatures = await Promise.all(repository.root.map((key) => key.sign(bytes)));
  const file = envelopeFile({ signedBytes: bytes, signatures });
  expect(bytes.includes('KEY-----\n')).toBe(true);
  expect(file.includes('KEY-----\\n')).toBe(true);
  expect(Buffer.from(parseRoot(file).signedBytes).equals(bytes)).toBe(true);
  const second = Metadata.fromJSON(MetadataKind.Root, JSON.parse(file.toString()) as never);
  second.verifyDelegate('root', second);
  const delegations = { keys: new Map([[keyid, publicKey]]), succinct_roles: repository.layout.succinctRoles([keyid], 1) };
  const signedBytes = serializeTargets({ ...bundle.bins.signed, delegations });
  const bins = {
    ...(await newBins({})),
    signed: { ...bundle.bins.signed, delegations },
    signedBytes,
    signatures: await Promise.all(repository.bins.map((key) => key.sign(signedBytes))),
  };
  const own = serializeBundle({ ...bundle, roots: [parseRoot(file)], bins });
  expect((await verifyBundle(parseBundle(own), NOW)).onlineKeyids).toEqual([keyid]);
});

describe('verifyBundle refuses', () => {
  test('an expired role, by name', async () => {
    await expect(verifyBundle(bundle, NOW + 365 * DAY_MS)).rejects.toEqual(refusal('role root expired'));
    const expires = formatExpires(NOW);
    await expect(verifyBundle({ ...bundle, targets: await newTargets({ expires }) }, NOW)).rejects.toEqual(
      refusal('role targets expired'),
    );
    await expect(verifyBundle({ ...bundle, bins: await newBins({ expires }) }, NOW)).rejects.toEqual(
      refusal('role bins expired'),
    );
  });

  test('a role below its threshold, by name', async () => {
    const targets = await newTargets({}, repository.targets.slice(1));
    await expect(verifyBundle({ ...bundle, targets }, NOW)).rejects.toEqual(refusal('role targets is signed by 1 of 2'));
    const bins = await newBins({}, repository.targets);
    await expect(verifyBundle({ ...bundle, bins }, NOW)).rejects.toEqual(refusal('role bins is signed by 0 of 2'));
  });

  test('online roles that one key cannot sign', async () => {
    const other = await testKey('other');
    const keys = new Map([...root.keys, [other.keyid, other.publicKey] as const]);
    const elsewhere = { ...root.roles, snapshot: { keyids: [other.keyid], threshold: 1 } };
    await expect(
      verifyBundle({ ...bundle, roots: [await newRoot({ keys, roles: elsewhere })] }, NOW),
    ).rejects.toEqual(refusal('no key may sign timestamp, snapshot and the bins alike'));
    const two = { ...root.roles, timestamp: { keyids: [repository.online.keyid, other.keyid], threshold: 2 } };
    await expect(
      verifyBundle({ ...bundle, roots: [await newRoot({ keys, roles: two })] }, NOW),
    ).rejects.toEqual(refusal('role timestamp has threshold 2'));
  });

  test('an online key among the offline ones', async () => {
    const keyids = [...root.roles.targets.keyids, repository.online.keyid];
    const roles = { ...root.roles, targets: { keyids, threshold: 2 } };
    await expect(verifyBundle({ ...bundle, roots: [await newRoot({ roles })] }, NOW)).rejects.toEqual(
      refusal(`online key ${repository.online.keyid} is a key of the offline role targets too`),
    );
  });
});

describe('parseBundle refuses', () => {
  test.each<[string, (text: string) => string, string]>([
    ['another format', (text) => text.replace('bundle/1', 'bundle/2'), 'bundle.format is "countersign-bundle/2"'],
    ['an unknown field', (text) => text.replace('{"format"', '{"more":1,"format"'), 'unknown field "more"'],
    ['no bins', (text) => `${text.slice(0, text.indexOf(',\n"bins"'))}}`, 'bundle.bins is absent'],
    ['no roots', (text) => text.replace(/"roots":\[.*\],\n"targets"/s, '"roots":[],\n"targets"'), '0 roots'],
    ['a second targets', (text) => text.replace('"bins":', '"targets":'), 'second "targets"'],
    ['an inner fault, with its role', (text) => text.replace('"bit_length":2', '"bit_length":0'), 'bins.delegations'],
    ['trailing bytes', (text) => `${text}x`, 'expected the end'],
  ])('%s', (_what, change, message) => {
    const text = serializeBundle(bundle).toString();
    expect(change(text)).not.toBe(text);
    expect(() => parseBundle(Buffer.from(change(text)))).toThrow(refusal(message));
  });
});
