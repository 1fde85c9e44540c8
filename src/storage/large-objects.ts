// Objects of any size, for target files: the second port of a store, beside store.ts, for what must never be whole in
// memory. Names are the same names. Adapters are tested in test/contracts/file-large-objects.test.ts and test/interop/mirror.test.ts.
//
// All methods may be called concurrently. Every failure that is not listed at a method is `store-unavailable`.

export interface LargeObjects {
  /** Bytes of the object, or undefined when there is none. */
  size(name: string): Promise<number | undefined>;

  /**
   * The object's content. Adapters do not check it: whoever reads does.
   * @throws CountersignError `not-found` when there is none.
   */
  read(name: string): AsyncIterable<Uint8Array>;

  /**
   * Makes or replaces the object: durable, and whole at every moment, when it resolves. What `body` throws is thrown
   * again, and nothing has changed then: so a body that throws at its end when its hash is wrong is never stored.
   * @param length bytes that `body` yields when it does not throw.
   * @throws CountersignError `path-forbidden` where the store is a directory, and the name needs a directory where there
   *   is an object, or the other way round.
   */
  write(name: string, length: number, body: AsyncIterable<Uint8Array>): Promise<void>;

  /** Removes an object; removing an absent one is no error. */
  remove(name: string): Promise<void>;
}
