// One statement about one file on its way into a bin: 16 bytes that say where it belongs and where it came from, and the
// entry as it will stand in the bin. Records are sorted by what they hold, so the order of the sources makes no difference.
//
//   u32 bytes that follow · u16 bin · u16 bytes of the path · u16 source · u48 line · "PATH":{…}
import { CountersignError } from '../lib/errors.ts';

export const RECORD_HEADER_BYTES = 16;

/** Between the record's header and the path: the opening quote. */
const PATH_AT = RECORD_HEADER_BYTES + 1;

export interface RecordPlace {
  readonly bin: number;
  readonly pathLength: number;
  /** Number of the source, from 0. */
  readonly source: number;
  /** From 1; of a directory or an index: the number of the file. */
  readonly line: number;
}

/** Writes the header of a record at `at`; `entryLength`: bytes of the entry that follows. */
export function writeRecordHeader(
  into: Buffer,
  at: number,
  { bin, pathLength, source, line }: RecordPlace,
  entryLength: number,
): void {
  into.writeUInt32LE(RECORD_HEADER_BYTES - 4 + entryLength, at);
  into.writeUInt16LE(bin, at + 4);
  into.writeUInt16LE(pathLength, at + 6);
  into.writeUInt16LE(source, at + 8);
  into.writeUIntLE(line, at + 10, 6);
}

/** Where every record of a partition begins. @throws CountersignError `backsign-state` when it is not whole. */
export function recordStarts(records: Buffer, name: string): Uint32Array {
  const starts: number[] = [];
  for (let at = 0; at < records.length;) {
    const length = at + 4 <= records.length ? records.readUInt32LE(at) : 0;
    if (length < RECORD_HEADER_BYTES || at + 4 + length > records.length) {
      throw new CountersignError(
        'backsign-state',
        `${name} is damaged at byte ${at}: begin again in a new folder`,
      );
    }
    starts.push(at);
    at += 4 + length;
  }
  return Uint32Array.from(starts);
}

export function binOf(records: Buffer, start: number): number {
  return records.readUInt16LE(start + 4);
}

export function pathOf(records: Buffer, start: number): string {
  return records.toString('latin1', ...pathBounds(records, start));
}

/** Where the path begins and ends. */
export function pathBounds(records: Buffer, start: number): [begin: number, end: number] {
  const begin = start + PATH_AT;
  return [begin, begin + records.readUInt16LE(start + 6)];
}

export function placeOf(records: Buffer, start: number): { source: number; line: number } {
  return { source: records.readUInt16LE(start + 8), line: records.readUIntLE(start + 10, 6) };
}

/** The entry as it stands in a bin. */
export function entryOf(records: Buffer, start: number): Buffer {
  return records.subarray(start + RECORD_HEADER_BYTES, start + 4 + records.readUInt32LE(start));
}
