// A least-recently-used cache of byte strings, bounded by their size. What is being made is made once, however many
// ask for it meanwhile.

export class ByteCache<V extends { readonly bytes: Uint8Array }> {
  readonly #maxBytes: number;
  readonly #entries = new Map<string, V>();
  readonly #making = new Map<string, Promise<V | undefined>>();
  #bytes = 0;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** The entry, or what `make` resolves to; undefined and failures are not kept. */
  async get(key: string, make: () => Promise<V | undefined>): Promise<V | undefined> {
    const known = this.#entries.get(key);
    if (known !== undefined) {
      // A Map keeps the order of insertion: the first key is the one unused for longest.
      this.#entries.delete(key);
      this.#entries.set(key, known);
      return known;
    }
    const pending = this.#making.get(key);
    if (pending !== undefined) return pending;
    const making = make();
    this.#making.set(key, making);
    try {
      const value = await making;
      if (value !== undefined) this.#keep(key, value);
      return value;
    } finally {
      this.#making.delete(key);
    }
  }

  #keep(key: string, value: V): void {
    this.#entries.set(key, value);
    this.#bytes += value.bytes.length;
    for (const [oldest, entry] of this.#entries) {
      if (this.#bytes <= this.#maxBytes) break;
      this.#entries.delete(oldest);
      this.#bytes -= entry.bytes.length;
    }
  }
}
