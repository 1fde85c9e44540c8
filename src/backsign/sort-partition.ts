// From the records of a partition to the contents of its bins: sorted by path, each file once. The same records in any
// order give the same bytes.
import { createHash } from 'node:crypto';
import { binOf, entryOf, pathOf, placeOf, recordStarts } from './record.ts';
import { sortedByPath } from './sort-records.ts';

/** A path for which the sources have two contents: neither is signed, because nobody can tell which one is right. */
export interface Conflict {
  readonly path: string;
  /** The first two places that differ. */
  readonly places: readonly { readonly source: number; readonly line: number }[];
}

export interface SortedBin {
  readonly bin: number;
  /** Number of files. */
  readonly count: number;
  /** `"PATH":{…},"PATH":{…}`, ascending. */
  readonly entries: Buffer;
  /** Of `entries`: what this bin says, whoever signs it and when. */
  readonly sha256: string;
}

export interface SortedPartition {
  /** Ascending; bins without a file are absent. */
  readonly bins: readonly SortedBin[];
  /** Lines that say what another line says. */
  readonly repeated: number;
  /** Lines whose path has another content elsewhere. */
  readonly contradictory: number;
  readonly conflicts: readonly Conflict[];
}

/** Conflicts of one partition that are described; the others are counted. 256 partitions come to more than a report holds. */
const DESCRIBED = 100;

const COMMA = 0x2c;

/** `name`: of the file, for messages. @throws CountersignError `backsign-state` when it is damaged. */
export function sortPartition(records: Buffer, name: string): SortedPartition {
  const starts = recordStarts(records, name);
  const byBin = new Map<number, number[]>();
  for (const start of starts) {
    const bin = binOf(records, start);
    const members = byBin.get(bin);
    if (members === undefined) byBin.set(bin, [start]);
    else members.push(start);
  }
  const bins: SortedBin[] = [];
  const conflicts: Conflict[] = [];
  let repeated = 0;
  let contradictory = 0;
  for (const bin of [...byBin.keys()].sort((a, b) => a - b)) {
    const groups = groupByPath(records, byBin.get(bin) ?? []);
    const kept: Buffer[] = [];
    for (const { path, members } of groups) {
      const [first = 0] = members;
      const entry = entryOf(records, first);
      const other = members.find((start) => !entryOf(records, start).equals(entry));
      if (other === undefined) {
        repeated += members.length - 1;
        kept.push(entry);
        continue;
      }
      contradictory += members.length;
      if (conflicts.length < DESCRIBED) {
        conflicts.push({ path, places: [placeOf(records, first), placeOf(records, other)] });
      }
    }
    if (kept.length > 0) bins.push(sortedBin(bin, kept));
  }
  return { bins, repeated, contradictory, conflicts };
}

interface PathGroup {
  readonly path: string;
  /** Where the records begin that speak of it, ascending. */
  readonly members: number[];
}

/** Ascending by path. Paths are ASCII: the order of their bytes is the canonical one. */
function groupByPath(records: Buffer, starts: readonly number[]): PathGroup[] {
  const groups: PathGroup[] = [];
  let last: PathGroup | undefined;
  for (const start of sortedByPath(records, starts)) {
    const path = pathOf(records, start);
    if (last?.path === path) last.members.push(start);
    else groups.push((last = { path, members: [start] }));
  }
  // Sources are named in their own order.
  for (const { members } of groups) if (members.length > 1) members.sort((a, b) => a - b);
  return groups;
}

function sortedBin(bin: number, kept: readonly Buffer[]): SortedBin {
  const entries = Buffer.allocUnsafeSlow(kept.reduce((sum, { length }) => sum + length + 1, -1));
  let at = 0;
  for (const entry of kept) {
    if (at > 0) entries[at++] = COMMA;
    at += entry.copy(entries, at);
  }
  const sha256 = createHash('sha256').update(entries).digest('hex');
  return { bin, count: kept.length, entries, sha256 };
}
