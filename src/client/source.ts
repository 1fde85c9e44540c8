// Where a repository is read from: a store, or a URL. Nothing that comes from it is trusted.

export interface RepositorySource {
  /**
   * The object, whole, or undefined when there is none.
   * @throws CountersignError `metadata-too-large` when it has more than `maxBytes`; `store-unavailable`.
   */
  get(name: string, maxBytes: number): Promise<Uint8Array | undefined>;

  /** All objects whose name starts with `prefix`; absent where nobody can tell (a web server). */
  list?(prefix: string): AsyncIterable<{ readonly name: string; readonly size: number }>;
}

interface ReadableStore {
  get(name: string, maxBytes: number): Promise<{ readonly bytes: Uint8Array } | undefined>;
  list(prefix: string): AsyncIterable<{ readonly name: string; readonly size: number }>;
}

/** An object store as a source. */
export function storeSource(store: ReadableStore): RepositorySource {
  return {
    get: async (name, maxBytes) => (await store.get(name, maxBytes))?.bytes,
    list: (prefix) => store.list(prefix),
  };
}
