// Stores of a mirror in a process that ends between two writes.
import type { LargeObjects } from '../../src/storage/large-objects.ts';
import type { ObjectStore } from '../../src/storage/store.ts';

/** The same stores, which end the process before the write after `allowed` ones. */
export function breakAfter(
  allowed: number,
  store: ObjectStore,
  files: LargeObjects,
): { store: ObjectStore; files: LargeObjects } {
  let count = 0;
  const step = async <T>(work: () => Promise<T>): Promise<T> => {
    count += 1;
    if (count > allowed) throw new Error('the process ends here');
    return work();
  };
  return {
    store: {
      get: (name, maxBytes) => store.get(name, maxBytes),
      list: (prefix) => store.list(prefix),
      putImmutable: (name, bytes) => step(() => store.putImmutable(name, bytes)),
      replace: (name, bytes, token) => step(() => store.replace(name, bytes, token)),
      remove: (name) => step(() => store.remove(name)),
    },
    files: {
      size: (name) => files.size(name),
      read: (name) => files.read(name),
      write: (name, length, body) => step(() => files.write(name, length, body)),
      remove: (name) => step(() => files.remove(name)),
    },
  };
}
