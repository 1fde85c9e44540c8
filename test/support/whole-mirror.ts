// What a client sees of a mirror that knows nothing but a root: the judge of every mirror that was broken off.
import { expect } from 'vitest';
import { targetObjects } from '../../src/client/mirror/object-names.ts';
import { verifyCopy, type CopyFiles } from '../../src/client/mirror/verify.ts';
import { systemClock } from '../../src/lib/clock.ts';
import { openFileStore } from '../../src/storage/file-store.ts';
import { ReadDirectory } from '../../src/storage/read-directory.ts';
import type { ObjectStore } from '../../src/storage/store.ts';
import { expectSound } from './oracle.ts';

/** What a mirror shows, twice: to fsck and web servers, and to whoever verifies every file. */
export interface Shown {
  readonly store: ObjectStore;
  readonly files: CopyFiles;
}

/** Of the mirror in a directory. */
export async function shownIn(directory: string): Promise<Shown> {
  return { store: await openFileStore(directory), files: await ReadDirectory.open(directory) };
}

/** Fails unless fsck and our client find everything that is named, whole; false: nothing is shown yet. */
export async function isWholeMirror(
  directory: string,
  rootBytes: Uint8Array,
  clock = systemClock,
): Promise<boolean> {
  return isWholeCopy(await shownIn(directory), rootBytes, clock);
}

/** The same of a mirror in any place. */
export async function isWholeCopy(
  { store, files }: Shown,
  rootBytes: Uint8Array,
  clock = systemClock,
): Promise<boolean> {
  if ((await store.get('metadata/timestamp.json', 100_000)) === undefined) return false;
  await expectSound({ store, clock, rootBytes, mirror: true });
  const faults: unknown[] = [];
  await verifyCopy({
    metadata: files,
    rootBytes,
    clock,
    targets: { files, objects: targetObjects },
    complete: true,
    progress: () => undefined,
    fault: (fault) => faults.push(fault),
  });
  expect(faults).toEqual([]);
  return true;
}
