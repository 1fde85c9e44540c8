// The disk of a back-signing run is full: the error names the file and why, and the run goes on when there is room again.
import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { expect, test } from 'vitest';
import { modelFile } from '../../scripts/bench/model-files.ts';
import { KeptPages } from '../../src/backsign/sources/kept-pages.ts';
import { rehearse, runCommand } from '../support/service-process.ts';
import { smallDisk } from '../support/small-disk.ts';
import { tempDir } from '../support/temp-dir.ts';

const FILES = 20_000;

test('reading a list: the same run goes on with more room', { timeout: 120_000 }, async () => {
  const disk = await smallDisk(2);
  if (disk === undefined) {
    console.log('skipped: this user may not mount a file system');
    return;
  }
  const directory = path.join(await tempDir(), 'installation');
  await rehearse(directory, 16);
  expect((await runCommand(directory, ['bootstrap', 'bundle.json'])).how).toBe(0);
  const lines = Array.from({ length: FILES }, (_, number) => {
    const { path: target, target: file } = modelFile(2, number);
    return JSON.stringify({ path: target, length: file.length, sha256: file.hashes.sha256 });
  });
  await writeFile(path.join(directory, 'list.ndjson'), `${lines.join('\n')}\n`);
  const state = path.join(disk.folder, 'state');
  const full = await runCommand(directory, ['backsign', '--manifest', 'list.ndjson', '--state', state]);
  expect(full.how, full.stderr).toBe(1);
  expect(full.stderr).toContain(`cannot write ${path.join(state, 'records')}/`);
  expect(full.stderr).toContain('no space left on device');
  await disk.grow(64);
  const resumed = await runCommand(directory, ['backsign', '--resume', '--state', state, '--json']);
  expect(resumed.how, resumed.stderr).toBe(0);
  expect(JSON.parse(resumed.stdout)).toMatchObject({ files: FILES, result: { agreed: FILES } });
});

test('reading an index: a page that did not fit is no page', async () => {
  const disk = await smallDisk(1);
  if (disk === undefined) {
    console.log('skipped: this user may not mount a file system');
    return;
  }
  const folder = path.join(disk.folder, 'state');
  await mkdir(folder);
  const file = path.join(folder, 'pages.ndjson');
  const page = (project: string, bytes: number) => ({ project, files: [{ path: 'x'.repeat(bytes) }] });
  const pages = new KeptPages(file);
  pages.add(page('fits', 10));
  await disk.fill();
  expect(() => {
    pages.add(page('large', 500_000));
  }).toThrow(`cannot write ${file}: ENOSPC`);
  await disk.empty();
  pages.add(page('later', 10));
  pages.close();
  const again = new KeptPages(file);
  expect([...again.all()].map(({ project }) => project)).toEqual(['fits', 'later']);
  again.close();
});
