// The part of a snapshot that lists bins: its bytes, and where in them each version stands. Bins of one layout stand
// together; a repository whose number of bins was changed lists more than one layout (docs/adr/0020-rebin.md).
import type { BinLayout } from './bins.ts';

/** Versions of single bins stay below 2^32: one publication a millisecond for 49 days cannot reach it. */
export const MAX_BIN_VERSION = 2 ** 32 - 1;

/** The bins of one layout. */
export interface BinVersions {
  readonly layout: BinLayout;
  /** The first bin that is listed, and all after it are: a layout that is being prepared grows from its end. */
  readonly listed: number;
  /** From the layout's first bin on; 0: not listed. */
  readonly versions: Uint32Array;
}

export interface BinVersionsTable extends BinVersions {
  /** Where the digits of each version begin in the image's bytes. */
  readonly offsets: Uint32Array;
}

export interface BinVersionsImage {
  /** In the order of their names. */
  readonly tables: readonly BinVersionsTable[];
  /** The beginning of the signed part, to the comma behind the last bin; the same memory. */
  readonly bytes: Buffer;
}

export function buildImage(unordered: readonly BinVersions[]): BinVersionsImage {
  const ordered = [...unordered].sort((a, b) => (isBefore(a.layout, b.layout) ? -1 : 1));
  const pieces = ['{"_type":"snapshot","expires":"YYYY-MM-DDTHH:MM:SSZ","meta":{'];
  let length = pieces[0]?.length ?? 0;
  const tables = ordered.map(({ layout, listed, versions }) => {
    const offsets = new Uint32Array(layout.count);
    for (let index = listed - layout.first; index < layout.count; index++) {
      const key = `"${layout.name(layout.first + index)}.json":{"version":`;
      const value = `${versions[index] ?? 0}},`;
      offsets[index] = length + key.length;
      length += key.length + value.length;
      pieces.push(key, value);
    }
    return { layout, listed, versions, offsets };
  });
  return { tables, bytes: Buffer.from(pieces.join(''), 'latin1') };
}

/** Whether the bins of one layout stand before those of another: canonical JSON sorts names. */
export function isBefore(a: BinLayout, b: BinLayout): boolean {
  return `${a.prefix}-` < `${b.prefix}-`;
}

/** The table that a bin stands in. @throws RangeError when it is not listed. */
export function tableOf({ tables }: BinVersionsImage, bin: number): BinVersionsTable {
  for (const table of tables) if (bin >= table.listed && table.layout.has(bin)) return table;
  throw new RangeError(`bin ${bin} is not in the snapshot`);
}
