// Where a client keeps what it trusts between updates: a port. The adapter for a directory is
// src/storage/metadata-directory.ts.

export interface MetadataStore {
  /** A file, or undefined when there is none that could be metadata. What it holds is verified again at each use. */
  read(name: string): Promise<Uint8Array | undefined>;
  /**
   * Puts `next` (undefined: nothing) in the place of `expected`, at once and durably: after a crash either of the two
   * is there, whole. For the files against which rollbacks are measured.
   * @throws CountersignError `store-conflict` when another update has changed the file since it was read.
   */
  exchange(name: string, expected: Uint8Array | undefined, next: Uint8Array | undefined): Promise<void>;
  /** Keeps a file that is verified against those above at each use: at once, last writer wins. */
  keep(name: string, bytes: Uint8Array): Promise<void>;
}
