// The form of an entry in the catalogue of errors (errors.ts).

/** What a caller can do about an error; the command line turns it into its exit status. */
export type ErrorKind = 'refused' | 'usage' | 'unavailable' | 'internal';

export interface ErrorEntry {
  readonly kind: ErrorKind;
  /** What the code means, one sentence. */
  readonly meaning: string;
  /** What the reader should do next, one sentence. */
  readonly remedy: string;
}
