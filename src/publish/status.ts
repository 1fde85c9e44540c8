// What the publisher says of itself, for /v1/status, /healthz and the log.
import type { ErrorCode } from '../lib/errors.ts';
import type { BinLayout } from '../tuf/bins.ts';

export interface PublishedRole {
  readonly version: number;
  /** Milliseconds since the epoch. */
  readonly expires: number;
}

export interface PublisherStatus {
  /**
   * `publishing`: holds the lease. `standby`: another process does. `held`: holds the lease, but something outside
   * (store, signer, clock) keeps it from publishing; it tries again by itself. `stopped`: a fatal error; a person
   * has to look. `starting`: has not asked for the lease yet.
   */
  readonly role: 'starting' | 'publishing' | 'standby' | 'held' | 'stopped';
  /** Why it is not publishing. */
  readonly problem?: { readonly code: ErrorCode; readonly message: string };
  /** What is public, as far as this process knows. */
  readonly published?: {
    readonly timestamp: PublishedRole;
    readonly snapshot: PublishedRole;
    readonly root: PublishedRole;
    readonly targets: PublishedRole;
    readonly bins: PublishedRole;
    /** The earliest expiry among the bins. */
    readonly earliestBinExpires: number;
    readonly binCount: number;
    /** Every layout of which the snapshot lists bins. */
    readonly layouts: readonly BinLayout[];
    readonly format: 'succinct' | 'prefixes';
  };
  /** Bins that are not what was published: their events wait. */
  readonly alteredBins: readonly { readonly name: string; readonly message: string }[];
  /** Bins whose renewal is due now. */
  readonly renewalsDue: number;
  /** While one online key replaces another: how many bins bear the new one's signature. */
  readonly nextKey?: { readonly keyid: string; readonly binsSigned: number };
  readonly lastPublication?: {
    readonly snapshot: number;
    /** Milliseconds since the epoch. */
    readonly at: number;
    readonly durationMs: number;
    readonly events: number;
    readonly bins: number;
  };
}
