// The golden repository: fixed keys, a clock that the test sets, fixed events. Whatever changes a single byte that is
// published fails here, and is looked at by a person. After a deliberate change write the new bytes with
//
//   GOLDEN=update npx vitest run --config test/vitest.config.ts test/golden
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { describe, expect, test } from 'vitest';
import { sha256Hex } from '../../src/lib/bytes.ts';
import { DELEGATION_FORMATS } from '../../src/tuf/delegations.ts';
import { expectSound } from '../support/oracle.ts';
import { accept, foundRepository, publishAll, targetOf } from '../support/repository.ts';

const EXPECTED = new URL('expected/', import.meta.url);
const UPDATE = process.env['GOLDEN'] === 'update';
const HOUR_MS = 3_600_000;

/** Files that are kept whole, one of each role, so that a difference can be read. */
const WHOLE = [
  'timestamp.json',
  '4.snapshot.json',
  '1.root.json',
  '1.targets.json',
  '1.bins.json',
  '2.bin-2.json',
] as const;

async function goldenRepository(format: (typeof DELEGATION_FORMATS)[number]): Promise<Map<string, Buffer>> {
  const repository = await foundRepository({ bins: 8, format });
  const { clock, store } = repository;
  clock.advance(HOUR_MS);
  const custom = { 'requires-python': '>=3.9', tags: ['py3', 'none', 'any'], yanked: false };
  await accept(repository, [
    { op: 'add', path: 'packages/ab/cd/example-1.0-py3-none-any.whl', target: { ...targetOf('wheel'), custom } },
    { op: 'add', path: 'simple/example/index.html', target: targetOf('index with one file') },
  ]);
  await accept(repository, [{ op: 'add', path: 'packages/01/23/second-0.1.tar.gz', target: targetOf('sdist') }]);
  await publishAll(repository);
  clock.advance(HOUR_MS);
  await accept(repository, [
    { op: 'remove', path: 'packages/ab/cd/example-1.0-py3-none-any.whl' },
    { op: 'put', path: 'simple/example/index.html', target: targetOf('index without files') },
  ]);
  await accept(repository, [{ op: 'remove', path: 'never/there' }]);
  await publishAll(repository);
  clock.advance(11 * HOUR_MS);
  await publishAll(repository);
  await expectSound(repository);
  const files = new Map<string, Buffer>();
  for (const name of store.names()) {
    const object = await store.get(name, 10_000_000);
    if (object !== undefined) files.set(name.replace('metadata/', ''), Buffer.from(object.bytes));
  }
  return files;
}

describe.each([...DELEGATION_FORMATS])('%s', (format) => {
  const folder = new URL(`${format}/`, EXPECTED);

  test('every byte is as before', async () => {
    const files = await goldenRepository(format);
    const listing = [...files].map(([name, bytes]) => `${sha256Hex(bytes)}  ${name}\n`).join('');
    if (UPDATE) await update(folder, listing, files);
    for (const name of WHOLE) {
      const expected = await readFile(new URL(name, folder), 'utf8');
      expect(files.get(name)?.toString(), name).toBe(expected);
    }
    expect(listing).toBe(await readFile(new URL('SHA256SUMS', folder), 'utf8'));
  });
});

async function update(folder: URL, listing: string, files: ReadonlyMap<string, Buffer>): Promise<void> {
  await rm(folder, { recursive: true, force: true });
  await mkdir(folder, { recursive: true });
  await writeFile(new URL('SHA256SUMS', folder), listing);
  for (const name of WHOLE) await writeFile(new URL(name, folder), files.get(name) ?? '');
}
