// What --report writes: everything that two people need to compare what they signed, and everything that was not taken.
import { BinLayout } from '../tuf/bins.ts';
import type { RefusedLine } from './refusals.ts';
import type { BacksignResult } from './result.ts';
import type { PreparedRun } from './run.ts';

export interface BacksignReport {
  /** SHA-256 over all bins: equal for the same files, whoever signs them from wherever. */
  readonly digest: string;
  readonly binCount: number;
  /** What was read; `serial`: the state of an index that says one. */
  readonly sources: readonly { readonly name: string; readonly serial?: number }[];
  /** Files that are to be signed. */
  readonly files: number;
  /** Lines that name a file another line names in the same way. */
  readonly repeated: number;
  /** Lines that are not taken; the first 10,000 of them. */
  readonly refused: { readonly count: number; readonly lines: readonly RefusedLine[] };
  /** Paths with two contents in the sources: not signed. The first 10,000 of them; `lines`: all lines that speak of one. */
  readonly contradictory: {
    readonly lines: number;
    readonly paths: readonly {
      readonly path: string;
      readonly places: readonly { readonly file: string; readonly line: number }[];
    }[];
  };
  readonly bins: readonly { readonly bin: string; readonly files: number; readonly sha256: string }[];
  /** Absent until everything is public. */
  readonly result?: BacksignResult;
}

export function reportOf({ settings, read, prepared }: PreparedRun, result?: BacksignResult): BacksignReport {
  const { digest, binCount, files, repeated, contradictory, conflicts, bins } = prepared;
  const layout = new BinLayout(binCount);
  const nameOf = (source: number): string => settings.sources[source]?.name ?? String(source);
  return {
    digest,
    binCount,
    sources: settings.sources.map(({ name, serial }) => ({
      name,
      ...(serial === undefined ? {} : { serial }),
    })),
    files,
    repeated,
    refused: { count: read.refused.count, lines: read.refused.described },
    contradictory: {
      lines: contradictory,
      paths: conflicts.map(({ path, places }) => ({
        path,
        places: places.map(({ source, line }) => ({ file: nameOf(source), line })),
      })),
    },
    bins: bins.map(({ bin, count, sha256 }) => ({ bin: layout.name(bin), files: count, sha256 })),
    ...(result === undefined ? {} : { result }),
  };
}
