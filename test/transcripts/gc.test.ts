// countersign gc as an operator meets it, about what back-signing left behind: what it says, and what it leaves alone.
import { mkdir, readdir, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { systemClock } from '../../src/lib/clock.ts';
import { rehearse, runCommand } from '../support/service-process.ts';
import { tempDir } from '../support/temp-dir.ts';

const DAY_SECONDS = 86_400;

test(
  'what a run left that was given up is counted, then removed; a young one is left',
  { timeout: 60_000 },
  async () => {
    const directory = join(await tempDir(), 'installation');
    await rehearse(directory, 2);
    expect(await runCommand(directory, ['bootstrap', 'bundle.json'])).toMatchObject({ how: 0 });
    const now = systemClock.now() / 1000;
    const runs = join(directory, 'repository', 'backsign');
    for (const [digest, age] of [
      ['a'.repeat(64), 2 * DAY_SECONDS],
      ['b'.repeat(64), 60],
    ] as const) {
      await mkdir(join(runs, digest), { recursive: true });
      for (const part of ['index', '0', '1']) {
        const file = join(runs, digest, part);
        await writeFile(file, 'four');
        await utimes(file, now - age, now - age);
      }
    }
    const left = async (digit: string): Promise<string[]> =>
      (await readdir(join(runs, digit.repeat(64)))).sort();
    const dry = await runCommand(directory, ['gc', '--dry-run']);
    expect(dry).toMatchObject({ how: 0, stderr: '' });
    expect(dry.stdout).toContain('would remove 3 objects (12 bytes) of back-signing that was given up\n');
    expect(await left('a')).toEqual(['0', '1', 'index']);
    const real = await runCommand(directory, ['gc', '--json']);
    expect(JSON.parse(real.stdout)).toMatchObject({
      stagedRemoved: 3,
      stagedRemovedBytes: 12,
      stagedKept: 3,
    });
    expect([await left('a'), await left('b')]).toEqual([[], ['0', '1', 'index']]);
    expect((await runCommand(directory, ['gc'])).stdout).not.toContain('back-signing');
  },
);
