// The times, counts and sizes of the S3 store in one place.

export interface S3Limits {
  /** Milliseconds to make a connection. */
  readonly connectMs: number;
  /** Milliseconds for one attempt of a request, from its start to the last byte of the answer. */
  readonly attemptMs: number;
  /** Milliseconds in which no byte moves in either direction, where an attempt may take much longer. */
  readonly silenceMs?: number;
  /** Attempts of one call, the first included. */
  readonly attempts: number;
  /** Milliseconds before the second attempt, at most; doubles with each further one. */
  readonly firstPauseMs: number;
  readonly longestPauseMs: number;
  /** Retries that all calls together may make before successes have paid for more. */
  readonly retryBudget: number;
  /** Connections at once; further requests wait for one. */
  readonly connections: number;
}

/**
 * A call ends after some 45 seconds at the latest. The largest object that is ever read (5 MB, interop rule 15) needs
 * 4 Mbit/s to arrive in one attempt.
 */
export const DEFAULT_S3_LIMITS: S3Limits = {
  connectMs: 3_000,
  attemptMs: 10_000,
  attempts: 4,
  firstPauseMs: 100,
  longestPauseMs: 2_000,
  retryBudget: 100,
  connections: 64,
};
