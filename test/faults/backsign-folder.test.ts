// Only one process at a time works in the folder of a back-signing run, and none that was killed keeps it.
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { takeFolder } from '../../src/backsign/take-folder.ts';
import { WorkFolder } from '../../src/backsign/work-folder.ts';
import { runChild } from '../support/child.ts';
import { tempDir } from '../support/temp-dir.ts';

const PROCESSES = 6;

test('processes that wait for the folder of a killed one take it one after the other', async () => {
  const directory = await tempDir();
  const journal = join(directory, 'journal');
  writeFileSync(journal, '');
  const release = takeFolder(new WorkFolder(directory), 'here:1:1');
  const children = Array.from({ length: PROCESSES }, () => runChild('folder-taker.ts', [directory, journal]));
  release();
  await Promise.all(children.map(({ ended }) => ended));
  const lines = readFileSync(journal, 'utf8').trim().split('\n');
  expect(lines).toHaveLength(2 * PROCESSES);
  for (let i = 0; i < lines.length; i += 2) {
    const [, name = ''] = (lines[i] ?? '').split(' ');
    expect(lines.slice(i, i + 2)).toEqual([`in ${name}`, `out ${name}`]);
  }
}, 60_000);

test('whoever comes second is told who has the folder', async () => {
  const folder = new WorkFolder(await tempDir());
  const release = takeFolder(folder, 'here:1:1');
  expect(() => takeFolder(folder, 'here:2:1')).toThrow(`${folder.path} is in use by here:1:1`);
  release();
  takeFolder(folder, 'here:2:1')();
});

test('a folder that does not exist is named', async () => {
  const folder = new WorkFolder(join(await tempDir(), 'absent'));
  expect(() => takeFolder(folder, 'here:1:1')).toThrow(`cannot take ${folder.path}`);
});
