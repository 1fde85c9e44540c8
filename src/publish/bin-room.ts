// How far each bin may still grow. Clients stop reading at a limit, and so does our own verification: an event that
// takes a bin beyond it must be refused before the commit point, because nothing could complete it afterwards.
import { CountersignError } from '../lib/errors.ts';
import type { BinLayout } from '../tuf/bins.ts';
import { canonicalJson } from '../tuf/canonical-json.ts';
import { MAX_METADATA_BYTES } from '../tuf/metadata-limits.ts';
import type { TargetFile } from '../tuf/metadata.ts';

/** Bytes of a file beside its signed part, and for digits that its version may gain: generous. */
const RESERVED_BYTES = 4096;

/** Bytes that the signed part of a bin may have. */
export const MAX_SIGNED_BYTES = MAX_METADATA_BYTES.targets - RESERVED_BYTES;

type Statement = TargetFile | undefined;

export class BinRoom {
  readonly #layout: BinLayout;
  readonly #sizeOf: (bin: number) => number;
  readonly #sizes = new Map<number, number>();

  /** `sizeOf`: bytes of a bin's signed part before anything is applied. */
  constructor(layout: BinLayout, sizeOf: (bin: number) => number) {
    this.#layout = layout;
    this.#sizeOf = sizeOf;
  }

  /**
   * Takes the room that the statements of one event need, all or none; `before` is what stands there until then.
   * @throws CountersignError `metadata-too-large` when a bin would grow beyond its limit; nothing was taken.
   */
  take(statements: ReadonlyMap<string, Statement>, before: (path: string) => Statement): void {
    const growth = new Map<number, number>();
    for (const [path, statement] of statements) {
      const bin = this.#layout.indexOf(path);
      const bytes = entryBytes(path, statement) - entryBytes(path, before(path));
      growth.set(bin, (growth.get(bin) ?? 0) + bytes);
    }
    for (const [bin, bytes] of growth) {
      const size = this.#size(bin) + bytes;
      if (bytes <= 0 || size <= MAX_SIGNED_BYTES) continue;
      throw new CountersignError(
        'metadata-too-large',
        `${this.#layout.name(bin)} would have ${size} bytes, at most ${MAX_SIGNED_BYTES} are allowed`,
      );
    }
    for (const [bin, bytes] of growth) this.#sizes.set(bin, this.#size(bin) + bytes);
  }

  #size(bin: number): number {
    return this.#sizes.get(bin) ?? this.#sizeOf(bin);
  }
}

/** Bytes of `,"PATH":TARGET`. */
function entryBytes(path: string, target: Statement): number {
  if (target === undefined) return 0;
  const { length, hashes, custom } = target;
  const json = canonicalJson({ custom, hashes: { sha256: hashes.sha256 }, length });
  return Buffer.byteLength(path) + Buffer.byteLength(json) + 4;
}
