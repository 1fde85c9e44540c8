// The object store: public, on somebody else's disk, and not trusted (docs/trust.md). Bytes and names only: it does
// not know what TUF is. test/contracts/store.contract.ts is the suite that every adapter passes.
//
// All methods may be called concurrently, from several processes. Adapters own their retries. Every failure that is
// not listed at a method is `store-unavailable`, and the caller does not know whether a write took place.

/** Opaque: which content of a replaceable object was read. Only the store that made it understands it. */
export type VersionToken = string & { readonly __brand: 'VersionToken' };

export interface StoredObject {
  /** The caller's own from now on. */
  readonly bytes: Uint8Array;
  /** May be made from `bytes` when it is first read: leave them as they are until then. */
  readonly token: VersionToken;
}

export interface ObjectInfo {
  readonly name: string;
  /** Bytes. */
  readonly size: number;
  /** Changes whenever the object is written, whoever writes it; equal only to itself. Absent where nobody can tell. */
  readonly stamp?: string;
  /** Milliseconds since the epoch, by the store's own clock, of the last write. Absent where nobody can tell. */
  readonly writtenAt?: number;
}

export interface ObjectStore {
  /**
   * The object, whole, or undefined when there is none.
   * @throws CountersignError `metadata-too-large` when it has more than `maxBytes`; no more than that is read.
   */
  get(name: string, maxBytes: number): Promise<StoredObject | undefined>;

  /**
   * Creates a write-once object: durable, and whole at every moment, when it resolves. An object that exists is left
   * as it is, whatever its content: the caller reads it and decides. `bytes` are not looked at any more when it resolves.
   */
  putImmutable(name: string, bytes: Uint8Array): Promise<'created' | 'exists'>;

  /**
   * Replaces the one object that is ever replaced (timestamp.json), if its content is still the one of `token`
   * (undefined: if it does not exist). Readers see the old content or the new one. Durable when it resolves.
   * @throws CountersignError `store-conflict` when it has other content; nothing was written.
   */
  replace(name: string, bytes: Uint8Array, token: VersionToken | undefined): Promise<VersionToken>;

  /**
   * Gets ready what will be put or replaced under `name` soon, so that the write itself is short: a help, and no promise.
   * The write must be given this very `bytes` object, unchanged; any other content is written as if nothing were staged.
   * Nothing of it is visible. Absent where there is nothing to be gained.
   */
  stage?(name: string, bytes: Uint8Array): Promise<void>;

  /** All objects whose name starts with `prefix`, in no particular order, with memory bounded. */
  list(prefix: string): AsyncIterable<ObjectInfo>;

  /** Removes an object; removing an absent one is no error. */
  remove(name: string): Promise<void>;
}
