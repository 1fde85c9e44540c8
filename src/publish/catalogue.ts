// What the current snapshot says about a target path. Published metadata is the catalogue: there is no second list.
import type { TargetFile } from '../tuf/metadata.ts';

export interface TargetLookup {
  readonly snapshot: { readonly version: number; readonly expires: string };
  readonly bin: {
    readonly name: string;
    readonly version: number;
    readonly expires: string;
    readonly signatures: readonly { readonly keyid: string; readonly sig: string }[];
  };
  /** Absent when the snapshot does not list the path. */
  readonly target?: TargetFile;
}

/** The read model of the service: verified metadata only. */
export interface Catalogue {
  /**
   * Looks a path up in the current snapshot.
   * @throws CountersignError `not-bootstrapped`, `bin-altered` when the bin in the store does not verify,
   *   `store-unavailable`.
   */
  lookup(path: string): Promise<TargetLookup>;
}
