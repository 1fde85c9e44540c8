// What every object store must do (src/storage/store.ts says it in prose). `open` gives two views of one empty store:
// as two processes would have it, or the same object twice where there is only one view.
import { describe, expect, test } from 'vitest';
import { equalBytes, utf8 } from '../../src/lib/bytes.ts';
import { systemClock } from '../../src/lib/clock.ts';
import type { ObjectStore, VersionToken } from '../../src/storage/store.ts';

type Open = () => Promise<readonly [ObjectStore, ObjectStore]>;

/** The name of a replaceable object; timestamp.json itself is watched by the spy. */
const POINTER = 'metadata/pointer.json';

export function storeContract(name: string, open: Open): void {
  const withStore = (body: (a: ObjectStore, b: ObjectStore) => Promise<void>) => async () => {
    await body(...(await open()));
  };

  describe(`object store: ${name}`, () => {
    test(
      'gives back what was put, whole, in every view',
      withStore(async (a, b) => {
        const bytes = new Uint8Array(300_000).map((_, index) => index % 251);
        expect(await a.putImmutable('metadata/1.bin-0a3f.json', bytes)).toBe('created');
        const read = await b.get('metadata/1.bin-0a3f.json', bytes.length);
        expect(equalBytes(read?.bytes ?? new Uint8Array(0), bytes)).toBe(true);
      }),
    );

    test(
      'keeps names with +, ~, @ and many segments apart, and an object of no bytes',
      withStore(async (store) => {
        const names = ['a+b', 'a b', 'a%2Bb', 'A+b', '~x/@y/z!/1.0+local.whl', 'metadata/7.root.json'];
        for (const name of names) expect(await store.putImmutable(name, utf8(name))).toBe('created');
        expect(await store.putImmutable('empty', new Uint8Array(0))).toBe('created');
        for (const name of names) expect(text(await store.get(name, 100))).toBe(name);
        expect((await store.get('empty', 0))?.bytes.length).toBe(0);
      }),
    );

    test(
      'has nothing under a name that was never put',
      withStore(async (store) => {
        await store.putImmutable('metadata/1.root.json', utf8('x'));
        expect(await store.get('metadata/2.root.json', 10)).toBeUndefined();
        expect(await store.get('metadata', 10).catch(() => undefined)).toBeUndefined();
        expect(await store.get('other/2.root.json', 10)).toBeUndefined();
      }),
    );

    test(
      'reads up to maxBytes and refuses one more',
      withStore(async (store) => {
        await store.putImmutable('ten', utf8('0123456789'));
        expect(text(await store.get('ten', 10))).toBe('0123456789');
        await expect(store.get('ten', 9)).rejects.toMatchObject({ code: 'metadata-too-large' });
      }),
    );

    test(
      'leaves a write-once object as it is',
      withStore(async (a, b) => {
        expect(await a.putImmutable('once', utf8('first'))).toBe('created');
        expect(await b.putImmutable('once', utf8('second'))).toBe('exists');
        expect(await a.putImmutable('once', utf8('first'))).toBe('exists');
        expect(text(await b.get('once', 100))).toBe('first');
      }),
    );

    test(
      'creates a name once when many put it at the same time',
      withStore(async (a, b) => {
        const puts = Array.from({ length: 40 }, (_, i) =>
          (i % 2 ? a : b).putImmutable('race', utf8(`by ${i}`)),
        );
        const results = await Promise.all(puts);
        expect(results.filter((result) => result === 'created')).toHaveLength(1);
        expect(text(await a.get('race', 100))).toBe(`by ${results.indexOf('created')}`);
      }),
    );

    test(
      'does not keep hold of the bytes it was given or gave',
      withStore(async (store) => {
        const bytes = utf8('kept');
        await store.putImmutable('kept', bytes);
        bytes.fill(0);
        (await store.get('kept', 10))?.bytes.fill(0);
        expect(text(await store.get('kept', 10))).toBe('kept');
      }),
    );

    test(
      'replaces only the version that was read',
      withStore(async (a, b) => {
        const first = await a.replace(POINTER, utf8('1'), undefined);
        await expect(b.replace(POINTER, utf8('x'), undefined)).rejects.toMatchObject({
          code: 'store-conflict',
        });
        expect((await b.get(POINTER, 10))?.token).toBe(first);
        const second = await b.replace(POINTER, utf8('2'), first);
        await expect(a.replace(POINTER, utf8('3'), first)).rejects.toMatchObject({ code: 'store-conflict' });
        expect(text(await a.get(POINTER, 10))).toBe('2');
        await a.replace(POINTER, utf8('3'), second);
        expect(text(await b.get(POINTER, 10))).toBe('3');
      }),
    );

    test(
      'refuses to replace what does not exist when a version was expected',
      withStore(async (store) => {
        const token = await store.replace(POINTER, utf8('1'), undefined);
        const attempt = store.replace('metadata/other.json', utf8('2'), token);
        await expect(attempt).rejects.toMatchObject({ code: 'store-conflict' });
        expect(await store.get('metadata/other.json', 10)).toBeUndefined();
      }),
    );

    test(
      'lets exactly one of many racing replacements win each round, and readers see whole versions',
      withStore(async (a, b) => {
        let token: VersionToken | undefined;
        for (let round = 0; round < 5; round++) {
          const attempts = Array.from({ length: 8 }, (_, i) =>
            (i % 2 ? a : b).replace(POINTER, utf8(`${round}`.repeat(5000)), token),
          );
          const reads = Array.from({ length: 8 }, async (_, i) => (i % 2 ? a : b).get(POINTER, 5000));
          const won = (await Promise.allSettled(attempts)).filter(({ status }) => status === 'fulfilled');
          // In this round all write the same content: a second winner would need the old token to be current still.
          expect(won).toHaveLength(1);
          for (const object of await Promise.all(reads)) {
            if (object !== undefined) expect(text(object)).toMatch(/^(\d)\1{4999}$/);
          }
          token = (await a.get(POINTER, 5000))?.token;
        }
      }),
    );

    test(
      'lists every object of a prefix with its size, and nothing else',
      withStore(async (a, b) => {
        expect(await listing(a, '')).toEqual([]);
        for (const [name, size] of [
          ['metadata/1.root.json', 3],
          ['metadata/10.bin-00.json', 0],
          ['metadata/deep/er/x', 1],
          ['metadata2/y', 2],
          ['z', 4],
        ] as const) {
          await a.putImmutable(name, new Uint8Array(size));
        }
        await a.replace('metadata/pointer.json', utf8('{}'), undefined);
        expect(await listing(b, 'metadata/1')).toEqual([
          'metadata/1.root.json 3',
          'metadata/10.bin-00.json 0',
        ]);
        expect(await listing(b, 'metadata/')).toEqual([
          'metadata/1.root.json 3',
          'metadata/10.bin-00.json 0',
          'metadata/deep/er/x 1',
          'metadata/pointer.json 2',
        ]);
        expect(await listing(b, 'metadata')).toHaveLength(5);
        expect(await listing(b, 'metadata/deep/')).toEqual(['metadata/deep/er/x 1']);
        expect(await listing(b, '')).toHaveLength(6);
        expect(await listing(b, 'absent/')).toEqual([]);
      }),
    );

    test(
      'says when an object was written, if it can tell',
      withStore(async (store) => {
        await store.putImmutable('once', utf8('x'));
        await store.replace(POINTER, utf8('x'), undefined);
        for await (const { writtenAt } of store.list('')) {
          if (writtenAt !== undefined) expect(Math.abs(writtenAt - systemClock.now())).toBeLessThan(60_000);
        }
      }),
    );

    test(
      'removes an object; an absent one is no error',
      withStore(async (a, b) => {
        await a.putImmutable('metadata/1.snapshot.json', utf8('x'));
        await b.remove('metadata/1.snapshot.json');
        await b.remove('metadata/1.snapshot.json');
        await a.remove('never/was');
        expect(await a.get('metadata/1.snapshot.json', 10)).toBeUndefined();
        expect(await a.putImmutable('metadata/1.snapshot.json', utf8('x'))).toBe('created');
      }),
    );

    test(
      'writes what was staged, once, under the name that it was staged for',
      withStore(async (a, b) => {
        const [one, pointer] = [utf8('one'), utf8('pointer')];
        await Promise.all([a.stage?.('metadata/1.snapshot.json', one), a.stage?.(POINTER, pointer)]);
        expect(await listing(b, '')).toEqual([]);
        expect(await a.putImmutable('metadata/1.snapshot.json', one)).toBe('created');
        const token = await a.replace(POINTER, pointer, undefined);
        expect(text(await b.get('metadata/1.snapshot.json', 10))).toBe('one');
        expect(text(await b.get(POINTER, 10))).toBe('pointer');
        expect(await a.putImmutable('metadata/2.snapshot.json', one)).toBe('created');
        expect(text(await b.get('metadata/2.snapshot.json', 10))).toBe('one');
        await b.replace(POINTER, pointer, token);
      }),
    );

    test(
      'writes what it is given, whatever was staged for the name, and keeps what stands there',
      withStore(async (a, b) => {
        for (const staged of ['first', 'second']) await a.stage?.('once', utf8(staged));
        expect(await a.putImmutable('once', utf8('other'))).toBe('created');
        expect(text(await b.get('once', 10))).toBe('other');
        const late = utf8('late');
        await a.stage?.('once', late);
        expect(await a.putImmutable('once', late)).toBe('exists');
        expect(text(await b.get('once', 10))).toBe('other');
        const token = await b.replace(POINTER, utf8('1'), undefined);
        const two = utf8('2');
        await a.stage?.(POINTER, two);
        await b.replace(POINTER, utf8('11'), token);
        await expect(a.replace(POINTER, two, token)).rejects.toMatchObject({ code: 'store-conflict' });
        expect(text(await b.get(POINTER, 10))).toBe('11');
      }),
    );

    test.each(['', '/', '/etc/x', 'a/', 'a//b', '.', '..', 'a/../b', 'a/./b', '../x', 'a\\b', 'a\0b'])(
      'refuses the name %j',
      async (bad) => {
        const [store] = await open();
        const refused = { code: 'metadata-invalid' };
        await expect(store.get(bad, 10)).rejects.toMatchObject(refused);
        await expect(store.putImmutable(bad, utf8('x'))).rejects.toMatchObject(refused);
        await expect(store.replace(bad, utf8('x'), undefined)).rejects.toMatchObject(refused);
        await expect(store.remove(bad)).rejects.toMatchObject(refused);
        if (store.stage !== undefined)
          await expect(store.stage(bad, utf8('x'))).rejects.toMatchObject(refused);
      },
    );
  });
}

function text(object: { bytes: Uint8Array } | undefined): string | undefined {
  return object === undefined ? undefined : Buffer.from(object.bytes).toString('utf8');
}

async function listing(store: ObjectStore, prefix: string): Promise<string[]> {
  const found: string[] = [];
  for await (const { name, size } of store.list(prefix)) found.push(`${name} ${size}`);
  return found.sort();
}
