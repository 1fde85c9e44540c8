// What a client sees of a mirror's directory that knows nothing but a root: the judge of every mirror that was broken off.
import { expect } from 'vitest';
import { targetObjects } from '../../src/client/mirror/object-names.ts';
import { verifyCopy } from '../../src/client/mirror/verify.ts';
import { systemClock } from '../../src/lib/clock.ts';
import { openFileStore } from '../../src/storage/file-store.ts';
import { ReadDirectory } from '../../src/storage/read-directory.ts';
import { expectSound } from './oracle.ts';

/** Fails unless fsck and our client find everything that is named, whole; false: nothing is shown yet. */
export async function isWholeMirror(
  directory: string,
  rootBytes: Uint8Array,
  clock = systemClock,
): Promise<boolean> {
  const store = await openFileStore(directory);
  if ((await store.get('metadata/timestamp.json', 100_000)) === undefined) return false;
  await expectSound({ store, clock, rootBytes, mirror: true });
  const copy = await ReadDirectory.open(directory);
  const faults: unknown[] = [];
  await verifyCopy({
    metadata: copy,
    rootBytes,
    clock,
    targets: { files: copy, objects: targetObjects },
    complete: true,
    progress: () => undefined,
    fault: (fault) => faults.push(fault),
  });
  expect(faults).toEqual([]);
  return true;
}
