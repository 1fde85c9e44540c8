// What a ceremony does unless told otherwise: PEP 458, minimum security model, and its "Metadata Expiry Times".
const DAY_MS = 86_400_000;

export const CEREMONY_DEFAULTS = {
  /** People who hold a root key, and how many of them must sign. PEP 458 "Key management": "(t, n) … signatures". */
  holders: 3,
  threshold: 2,
  /** Each of targets and bins: two keys, both must sign, destroyed after the ceremony. */
  oneTimeKeys: 2,
  /** Milliseconds. PEP 458: root, targets and bins expire after a year. */
  rootLifetimeMs: 365 * DAY_MS,
  targetsLifetimeMs: 365 * DAY_MS,
  binsLifetimeMs: 365 * DAY_MS,
  /** A small index; 16,384 is PyPI's size. */
  bins: 256,
  format: 'succinct',
  /**
   * age's scrypt work factor for the online key (log2). 16 takes 0.3 s to open, 18 takes 1.6 s: a service that starts
   * in less than 3 s on a busy machine. Its passphrase is 256 random bits, which no work factor has to protect.
   */
  onlineWorkFactor: 16,
  /** The same for the throwaway keys of a rehearsal: 0.1 s. */
  rehearsalWorkFactor: 12,
} as const;

/** More holders than any ceremony has had; keeps root far below the 512,000 bytes that clients read. */
export const MAX_HOLDERS = 64;
