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

/** Bins of the n-th layout of a repository are numbered from (n - 1) × this: no two bins ever share a number. */
const NUMBERS = 2 ** MAX_BIN_BITS;

/** Layouts that a repository can have had. */
export const MAX_GENERATION = 99;

/** Every number that a bin can have. */
export const ALL_BINS = { first: 0, count: MAX_GENERATION * NUMBERS } as const;

/**
 * A number of bins, a power of two, and the names and the arithmetic that follow from it. A bin is known by its number;
 * those of a repository's first layout are 0, 1, 2 …
 *
 * A layout that replaces another one takes names of its own: `bin-0a3f`, then `bin2-0a3f` (docs/adr/0020-rebin.md).
 * Role names are unique for ever (interop rule 11), and bins can be written before anybody delegates to them.
 */
export class BinLayout {
  readonly count: number;
  readonly bits: number;
  /** Which layout of the repository it is: 1, 2, 3 … */
  readonly generation: number;
  /** Its first bin. */
  readonly first: number;
  readonly #prefix: string;
  readonly #digits: number;

  /** @throws CountersignError `metadata-invalid` when `count` is not a power of two from 2 to 32,768. */
  constructor(count: number, generation = 1) {
    const bits = Math.log2(count);
    if (!Number.isInteger(bits) || bits < 1 || bits > MAX_BIN_BITS) {
      throw new CountersignError(
        'metadata-invalid',
        `bin count ${count} is not a power of two from 2 to ${2 ** MAX_BIN_BITS}`,
      );
    }
    if (!Number.isInteger(generation) || generation < 1 || generation > MAX_GENERATION) {
      throw new CountersignError(
        'metadata-invalid',
        `layout ${generation} of the bins, a repository has at most ${MAX_GENERATION}`,
      );
    }
    this.count = count;
    this.bits = bits;
    this.generation = generation;
    this.first = (generation - 1) * NUMBERS;
    this.#prefix = generation === 1 ? BIN_NAME_PREFIX : `${BIN_NAME_PREFIX}${generation}`;
    this.#digits = (count - 1).toString(16).length;
  }

  /** `bin` of the first layout of a repository, `bin2` of the second. */
  get prefix(): string {
    return this.#prefix;
  }

  /** Its bins, ascending. */
  get bins(): number[] {
    return Array.from({ length: this.count }, (_, index) => this.first + index);
  }

  has(bin: number): boolean {
    return bin >= this.first && bin < this.first + this.count;
  }

  isSame({ count, generation }: BinLayout): boolean {
    return count === this.count && generation === this.generation;
  }

  /** The bin of a target path: the first bits of its SHA-256. TAP 15: "the leftmost bit_length bits". */
  indexOf(path: string): number {
    // In one call: a Hash object costs four times as much, and back-signing asks sixteen million times.
    return this.first + (Number.parseInt(hash('sha256', path).slice(0, 8), 16) >>> (32 - this.bits));
  }

  /** `bin-0a3f`: the index in hex, as wide as the last one. TAP 15: "zero-padded". */
  name(bin: number): string {
    return `${this.#prefix}-${(bin - this.first).toString(16).padStart(this.#digits, '0')}`;
  }

  /** The bin with a role name of this layout, or undefined for any other name. */
  parse(name: string): number | undefined {
    if (!name.startsWith(`${this.#prefix}-`)) return undefined;
    const hex = name.slice(this.#prefix.length + 1);
    if (hex.length !== this.#digits || !/^[0-9a-f]+$/.test(hex)) return undefined;
    const index = Number.parseInt(hex, 16);
    return index < this.count ? this.first + index : undefined;
  }

  /** The path_hash_prefixes of a bin: as few hex digits as hold the bits, every value that begins with them. */
  hashPrefixes(bin: number): string[] {
    const digits = Math.ceil(this.bits / 4);
    const perBin = 2 ** (digits * 4 - this.bits);
    return Array.from({ length: perBin }, (_, offset) =>
      ((bin - this.first) * perBin + offset).toString(16).padStart(digits, '0'),
    );
  }

  /** TAP 15 delegation to all bins: 708 bytes at any count. */
  succinctRoles(keyids: readonly string[], threshold: number): SuccinctRoles {
    return { bit_length: this.bits, keyids, name_prefix: this.#prefix, threshold };
  }

  /** The delegation of TUF 4.5 to all bins: 2.98 MB at 16,384 (needed by tough). */
  prefixRoles(keyids: readonly string[], threshold: number): DelegatedRole[] {
    return this.bins.map((bin) => ({
      keyids,
      name: this.name(bin),
      path_hash_prefixes: this.hashPrefixes(bin),
      terminating: true,
      threshold,
    }));
  }
}

/**
 * The bins of `other` that hold what `bin` of `layout` holds: hash space is divided by leading bits, so that each bin of
 * the coarser layout is exactly some neighbours of the finer one.
 */
export function alignedBins(layout: BinLayout, bin: number, other: BinLayout): number[] {
  const index = bin - layout.first;
  if (other.count <= layout.count) return [other.first + Math.floor(index / (layout.count / other.count))];
  const perBin = other.count / layout.count;
  return Array.from({ length: perBin }, (_, offset) => other.first + index * perBin + offset);
}

/** The layout that follows with another number of bins: with names of its own. @throws CountersignError `metadata-invalid`. */
export function nextBinLayout(before: BinLayout, count: number): BinLayout {
  return count === before.count ? before : new BinLayout(count, before.generation + 1);
}

/** The layout whose last bin has this number; undefined when there is none. */
export function layoutThatEndsWith(bin: number): BinLayout | undefined {
  const count = (bin % NUMBERS) + 1;
  if (count < 2 || !Number.isInteger(Math.log2(count))) return undefined;
  return new BinLayout(count, Math.floor(bin / NUMBERS) + 1);
}

/** Which layout of a repository a role name belongs to; undefined for a name that is no bin's. */
export function generationOf(name: string): number | undefined {
  const digits = /^bin([2-9]|[1-9][0-9])?-[0-9a-f]{1,4}$/.exec(name)?.[1];
  if (digits !== undefined) return Number(digits);
  return /^bin-[0-9a-f]{1,4}$/.test(name) ? 1 : undefined;
}

/** Which layout of a repository has bins with this prefix in their names; undefined: none has. */
export function generationOfPrefix(prefix: string): number | undefined {
  return generationOf(`${prefix}-0`);
}
