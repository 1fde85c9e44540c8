// After a theft of the online key: the comparison finds exactly what nobody sent, decisions restore it, and the import of
// the new key signs nothing that was not decided.
import { readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { compareWith } from '../../src/publish/comparison.ts';
import { applyDecisions, readDecisions, writeDecisions } from '../../src/publish/decisions.ts';
import { takeLease } from '../../src/publish/lease.ts';
import { Term } from '../../src/publish/term.ts';
import { metadataFile, splitMetadataFile } from '../../src/tuf/metadata-file.ts';
import { BinDocument } from '../../src/tuf/bin-document.ts';
import { versionedName } from '../../src/tuf/layout.ts';
import type { TargetFile } from '../../src/tuf/metadata.ts';
import { parseTimestamp } from '../../src/tuf/parse-timestamp.ts';
import { serializeTimestamp } from '../../src/tuf/serialize.ts';
import { SnapshotDocument } from '../../src/tuf/snapshot-document.ts';
import { sha256Hex } from '../../src/lib/bytes.ts';
import { runInProcess } from '../support/cli-command.ts';
import { bundleText, nextBundle } from '../support/next-ceremony.ts';
import { expectSound } from '../support/oracle.ts';
import { publicState } from '../support/public-state.ts';
import {
  accept,
  foundRepository,
  publishAll,
  publishPaths,
  targetOf,
  type TestRepository,
} from '../support/repository.ts';
import { tempDir } from '../support/temp-dir.ts';
import { throwawaySigner } from '../support/throwaway-signer.ts';

const EVIL = targetOf('malware');

async function signed(repository: TestRepository, part: Uint8Array): Promise<Buffer> {
  const [sig] = await repository.signer.sign([part]);
  return metadataFile(part, [
    { keyid: repository.signer.keyid, sig: Buffer.from(sig ?? []).toString('hex') },
  ]);
}

async function read(repository: TestRepository, name: string): Promise<Uint8Array> {
  const object = await repository.store.get(name, 5_000_000);
  if (object === undefined) throw new Error(`${name} is missing`);
  return object.bytes;
}

/** What a thief of the online key can do who writes to the bucket: a snapshot of his own, which clients accept. */
async function steal(repository: TestRepository, path: string, target: TargetFile): Promise<string[]> {
  const { store, layout } = repository;
  const head = (await repository.ledger.head())!;
  const bin = layout.indexOf(path);
  const snapshotName = versionedName('snapshot', head.snapshot);
  const snapshot = SnapshotDocument.parse(splitMetadataFile(await read(repository, snapshotName)).signed);
  const version = snapshot.versionOf(bin);
  const before = splitMetadataFile(await read(repository, versionedName(layout.name(bin), version))).signed;
  const document = BinDocument.parse(before);
  const evilBin = document.edit(new Map([[path, target]]), version + 1, document.expires);
  const { targetsVersion, binsVersion, expires } = snapshot;
  const evilSnapshot = snapshot.edit({
    version: head.snapshot + 1,
    expires,
    targetsVersion,
    binsVersion,
    bins: [{ bin, version: version + 1 }],
  });
  const snapshotFile = await signed(repository, evilSnapshot.signed);
  const timestamp = parseTimestamp(await read(repository, 'metadata/timestamp.json')).signed;
  const reference = {
    version: head.snapshot + 1,
    length: snapshotFile.length,
    hashes: { sha256: sha256Hex(snapshotFile) },
  };
  const evilTimestamp = { ...timestamp, version: 1_000_000, meta: { 'snapshot.json': reference } };
  store.thief = true;
  const binName = versionedName(layout.name(bin), version + 1);
  store.tamper(binName, await signed(repository, evilBin.signed));
  store.tamper(versionedName('snapshot', head.snapshot + 1), snapshotFile);
  store.tamper('metadata/timestamp.json', await signed(repository, serializeTimestamp(evilTimestamp)));
  return [binName, versionedName('snapshot', head.snapshot + 1)];
}

async function prepared(): Promise<TestRepository> {
  const repository = await foundRepository();
  await publishPaths(repository, ['a/1', 'b/2', 'c/3']);
  return repository;
}

describe('the thief has the key and the bucket', () => {
  test('exactly his target is found; afterwards the new key signs none of it', async () => {
    const repository = await prepared();
    const { store, ledger, ports } = repository;
    await publishPaths(repository, ['d/4']);
    await accept(repository, [{ op: 'remove', path: 'c/3' }]);
    await publishAll(repository);
    const foreign = await steal(repository, 'a/1', EVIL);
    const comparison = await compareWith(2, { history: ledger, store });
    expect(comparison).toMatchObject({ lastGood: 2, current: 5, ledger: 4, unreadable: [] });
    expect(comparison.differences.filter(({ accepted }) => accepted === undefined)).toEqual([
      { path: 'a/1', op: 'replaced', lastGood: targetOf('a/1'), current: EVIL },
    ]);
    expect(comparison.differences.map(({ path, op, accepted }) => [path, op, accepted?.snapshot])).toEqual([
      ['a/1', 'replaced', undefined],
      ['c/3', 'removed', 4],
      ['d/4', 'added', 3],
    ]);
    expect(comparison.foreign).toEqual(foreign.sort());

    const file = writeDecisions(comparison, true);
    expect(() => readDecisions(file)).toThrow(
      'decisions, line 2: a/1 is undecided: write approve or restore',
    );
    const decided = readDecisions(file.replace('undecided', 'restore'));
    expect(decided).toMatchObject({ approved: 2, restored: 1 });
    await applyDecisions(ledger, decided, repository.clock.now());
    await applyDecisions(ledger, decided, repository.clock.now());
    expect(await ledger.backlog()).toMatchObject({ events: 1 });

    for (const name of foreign) store.tamper(name, undefined);
    const next = throwawaySigner(9);
    const plan = { now: repository.clock.now(), online: [next] };
    const bundle = await nextBundle(repository.bundle, repository.offlineKeys, plan);
    const order = await ledger.placeOrder('import-compromised', bundleText(bundle), repository.clock.now());
    const reports = await publishAll({ ports: { ...ports, signer: next } });
    expect(reports).toEqual([]);
    expect(await ledger.orderState(order)).toEqual({ state: 'done', snapshot: 5 });
    await expectSound(repository);
    const { targets } = await publicState(store, ports);
    expect(Object.entries(targets).map(([path, text]) => [path, text.includes(EVIL.hashes.sha256)])).toEqual([
      ['a/1', false],
      ['b/2', false],
      ['d/4', false],
    ]);
  });
});

describe('a publication was committed when the theft was noticed', () => {
  test.each([
    ['the thief left a timestamp of his own', true],
    ['the process died', false],
  ])('%s: it is completed before the new key signs', async (_, thief) => {
    const repository = await prepared();
    const { store, ledger, ports, clock } = repository;
    const term = await Term.begin(ports, await takeLease(ledger, clock, ports));
    await accept(repository, [{ op: 'add', path: 'd/4', target: targetOf('d/4') }]);
    const before = await read(repository, 'metadata/timestamp.json');
    const foreign = await steal(repository, 'a/1', EVIL);
    await expect(term.publish()).rejects.toMatchObject({ code: 'immutable-conflict' });
    expect(await ledger.head()).toMatchObject({ snapshot: 3, unfinished: { snapshot: 3 } });
    for (const name of foreign) store.tamper(name, undefined);
    if (!thief) store.tamper('metadata/timestamp.json', Buffer.from(before));

    const next = throwawaySigner(9);
    const plan = { now: clock.now(), online: [next] };
    const bundle = await nextBundle(repository.bundle, repository.offlineKeys, plan);
    const order = await ledger.placeOrder('import-compromised', bundleText(bundle), clock.now());
    // Only the key by which it was committed can complete it.
    await expect(publishAll({ ports: { ...ports, signer: next } })).rejects.toMatchObject({
      code: 'key-mismatch',
      message: expect.stringContaining('until the publication is completed') as string,
    });
    await publishAll({ ports: { ...ports, signer: next, nextSigner: repository.signer } });
    expect(await ledger.orderState(order)).toEqual({ state: 'done', snapshot: 4 });
    await publishPaths({ ...repository, ports: { ...ports, signer: next } }, ['e/5']);
    await expectSound(repository);
    const { targets } = await publicState(store, ports);
    expect(Object.keys(targets)).toEqual(['a/1', 'b/2', 'c/3', 'd/4', 'e/5']);
    expect(JSON.stringify(targets)).not.toContain(EVIL.hashes.sha256);
  });
});

describe('the thief could write to the ledger', () => {
  test('what the service published without an event is restored by the publication that changes the key', async () => {
    const repository = await prepared();
    const { ledger, store, ports, clock } = repository;
    await accept(repository, [{ op: 'add', path: 'evil/9', target: EVIL }]);
    await publishAll(repository);
    // Nobody remembers having sent it: the operator decides, although the ledger accounts for it.
    const comparison = await compareWith(2, { history: ledger, store });
    const decided = readDecisions(writeDecisions(comparison, false).replace('undecided', 'restore'));
    await applyDecisions(ledger, decided, clock.now());
    const next = throwawaySigner(9);
    const bundle = await nextBundle(repository.bundle, repository.offlineKeys, {
      now: clock.now(),
      online: [next],
    });
    await ledger.placeOrder('import-compromised', bundleText(bundle), clock.now());
    await publishAll({ ports: { ...ports, signer: next } });
    expect(await ledger.head()).toMatchObject({ snapshot: 4, roles: { root: 2 } });
    expect(Object.keys((await publicState(store, ports)).targets)).toEqual(['a/1', 'b/2', 'c/3']);
    // No bin that the new key has signed ever named it.
    for (const name of store.names().filter((object) => object.includes('.bin-'))) {
      const file = splitMetadataFile(await read(repository, name));
      if (file.signatures.some(({ keyid }) => keyid === next.keyid)) {
        expect(Buffer.from(file.signed).includes('evil/9'), name).toBe(false);
      }
    }
    await expectSound(repository);
  });

  test('a decision is refused when its path was changed meanwhile', async () => {
    const repository = await prepared();
    const { ledger, store, clock } = repository;
    await accept(repository, [{ op: 'put', path: 'a/1', target: EVIL }]);
    await publishAll(repository);
    const comparison = await compareWith(2, { history: ledger, store });
    const decided = readDecisions(writeDecisions(comparison, false).replace('undecided', 'restore'));
    await accept(repository, [{ op: 'put', path: 'a/1', target: targetOf('mended') }]);
    await publishAll(repository);
    await expect(applyDecisions(ledger, decided, clock.now())).rejects.toMatchObject({ code: 'head-moved' });
    expect(await ledger.backlog()).toMatchObject({ events: 0 });
  });
});

test('a snapshot that was collected is named, with what would have kept it', async () => {
  const repository = await prepared();
  const { ledger, store } = repository;
  await publishPaths(repository, ['d/4']);
  store.tamper('metadata/2.snapshot.json', undefined);
  await expect(compareWith(2, { history: ledger, store })).rejects.toMatchObject({
    code: 'metadata-missing',
    message: expect.stringContaining('retention.snapshots') as string,
  });
  await expect(compareWith(9, { history: ledger, store })).rejects.toMatchObject({ code: 'usage' });
});

test.each([
  ['not JSON', 'x', 'line 1: it is not JSON'],
  ['another format', '{"format":"other/1","lastGood":1,"current":1,"ledger":1,"differences":0}', 'line 1'],
  [
    'cut off between two lines',
    '{"format":"countersign-decisions/1","lastGood":1,"current":1,"ledger":1,"differences":2}\n',
    'the file ends after 0 differences, 2 were found',
  ],
])('decisions that are %s are refused', (_, text, message) => {
  expect(() => readDecisions(text)).toThrow(message);
});

test('a decisions file that is there is not waited for', async () => {
  const dir = await tempDir();
  await writeFile(join(dir, 'decisions.ndjson'), 'edited for an hour\n');
  const options = ['--last-good', '1', '--decisions', 'decisions.ndjson', '--json'];
  const { status, out } = await runInProcess(dir, {}, ['recover', ...options]);
  expect(status).toBe(1);
  expect(JSON.parse(out)).toMatchObject({ error: { code: 'file-exists' } });
  expect(await readdir(dir)).toEqual(['decisions.ndjson']);
});
