// What an operator may set about publication (src/config.ts documents each).

/** Milliseconds. PEP 458 "Metadata Expiry Times". */
export interface Lifetimes {
  readonly timestampMs: number;
  readonly snapshotMs: number;
  readonly binMs: number;
}

export interface PublishSettings {
  /** Events in one publication, at most. */
  readonly maxEvents: number;
  /** Milliseconds between the starts of two publications, at least. */
  readonly minIntervalMs: number;
  readonly lifetimes: Lifetimes;
  /** Whether publications render simple index pages. */
  readonly renderPages?: boolean;
}
