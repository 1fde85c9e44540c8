// What an attack is: what the client has seen before, what the mirror answers then, and what must not happen.

/** What a mirror answers instead of a file. */
export type Answer =
  | Uint8Array
  /** Bytes without end. */
  | 'endless'
  /** The same, as a small compressed body that unpacks to them. */
  | 'endless-compressed'
  /** One byte a second, for ever. */
  | 'trickle'
  /** Nothing, for ever. */
  | 'silence'
  /** 302 to a file of the client's own computer. */
  | 'redirect-to-file'
  /** 500. */
  | 'fault';

/** Answers by public name (`metadata/timestamp.json`); all other names do not exist. */
export type Site = ReadonlyMap<string, Answer>;

/** The attacks of PEP 458, Appendix A, and of the TUF specification, 1.5.2. */
export const ATTACK_KINDS = [
  'arbitrary software installation',
  'rollback',
  'indefinite freeze',
  'fast-forward',
  'endless data',
  'slow retrieval',
  'extraneous dependencies',
  'mix-and-match',
  'wrong software installation',
  'malicious mirror preventing updates',
  'key compromise below the threshold',
  'recovery after a compromise at the threshold',
] as const;
export type AttackKind = (typeof ATTACK_KINDS)[number];

export interface Attack {
  /** Part of the mirror's URL. */
  readonly name: string;
  readonly kind: AttackKind;
  /** What the mirror does, as a row of the table says it. */
  readonly does: string;
  /** Which keys it has for that. */
  readonly holds: 'no key' | 'the online key' | 'one key of several' | 'all keys but root';
  /** What the client updated from before, believing it or not; absent: it has only the root that it came with. */
  readonly before?: Site;
  readonly site: Site;
  /**
   * `refused`: whatever the client installs from `site` that is not today's release is a defeat. `served`: the client
   * must get today's release from `site`, in spite of what it met before.
   */
  readonly goal: 'refused' | 'served';
}
