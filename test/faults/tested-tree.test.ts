// The mark with which `npm run check` leaves out what `npm test` has just done: whatever could make the two runs differ
// must unmake it.
import { execFileSync } from 'node:child_process';
import { chmod, mkdir, rm, symlink, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { expect, test } from 'vitest';
import { runMarked, testedBefore, treeDigest } from '../../scripts/tested-tree.ts';
import { tempDir } from '../support/temp-dir.ts';

const AT = Date.UTC(2026, 2, 1, 12);
const ENV = { PATH: '/bin' };

async function checkout(): Promise<{ folder: string; write: (name: string, text: string) => Promise<void> }> {
  const folder = await tempDir();
  const write = async (name: string, text: string): Promise<void> => {
    await mkdir(path.dirname(path.join(folder, name)), { recursive: true });
    await writeFile(path.join(folder, name), text);
  };
  execFileSync('git', ['init', '--quiet', folder]);
  await write('.gitignore', 'dist/\nnode_modules/\n');
  await write('src/tracked.ts', 'a');
  await write('src/gone.ts', 'a');
  execFileSync('git', ['add', '.'], { cwd: folder });
  await write('src/new.ts', 'a');
  await write('dist/src/tracked.js', 'a');
  await write('node_modules/.package-lock.json', '{}');
  return { folder, write };
}

const digestOf = (folder: string): Promise<string | undefined> => treeDigest(folder, ENV, 'v20.0.0');

async function isMarked(folder: string, env: NodeJS.ProcessEnv = ENV, node = 'v20.0.0'): Promise<boolean> {
  return (await testedBefore(folder, await treeDigest(folder, env, node))) !== undefined;
}

function npmTest(folder: string, args: string[] = [], run: () => number | Promise<number> = () => 0) {
  return runMarked(folder, args, run, () => AT, digestOf);
}

test('a whole run that passed marks the tree, and says when', async () => {
  const { folder } = await checkout();
  expect(await isMarked(folder)).toBe(false);
  expect(await npmTest(folder)).toBe(0);
  const tested = await testedBefore(folder, await digestOf(folder));
  expect(tested?.at).toBe('2026-03-01T12:00:00.000Z');
});

test('no mark from a run that failed, that was told which tests to run, or during which something changed', async () => {
  const { folder, write } = await checkout();
  expect(await npmTest(folder, [], () => 1)).toBe(1);
  expect(await isMarked(folder)).toBe(false);
  for (const args of [['test/vectors'], ['-t', 'one'], ['--shard=1/2']]) {
    expect(await npmTest(folder, args)).toBe(0);
    expect(await isMarked(folder)).toBe(false);
  }
  await npmTest(folder, [], async () => {
    await write('src/tracked.ts', 'b');
    return 0;
  });
  expect(await isMarked(folder)).toBe(false);
});

test('the mark of an earlier run is gone when a later one fails, or is killed', async () => {
  const { folder } = await checkout();
  await npmTest(folder);
  expect(await isMarked(folder)).toBe(true);
  await expect(npmTest(folder, [], () => Promise.reject(new Error('killed')))).rejects.toThrow('killed');
  expect(await isMarked(folder)).toBe(false);
});

const CHANGES: [what: string, change: (folder: string) => unknown][] = [
  ['a byte of a tracked file', (folder) => writeFile(path.join(folder, 'src/tracked.ts'), 'b')],
  ['a byte of a new file', (folder) => writeFile(path.join(folder, 'src/new.ts'), 'b')],
  ['one more file', (folder) => writeFile(path.join(folder, 'src/more.ts'), '')],
  ['a file less', (folder) => rm(path.join(folder, 'src/gone.ts'))],
  ['a new name', (folder) => execFileSync('mv', ['src/new.ts', 'src/newer.ts'], { cwd: folder })],
  ['a mode', (folder) => chmod(path.join(folder, 'src/tracked.ts'), 0o755)],
  ['a link', (folder) => symlink('tracked.ts', path.join(folder, 'src/link.ts'))],
  ['what is ignored', (folder) => writeFile(path.join(folder, '.gitignore'), 'dist/\nnode_modules/\n*.md\n')],
  ['a built program', (folder) => writeFile(path.join(folder, 'dist/src/tracked.js'), 'b')],
  ['a package', (folder) => writeFile(path.join(folder, 'node_modules/.package-lock.json'), '{"a":1}')],
];
test.each(CHANGES)('%s changes, and the mark holds no longer', async (_, change) => {
  const { folder } = await checkout();
  await npmTest(folder);
  expect(await isMarked(folder)).toBe(true);
  await change(folder);
  expect(await isMarked(folder)).toBe(false);
});

test('it holds for one Node and the same settings only, and not without git', async () => {
  const { folder } = await checkout();
  await npmTest(folder);
  expect(await isMarked(folder, ENV, 'v26.0.0')).toBe(false);
  for (const name of ['SLOW', 'GOLDEN', 'CI', 'COUNTERSIGN_STORE']) {
    expect(await isMarked(folder, { ...ENV, [name]: '1' })).toBe(false);
  }
  expect(await isMarked(folder, { ...ENV, HOME: '/elsewhere' })).toBe(true);
  await rm(path.join(folder, '.git'), { recursive: true });
  expect(await isMarked(folder)).toBe(false);
  expect(await npmTest(folder)).toBe(0);
  expect(await isMarked(folder)).toBe(false);
});
