// What a bin gets, read from the store (./staging.ts), which is not trusted.
import { sha256Hex } from '../lib/bytes.ts';
import { CountersignError, hasCode } from '../lib/errors.ts';
import type { ObjectStore, StoredObject } from '../storage/store.ts';
import { stagedName } from '../tuf/layout.ts';
import type { IndexedBin } from './indexed-bin.ts';

/** The entries of one bin. @throws as `checkStaged`; `store-unavailable`. */
export async function stagedEntries(
  store: Pick<ObjectStore, 'get'>,
  digest: string,
  { bin, bytes: length, sha256 }: IndexedBin,
): Promise<Buffer> {
  const name = stagedName(digest, String(bin));
  const { bytes } = (await getStaged(store, name, length)) ?? {};
  checkStaged(name, bytes, sha256);
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/**
 * An object that was staged, at most as long as it was then.
 * @throws CountersignError `backsign-state` when it is longer; `store-unavailable`.
 */
async function getStaged(
  store: Pick<ObjectStore, 'get'>,
  name: string,
  length: number,
): Promise<StoredObject | undefined> {
  try {
    return await store.get(name, length);
  } catch (error) {
    if (!hasCode(error, 'metadata-too-large')) throw error;
    throw new CountersignError(
      'backsign-state',
      `${name} in the store is not what was ordered: ${error.message}`,
      {
        cause: error,
      },
    );
  }
}

/**
 * Holds an object to the SHA-256 that the order says.
 * @throws CountersignError `backsign-state` that names it.
 */
export function checkStaged(name: string, bytes: Uint8Array | undefined, sha256: string): asserts bytes {
  const found = bytes && sha256Hex(bytes);
  if (found === sha256) return;
  throw new CountersignError(
    'backsign-state',
    `${name} in the store ${found === undefined ? 'is missing' : `has the sha256 ${found}`}, ordered was ${sha256}: ` +
      'put it back with "countersign backsign --resume", on the computer that has the folder of the run',
  );
}
