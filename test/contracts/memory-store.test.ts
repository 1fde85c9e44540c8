// The in-memory store passes the contract, and the spy in it notices every misuse it is there for.
import { describe, expect, test } from 'vitest';
import { sha256Hex, utf8 } from '../../src/lib/bytes.ts';
import { TIMESTAMP_NAME } from '../../src/tuf/layout.ts';
import { MemoryStore } from '../support/memory-store.ts';
import { storeContract } from './store.contract.ts';

storeContract('memory', () => {
  const store = new MemoryStore();
  return Promise.resolve([store, store]);
});

function snapshot(version: number, binVersion = 1): Uint8Array {
  const meta = { 'bin-0.json': { version: binVersion }, 'targets.json': { version: 1 } };
  return utf8(JSON.stringify({ signed: { version, meta } }));
}

function timestamp(version: number, of: Uint8Array, snapshotVersion = version): Uint8Array {
  const reference = { version: snapshotVersion, length: of.length, hashes: { sha256: sha256Hex(of) } };
  return utf8(JSON.stringify({ signed: { version, meta: { 'snapshot.json': reference } } }));
}

async function publishedStore(): Promise<MemoryStore> {
  const store = new MemoryStore();
  await store.putImmutable('metadata/1.bin-0.json', utf8('bin'));
  await store.putImmutable('metadata/1.targets.json', utf8('targets'));
  await store.putImmutable('metadata/5.snapshot.json', snapshot(5));
  await store.replace(TIMESTAMP_NAME, timestamp(5, snapshot(5)), undefined);
  return store;
}

async function tokenOf(store: MemoryStore) {
  return (await store.get(TIMESTAMP_NAME, 10_000))?.token;
}

describe('the spy', () => {
  test('accepts a publication in the right order', async () => {
    const store = await publishedStore();
    await store.putImmutable('metadata/2.bin-0.json', utf8('bin 2'));
    await store.putImmutable('metadata/6.snapshot.json', snapshot(6, 2));
    await store.replace(TIMESTAMP_NAME, timestamp(6, snapshot(6, 2)), await tokenOf(store));
    await store.remove('metadata/5.snapshot.json');
    await store.remove('metadata/1.bin-0.json');
    expect(store.violations).toEqual([]);
  });

  test.each<[string, (store: MemoryStore) => Promise<unknown>]>([
    [
      'timestamp 6 was written before metadata/6.snapshot.json',
      async (store) => store.replace(TIMESTAMP_NAME, timestamp(6, snapshot(6)), await tokenOf(store)),
    ],
    [
      'timestamp 6 was written before metadata/2.bin-0.json, which metadata/6.snapshot.json names',
      async (store) => {
        await store.putImmutable('metadata/6.snapshot.json', snapshot(6, 2));
        await store.replace(TIMESTAMP_NAME, timestamp(6, snapshot(6, 2)), await tokenOf(store));
      },
    ],
    [
      'timestamp 6 does not describe the metadata/5.snapshot.json that is in the store',
      async (store) => store.replace(TIMESTAMP_NAME, timestamp(6, snapshot(4), 5), await tokenOf(store)),
    ],
    [
      'timestamp went back from version 5 to 4',
      async (store) => store.replace(TIMESTAMP_NAME, timestamp(4, snapshot(5), 5), await tokenOf(store)),
    ],
    [
      'snapshot went back from version 5 to 4',
      async (store) => {
        await store.putImmutable('metadata/4.snapshot.json', snapshot(4));
        await store.replace(TIMESTAMP_NAME, timestamp(6, snapshot(4), 4), await tokenOf(store));
      },
    ],
    [
      'write-once object metadata/9.root.json was created again with other content',
      async (store) => {
        await store.putImmutable('metadata/9.root.json', utf8('one'));
        await store.remove('metadata/9.root.json');
        await store.putImmutable('metadata/9.root.json', utf8('two'));
      },
    ],
    [
      'write-once object metadata/1.bin-0.json was replaced',
      async (store) => {
        const token = (await store.get('metadata/1.bin-0.json', 10))?.token;
        await store.replace('metadata/1.bin-0.json', utf8('x'), token);
      },
    ],
    [
      'metadata/1.bin-0.json was removed while the timestamp reaches it',
      (store) => store.remove('metadata/1.bin-0.json'),
    ],
  ])('%s', async (violation, misuse) => {
    const store = await publishedStore();
    await expect(misuse(store)).rejects.toThrow(violation);
    expect(store.violations).toEqual([violation]);
  });
});
