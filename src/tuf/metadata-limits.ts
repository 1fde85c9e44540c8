// How large a metadata file may be, per role: the limits at which clients stop reading (interop rule 15: python-tuf,
// tuf-js and go-tuf share them). Bytes of the whole file, signatures included.

/** TUF 5.3.3 to 5.6.1: "up to some maximum number of bytes". */
export const MAX_METADATA_BYTES = {
  root: 512_000,
  timestamp: 16_384,
  snapshot: 2_000_000,
  /** Also `bins` and every bin-n: clients have one limit for targets metadata. */
  targets: 5_000_000,
} as const;

/** Bytes that signed metadata may ask for in one file: its length comes from an online key, which may be stolen. */
export const MAX_STATED_BYTES = 50_000_000;

/** Bytes that a client reads of a file to which metadata give `length`, or none. */
export function bytesToRead(role: 'snapshot' | 'targets', length: number | undefined): number {
  return Math.min(length ?? MAX_METADATA_BYTES[role], MAX_STATED_BYTES);
}

/** TUF 5.3.2: roots a client follows in one update before it gives up. */
export const MAX_ROOT_ROTATIONS = 256;
