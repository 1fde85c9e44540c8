// The disk of a mirror is full: what it shows stays whole, the error says what could not be written and why, nothing half
// written is left, and the next run with more room goes on where this one stopped.
import { createHash } from 'node:crypto';
import { readdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { expect, test } from 'vitest';
import { systemClock } from '../../src/lib/clock.ts';
import { ManualClock } from '../support/manual-clock.ts';
import { accept, foundRepository, publishAll, publishPaths } from '../support/repository.ts';
import { serveRepository } from '../support/repository-server.ts';
import { runCommand } from '../support/service-process.ts';
import { smallDisk } from '../support/small-disk.ts';
import { tempDir } from '../support/temp-dir.ts';
import { isWholeMirror } from '../support/whole-mirror.ts';

const SLOW = process.env['SLOW'] !== undefined;

const FILES = 40;
const FILE_BYTES = 128 * 1024;

test.each([
  { where: 'beside what is shown', ownState: true },
  ...(SLOW ? [{ where: 'on another disk', ownState: false }] : []),
])('the state of the mirror $where', { timeout: 120_000 }, async ({ ownState }) => {
  const disk = await smallDisk(4);
  if (disk === undefined) {
    console.log('skipped: this user may not mount a file system');
    return;
  }
  const repository = await foundRepository({ bins: 4, clock: new ManualClock(systemClock.now() - 60_000) });
  await publishPaths(repository, ['p/before']);
  const large = new Map<string, Buffer>();
  const server = await serveRepository({
    get: async (name, maxBytes) => {
      const content = large.get(name);
      return content === undefined ? repository.store.get(name, maxBytes) : { bytes: content };
    },
  });
  const folder = await tempDir();
  await writeFile(path.join(folder, 'root.json'), repository.rootBytes);
  const mirror = path.join(disk.folder, 'mirror');
  const command = [
    ...['mirror', '--metadata-url', `${server.url}/metadata`, '--root', 'root.json', '--to', mirror],
    ...['--targets', '--target-base-url', `${server.url}/targets`, '--jobs', '4'],
    ...(ownState ? [] : ['--state', path.join(folder, 'state')]),
  ];
  expect(await runCommand(folder, command)).toMatchObject({ how: 0, stderr: '' });

  // 5 MB on 4.
  for (let n = 0; n < FILES; n++) {
    const content = Buffer.alloc(FILE_BYTES, `file ${n} `);
    const sha256 = createHash('sha256').update(content).digest('hex');
    large.set(`targets/p/${sha256}.${n}`, content);
    const target = { length: FILE_BYTES, hashes: { sha256 } };
    await accept(repository, [{ op: 'add', path: `p/${n}`, target }]);
  }
  await publishAll(repository);
  const full = await runCommand(folder, command);
  expect(full).toMatchObject({ how: 3, stdout: '' });
  expect(full.stderr).toMatch(/^countersign: .*(no space left|disk is full)/i);
  expect(await isWholeMirror(mirror, repository.rootBytes)).toBe(true);
  expect(await readdir(path.join(mirror, '.staging')).catch(() => [])).toEqual([]);
  const kept = (await readdir(path.join(mirror, 'targets/p'))).length;
  expect(kept).toBeGreaterThan(5);

  // Not full any more, without having to be told: what was taken is not taken again.
  await disk.grow(12);
  server.requests.length = 0;
  expect(await runCommand(folder, command)).toMatchObject({ how: 0, stderr: '' });
  expect(await isWholeMirror(mirror, repository.rootBytes)).toBe(true);
  expect(await readdir(path.join(mirror, 'targets/p'))).toHaveLength(FILES + 1);
  const taken = server.requests.filter((name) => name.startsWith('targets/')).length;
  expect(taken).toBeLessThanOrEqual(FILES + 1 - kept);
});

test.skipIf(!SLOW)('the disk of its state alone', { timeout: 120_000 }, async () => {
  const disk = await smallDisk(1);
  if (disk === undefined) {
    console.log('skipped: this user may not mount a file system');
    return;
  }
  const repository = await foundRepository({ bins: 4, clock: new ManualClock(systemClock.now() - 60_000) });
  const server = await serveRepository(repository.store);
  const folder = await tempDir();
  await writeFile(path.join(folder, 'root.json'), repository.rootBytes);
  const state = path.join(disk.folder, 'state');
  const command = [
    ...['mirror', '--metadata-url', `${server.url}/metadata`, '--root', 'root.json', '--to', 'mirror'],
    ...['--targets', '--target-base-url', `${server.url}/targets`, '--state', state],
  ];
  const expectFull = async (args: readonly string[]): Promise<void> => {
    const { how, stderr } = await runCommand(folder, args);
    expect([how, stderr]).toEqual([
      3,
      expect.stringMatching(/^countersign: .*(no space left|is full|disk I\/O)/i),
    ]);
    expect(stderr).toContain(state);
  };
  await disk.fill();
  await expectFull(command);
  await disk.empty();
  expect(await runCommand(folder, command)).toMatchObject({ how: 0, stderr: '' });
  await publishPaths(
    repository,
    Array.from({ length: 40 }, (_, n) => `p/${n}`),
  );
  await disk.fill();
  await expectFull(command);
  // Another selection is a line in the journal too.
  await expectFull([...command, '--exclude', 'q/*']);
  expect(await isWholeMirror(path.join(folder, 'mirror'), repository.rootBytes)).toBe(true);
  await disk.empty();
  expect(await runCommand(folder, command)).toMatchObject({ how: 0, stderr: '' });
  expect(await isWholeMirror(path.join(folder, 'mirror'), repository.rootBytes)).toBe(true);
});
