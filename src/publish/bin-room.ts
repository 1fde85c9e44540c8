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

/** No page has a longer entry. */
const LARGEST_PAGE: TargetFile = { length: Number.MAX_SAFE_INTEGER, hashes: { sha256: '0'.repeat(64) } };

export class BinRoom {
  readonly #layout: BinLayout;
  readonly #sizeOf: (bin: number) => number;
  readonly #companions: (path: string) => readonly string[];
  readonly #sizes = new Map<number, number>();
  /** Companions that have their room already. */
  readonly #counted = new Set<string>();

  /**
   * @param sizeOf bytes of a bin's signed part before anything is applied.
   * @param companions paths that are published with one, if they are not there yet: its pages.
   */
  constructor(
    layout: BinLayout,
    sizeOf: (bin: number) => number,
    companions: (path: string) => readonly string[] = () => [],
  ) {
    this.#companions = companions;
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
    const companions = [...statements].flatMap(([path, statement]) =>
      statement === undefined ? [] : this.#companions(path),
    );
    const added = new Set(
      companions.filter((path) => before(path) === undefined && !this.#counted.has(path)),
    );
    for (const path of added) {
      const bin = this.#layout.indexOf(path);
      growth.set(bin, (growth.get(bin) ?? 0) + entryBytes(path, LARGEST_PAGE));
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
    for (const path of added) this.#counted.add(path);
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
