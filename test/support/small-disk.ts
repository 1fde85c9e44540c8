// A file system of its own for a server, so small that it can be filled: memory under a mount point, which takes root.
import { execFile } from 'node:child_process';
import { open, rm } from 'node:fs/promises';
import path from 'node:path';
import process from 'node:process';
import { promisify } from 'node:util';
import { onTestFinished } from 'vitest';
import { tempDir } from './temp-dir.ts';

const run = promisify(execFile);

export interface SmallDisk {
  readonly folder: string;
  /** Takes every byte that is left. */
  fill(): Promise<void>;
  /** Gives them back. */
  empty(): Promise<void>;
  /** Gives it another size. */
  grow(megabytes: number): Promise<void>;
}

/** Undefined where this user may not mount; unmounted when the running test ends. */
export async function smallDisk(megabytes: number): Promise<SmallDisk | undefined> {
  if (process.getuid?.() !== 0) return undefined;
  const folder = await tempDir();
  const options = `size=${megabytes}m,mode=1777`;
  const mounted = await run('mount', ['-t', 'tmpfs', '-o', options, 'tmpfs', folder]).then(
    () => true,
    () => false,
  );
  if (!mounted) return undefined;
  onTestFinished(async () => {
    // What a server that was killed has left open goes with its last process.
    await run('umount', ['--lazy', folder]);
  });
  const ballast = path.join(folder, 'ballast');
  return {
    folder,
    fill: async () => {
      const file = await open(ballast, 'w');
      try {
        for (const size of [1_048_576, 4096]) await writeUntilFull(() => file.write(Buffer.alloc(size, 1)));
      } finally {
        await file.close();
      }
    },
    empty: () => rm(ballast, { force: true }),
    grow: async (size) => {
      await run('mount', ['-o', `remount,size=${size}m`, folder]);
    },
  };
}

async function writeUntilFull(write: () => Promise<unknown>): Promise<void> {
  for (;;) {
    try {
      await write();
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOSPC') return;
      throw error;
    }
  }
}
