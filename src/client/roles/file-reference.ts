// What signed metadata says about another file: its version, and where given its length and hashes (TUF 4.4, 4.6).
import { createHash } from 'node:crypto';
import { CountersignError } from '../../lib/errors.ts';
import { asInteger, asMap, asString, field, type Place } from '../../tuf/shape.ts';

/** Algorithm names to hex digests. */
export type Hashes = ReadonlyMap<string, string>;

export interface FileReference {
  readonly version: number;
  readonly length?: number;
  readonly hashes?: Hashes;
}

/** Hash algorithms that count, the preferred one first. Others may stand beside them. */
export const HASH_ALGORITHMS = ['sha256', 'sha512', 'sha384'] as const;

export function readFileReference(place: Place): FileReference {
  const map = asMap(place);
  const length = field(map, place.where, 'length');
  const hashes = field(map, place.where, 'hashes');
  return {
    version: asInteger(field(map, place.where, 'version'), 1),
    ...(length.value === undefined ? {} : { length: asInteger(length, 1) }),
    ...(hashes.value === undefined ? {} : { hashes: readHashes(hashes) }),
  };
}

/** At least one hash, in hex. */
export function readHashes(place: Place): Hashes {
  const hashes = new Map<string, string>();
  for (const [algorithm, value] of asMap(place)) {
    const where = `${place.where}.${algorithm.slice(0, 64)}`;
    hashes.set(algorithm, asString({ value, where }, /^[0-9a-fA-F]{2,256}$/).toLowerCase());
  }
  if (hashes.size === 0) {
    throw new CountersignError('metadata-invalid', `${place.where} is empty, expected a hash`);
  }
  return hashes;
}

/** Hashes a file as its bytes come, with every algorithm that is known, and compares at the end. */
export class HashCheck {
  readonly #what: string;
  readonly #running: { algorithm: string; expected: string; hash: ReturnType<typeof createHash> }[];

  /** @throws CountersignError `metadata-invalid` when no algorithm is known: nothing could be compared. */
  constructor(what: string, hashes: Hashes) {
    this.#what = what;
    this.#running = HASH_ALGORITHMS.flatMap((algorithm) => {
      const expected = hashes.get(algorithm);
      return expected === undefined ? [] : [{ algorithm, expected, hash: createHash(algorithm) }];
    });
    if (this.#running.length === 0) {
      const names = [...hashes.keys()].join(', ').slice(0, 100);
      throw new CountersignError(
        'metadata-invalid',
        `${what} is given by the hash ${names}, expected one of ${HASH_ALGORITHMS.join(', ')}`,
      );
    }
  }

  update(bytes: Uint8Array): void {
    for (const { hash } of this.#running) hash.update(bytes);
  }

  /** @throws CountersignError `length-or-hash-mismatch` when one of the hashes differs. */
  finish(): void {
    for (const { algorithm, expected, hash } of this.#running) {
      const actual = hash.digest('hex');
      if (actual !== expected) {
        throw new CountersignError(
          'length-or-hash-mismatch',
          `${this.#what} has ${algorithm} ${actual}, signed metadata says ${expected}`,
        );
      }
    }
  }
}

/**
 * TUF 5.5.2, 5.6.2: the file has the length and all the hashes that are given for it.
 * @throws CountersignError `length-or-hash-mismatch`; `metadata-invalid` when no given hash algorithm is known.
 */
export function checkReferencedBytes(what: string, bytes: Uint8Array, reference: FileReference): void {
  const { length, hashes } = reference;
  if (length !== undefined && bytes.length !== length) {
    throw new CountersignError(
      'length-or-hash-mismatch',
      `${what} has ${bytes.length} bytes, signed metadata says ${length}`,
    );
  }
  if (hashes === undefined) return;
  const check = new HashCheck(what, hashes);
  check.update(bytes);
  check.finish();
}
