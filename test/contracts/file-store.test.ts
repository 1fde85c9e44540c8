// The file store passes the contract with two stores on one directory, and what only a disk can do to it.
import { createHash } from 'node:crypto';
import { mkdir, readdir, readFile, rm, stat, symlink, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, onTestFinished, test } from 'vitest';
import Database from 'libsql';
import { utf8 } from '../../src/lib/bytes.ts';
import { DirectorySync } from '../../src/storage/durable-file.ts';
import { directCalls } from '../../src/storage/file-calls.ts';
import { openFileStore } from '../../src/storage/file-store.ts';
import { runChild } from '../support/child.ts';
import { tempDir } from '../support/temp-dir.ts';
import { storeContract } from './store.contract.ts';

storeContract('file', async () => {
  const dir = await tempDir();
  return Promise.all([openFileStore(dir), openFileStore(dir)]);
});

storeContract('file, calls made on this thread', async () => {
  const dir = await tempDir();
  return Promise.all([openFileStore(dir, directCalls), openFileStore(dir)]);
});

const unavailable = (message: RegExp) => ({
  code: 'store-unavailable',
  message: expect.stringMatching(message) as string,
});

describe('processes', () => {
  test('a writer that is killed leaves whole objects, no lock and nothing behind', async () => {
    const dir = await tempDir();
    for (let round = 0; round < 4; round++) {
      const tag = `round${round}`;
      const writer = runChild('store-writer.ts', [dir, tag]);
      await writer.untilLines(3 + round * 7);
      writer.process.kill('SIGKILL');
      expect(await writer.ended).toBe('SIGKILL');

      const found = (await readdir(join(dir, 'metadata'))).map((file) => `metadata/${file}`);
      expect(found).toEqual(expect.arrayContaining([...writer.lines]));
      for (const name of found) {
        const whole = Buffer.alloc(200_000, createHash('sha256').update(name).digest('hex'));
        expect((await readFile(join(dir, name))).equals(whole), name).toBe(true);
      }
      const store = await openFileStore(dir);
      expect(await readdir(join(dir, '.staging'))).toEqual([]);
      const counter = await store.get('counter', 100);
      await store.replace('counter', utf8('0'), counter?.token);
    }
  });

  test('two processes that count with replace lose no step', async () => {
    const dir = await tempDir();
    const children = [1, 2].map(() => runChild('store-writer.ts', [dir, '40', 'count']));
    expect(await Promise.all(children.map(({ ended }) => ended))).toEqual([0, 0]);
    const counter = await (await openFileStore(dir)).get('counter', 100);
    expect(Buffer.from(counter?.bytes ?? []).toString()).toBe('80');
  });

  test('a process that holds the lock and stands still makes the others fail, not wait for ever', async () => {
    const dir = await tempDir();
    const store = await openFileStore(dir);
    const token = await store.replace('pointer', utf8('1'), undefined);
    const holder = new Database(join(dir, '.lock'));
    onTestFinished(() => {
      holder.close();
    });
    holder.exec('BEGIN EXCLUSIVE');
    await expect(store.replace('pointer', utf8('2'), token)).rejects.toMatchObject(
      unavailable(/locked by another process/),
    );
    expect(await readdir(join(dir, '.staging'))).toEqual([]);
    holder.exec('ROLLBACK');
    await store.replace('pointer', utf8('2'), token);
  });

  test('who opens the lock while another process holds it waits for it like everybody else', async () => {
    const dir = await tempDir();
    const store = await openFileStore(dir);
    const holder = new Database(join(dir, '.lock'));
    holder.exec('BEGIN EXCLUSIVE');
    const written = store.replace('pointer', utf8('1'), undefined);
    await sleep(50);
    holder.exec('ROLLBACK');
    holder.close();
    await written;
    expect((await store.get('pointer', 10))?.bytes).toHaveLength(1);
  });

  test('what a living process has staged is left alone, what is an hour old is not', async () => {
    const dir = await tempDir();
    await openFileStore(dir);
    const staging = join(dir, '.staging');
    await writeFile(join(staging, 'ffffffff-1-of-another-host'), 'x');
    await writeFile(join(staging, 'ffffffff-2-of-another-host'), 'x');
    const store = await openFileStore(dir);
    expect(await readdir(staging)).toHaveLength(2);
    const old = (await stat(staging)).mtimeMs / 1000 - 3700;
    await utimes(join(staging, 'ffffffff-2-of-another-host'), old, old);
    await Promise.all([store.putImmutable('large', new Uint8Array(5_000_000)), openFileStore(dir)]);
    expect(await readdir(staging)).toEqual(['ffffffff-1-of-another-host']);
  });
});

describe('what is staged for a write', () => {
  test('is on the disk before the write, and gone from the staging directory after it', async () => {
    const dir = await tempDir();
    const store = await openFileStore(dir);
    const bytes = utf8('snapshot');
    await store.stage?.('metadata/2.snapshot.json', bytes);
    const [staged = ''] = await readdir(join(dir, '.staging'));
    const { ino } = await stat(join(dir, '.staging', staged));
    await store.putImmutable('metadata/2.snapshot.json', bytes);
    expect((await stat(join(dir, 'metadata/2.snapshot.json'))).ino).toBe(ino);
    expect(await readdir(join(dir, '.staging'))).toEqual([]);
  });

  test('does not pile up when the writes never come, and goes with the process', async () => {
    const dir = await tempDir();
    const writer = runChild('store-writer.ts', [dir, '40', 'stage']);
    expect(await writer.ended).toBe(0);
    expect((await readdir(join(dir, '.staging'))).length).toBeLessThanOrEqual(4);
    await openFileStore(dir);
    expect(await readdir(join(dir, '.staging'))).toEqual([]);
  });
});

describe('a disk that does not do what it should', () => {
  test('a write that fails half-way leaves no object and nothing staged', async () => {
    const dir = await tempDir();
    const writer = runChild('store-writer.ts', [dir, 'metadata/1.big.json', 'one'], { fileSizeLimitKiB: 64 });
    expect(await writer.ended).toBe(0);
    expect(writer.lines[0]).toMatch(/^store-unavailable cannot write metadata\/1\.big\.json: EFBIG/);
    expect(await readdir(join(dir, 'metadata'))).toEqual([]);
    expect(await readdir(join(dir, '.staging'))).toEqual([]);
  });

  test('a regular file where a directory should be', async () => {
    const dir = await tempDir();
    const store = await openFileStore(dir);
    await store.putImmutable('plain', utf8('x'));
    await expect(store.putImmutable('plain/x', utf8('y'))).rejects.toMatchObject(unavailable(/plain/));
    await expect(openFileStore(join(dir, 'plain'))).rejects.toMatchObject(unavailable(/plain.*EEXIST/));
  });

  test('a directory that disappears is made again', async () => {
    const dir = await tempDir();
    const store = await openFileStore(dir);
    await store.putImmutable('metadata/1.root.json', utf8('x'));
    await rm(join(dir, 'metadata'), { recursive: true });
    expect(await store.get('metadata/1.root.json', 10)).toBeUndefined();
    await expect(store.putImmutable('metadata/2.root.json', utf8('y'))).rejects.toMatchObject(
      unavailable(/cannot write metadata\/2\.root\.json: ENOENT/),
    );
    expect(await store.putImmutable('metadata/2.root.json', utf8('y'))).toBe('created');
  });

  test('symbolic links lead nowhere', async () => {
    const dir = await tempDir();
    const outside = await tempDir();
    await writeFile(join(outside, 'secret'), 'secret');
    await mkdir(join(dir, 'metadata'));
    await symlink(outside, join(dir, 'linked'));
    await symlink(join(outside, 'secret'), join(dir, 'metadata', 'a'));
    await symlink(join(outside, 'new'), join(dir, 'metadata', 'b'));
    const store = await openFileStore(dir);
    await expect(store.get('metadata/a', 100)).rejects.toMatchObject(unavailable(/ELOOP/));
    await expect(store.get('linked/secret', 100)).rejects.toMatchObject(unavailable(/not a directory/));
    await expect(store.putImmutable('linked/x', utf8('x'))).rejects.toMatchObject(unavailable(/linked/));
    await expect(store.remove('linked/secret')).rejects.toMatchObject(unavailable(/linked/));
    expect(await store.putImmutable('metadata/b', utf8('x'))).toBe('exists');
    await expect(store.replace('metadata/b', utf8('x'), undefined)).rejects.toMatchObject(
      unavailable(/ELOOP/),
    );
    const names: string[] = [];
    for await (const { name } of store.list('')) names.push(name);
    expect(names).toEqual([]);
    expect(await readdir(outside)).toEqual(['secret']);
  });

  test("the store's own files cannot be reached as objects", async () => {
    const store = await openFileStore(await tempDir());
    const attempt = store.putImmutable('.staging/x', utf8('x'));
    await expect(attempt).rejects.toMatchObject({ code: 'metadata-invalid' });
    await expect(store.get('.lock', 10)).rejects.toMatchObject({ code: 'metadata-invalid' });
  });

  test('objects are read-only files', async () => {
    const dir = await tempDir();
    await (await openFileStore(dir)).putImmutable('x', utf8('x'));
    expect((await stat(join(dir, 'x'))).mode & 0o333).toBe(0);
  });
});

test('a directory fsync is shared by all who asked before it began, and by nobody else', async () => {
  const sync = new DirectorySync(await tempDir());
  const first = sync.sync();
  const [second, third] = [sync.sync(), sync.sync()];
  expect(second).toBe(third);
  expect(second).not.toBe(first);
  await first;
  const fourth = sync.sync();
  await Promise.all([second, fourth]);
  await expect(new DirectorySync('/nonexistent/directory').sync()).rejects.toThrow('ENOENT');
});
