// Large objects in a directory keep what large-objects.ts promises: whole or not at all, whatever the body does.
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { openFileLargeObjects } from '../../src/storage/file-large-objects.ts';
import type { LargeObjects } from '../../src/storage/large-objects.ts';
import { tempDir } from '../support/temp-dir.ts';

async function* body(...parts: readonly (string | Error)[]): AsyncGenerator<Uint8Array> {
  for (const part of parts) {
    await Promise.resolve();
    if (part instanceof Error) throw part;
    yield Buffer.from(part);
  }
}

async function text(objects: LargeObjects, name: string): Promise<string> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of objects.read(name)) chunks.push(chunk);
  return Buffer.concat(chunks).toString();
}

test('writes, replaces, reads and removes, and leaves no empty directories behind', async () => {
  const directory = await tempDir();
  const objects = await openFileLargeObjects(directory);
  expect(await objects.size('targets/a/b/file')).toBeUndefined();
  await objects.write('targets/a/b/file', 6, body('fir', 'st!'));
  expect(await text(objects, 'targets/a/b/file')).toBe('first!');
  await objects.write('targets/a/b/file', 6, body('second'));
  expect(await objects.size('targets/a/b/file')).toBe(6);
  expect(await text(objects, 'targets/a/b/file')).toBe('second');
  await objects.remove('targets/a/b/file');
  await objects.remove('targets/a/b/file');
  expect(await readdir(join(directory, 'targets'))).toEqual([]);
  await expect(text(objects, 'targets/a/b/file')).rejects.toMatchObject({ code: 'not-found' });
  await objects.write('targets/a/b/file', 1, body('x'));
});

test('a body that fails at its end, or is too short, changes nothing', async () => {
  const directory = await tempDir();
  const objects = await openFileLargeObjects(directory);
  await objects.write('targets/file', 4, body('good'));
  await expect(objects.write('targets/file', 4, body('evil', new Error('wrong hash')))).rejects.toThrow();
  await expect(objects.write('targets/file', 9, body('short'))).rejects.toMatchObject({ code: 'internal' });
  expect(await text(objects, 'targets/file')).toBe('good');
  expect(await readdir(join(directory, '.staging'))).toEqual([]);
  await expect(objects.write('targets/../x', 1, body('x'))).rejects.toMatchObject({
    code: 'metadata-invalid',
  });
});
