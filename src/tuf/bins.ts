// Hashed bins: which bin-n role answers for a target path, and how the bins role delegates to all of them.
// TAP 15 (succinct roles) and TUF 4.5 (path_hash_prefixes). PEP 458 says SHA-512 of the file name; the specification
// and every client use SHA-256 of the target path (interop rule 4).
import { hash } from 'node:crypto';
import { CountersignError } from '../lib/errors.ts';
import type { DelegatedRole, SuccinctRoles } from './metadata.ts';

/** Names must start with a letter: JavaScript reorders integer-like keys (interop rule 1). */
export const BIN_NAME_PREFIX = 'bin';

/**
 * 2^15 bins is twice PyPI's need. A snapshot of 2^16 passes the 2,000,000 bytes at which three clients stop once
 * versions have two digits (interop rules 7 and 15).
 */
export const MAX_BIN_BITS = 15;

/** A number of bins: a power of two, and the names and the arithmetic that follow from it. */
export class BinLayout {
  readonly count: number;
  readonly bits: number;
  readonly #digits: number;

  /** @throws CountersignError `metadata-invalid` when `count` is not a power of two from 2 to 32,768. */
  constructor(count: number) {
    const bits = Math.log2(count);
    if (!Number.isInteger(bits) || bits < 1 || bits > MAX_BIN_BITS) {
      throw new CountersignError(
        'metadata-invalid',
        `bin count ${count} is not a power of two from 2 to ${2 ** MAX_BIN_BITS}`,
      );
    }
    this.count = count;
    this.bits = bits;
    this.#digits = (count - 1).toString(16).length;
  }

  /** The bin of a target path: the first bits of its SHA-256. TAP 15: "the leftmost bit_length bits". */
  indexOf(path: string): number {
    // In one call: a Hash object costs four times as much, and back-signing asks sixteen million times.
    return Number.parseInt(hash('sha256', path).slice(0, 8), 16) >>> (32 - this.bits);
  }

  /** `bin-0a3f`: the index in hex, as wide as the last one. TAP 15: "zero-padded". */
  name(index: number): string {
    return `${BIN_NAME_PREFIX}-${index.toString(16).padStart(this.#digits, '0')}`;
  }

  /** The index in a role name of this layout, or undefined for any other name. */
  parse(name: string): number | undefined {
    if (!name.startsWith(`${BIN_NAME_PREFIX}-`)) return undefined;
    const hex = name.slice(BIN_NAME_PREFIX.length + 1);
    if (hex.length !== this.#digits || !/^[0-9a-f]+$/.test(hex)) return undefined;
    const index = Number.parseInt(hex, 16);
    return index < this.count ? index : undefined;
  }

  /** The path_hash_prefixes of a bin: as few hex digits as hold the bits, every value that begins with them. */
  hashPrefixes(index: number): string[] {
    const digits = Math.ceil(this.bits / 4);
    const perBin = 2 ** (digits * 4 - this.bits);
    return Array.from({ length: perBin }, (_, offset) =>
      (index * perBin + offset).toString(16).padStart(digits, '0'),
    );
  }

  /** TAP 15 delegation to all bins: 708 bytes at any count. */
  succinctRoles(keyids: readonly string[], threshold: number): SuccinctRoles {
    return { bit_length: this.bits, keyids, name_prefix: BIN_NAME_PREFIX, threshold };
  }

  /** The delegation of TUF 4.5 to all bins: 2.98 MB at 16,384 (needed by tough). */
  prefixRoles(keyids: readonly string[], threshold: number): DelegatedRole[] {
    return Array.from({ length: this.count }, (_, index) => ({
      keyids,
      name: this.name(index),
      path_hash_prefixes: this.hashPrefixes(index),
      terminating: true,
      threshold,
    }));
  }
}
