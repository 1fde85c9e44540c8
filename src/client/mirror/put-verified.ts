// Writes a verified metadata file under its write-once name. What stands there already is compared: another content under
// the name (a damaged disk, somebody with access) is replaced, because the mirror's own store is not trusted either.
import { equalBytes } from '../../lib/bytes.ts';
import { CountersignError, hasCode } from '../../lib/errors.ts';
import type { ObjectStore, StoredObject } from '../../storage/store.ts';
import { objectNameProblem } from './object-names.ts';

/** @throws CountersignError `store-unavailable`, `metadata-invalid` for a role whose name no web server could serve. */
export async function putVerified(store: ObjectStore, name: string, bytes: Uint8Array): Promise<void> {
  const problem = objectNameProblem(name);
  if (problem !== undefined)
    throw new CountersignError('metadata-invalid', `${JSON.stringify(name)} ${problem}`);
  for (let attempt = 1; (await store.putImmutable(name, bytes)) === 'exists'; attempt++) {
    const there = await contentOf(store, name, bytes.length);
    if (there !== undefined && equalBytes(there.bytes, bytes)) return;
    if (attempt === MAX_ATTEMPTS) {
      throw new CountersignError('store-unavailable', `${name} is written by somebody else at the same time`);
    }
    await store.remove(name);
  }
}

/** How often a wrong object is taken away before somebody else is seen at work. */
const MAX_ATTEMPTS = 3;

/** What stands there; undefined also when it is longer than it should be. */
export async function contentOf(
  store: Pick<ObjectStore, 'get'>,
  name: string,
  maxBytes: number,
): Promise<StoredObject | undefined> {
  try {
    return await store.get(name, maxBytes);
  } catch (error) {
    if (hasCode(error, 'metadata-too-large')) return undefined;
    throw error;
  }
}
