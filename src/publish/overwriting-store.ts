// The store of a repository whose online key was stolen. What stands in timestamp.json may be the thief's: whatever it is,
// it keeps neither the publication that ends the theft from being shown, nor one that was committed before from being completed.
import type { ObjectStore } from '../storage/store.ts';

/** Bytes: what a stranger left there may be larger than what clients read. */
const MAX_STRANGE_TIMESTAMP_BYTES = 64 * 1024 * 1024;

/** `store`, in which `replace` without a token replaces whatever is there. */
export function overwritingStore(store: ObjectStore): ObjectStore {
  return {
    get: (name, maxBytes) => store.get(name, maxBytes),
    putImmutable: (name, bytes) => store.putImmutable(name, bytes),
    replace: async (name, bytes, token) =>
      store.replace(name, bytes, token ?? (await store.get(name, MAX_STRANGE_TIMESTAMP_BYTES))?.token),
    list: (prefix) => store.list(prefix),
    remove: (name) => store.remove(name),
  };
}
