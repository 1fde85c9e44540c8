// Directories that exist for one test.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';

/** A new directory, removed with everything in it when the running test ends. */
export async function tempDir(): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), 'countersign-'));
  onTestFinished(() => rm(path, { recursive: true, force: true }));
  return path;
}
