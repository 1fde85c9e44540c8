// The bins of a snapshot, read byte by byte in one pass: a client reads 16,384 of them in about a millisecond.
import { CountersignError } from '../lib/errors.ts';
import { BinLayout, generationOfPrefix, MAX_BIN_BITS } from './bins.ts';
import { isBefore, MAX_BIN_VERSION, type BinVersionsImage, type BinVersionsTable } from './snapshot-image.ts';

const FIRST_BIN = /^"(bin[0-9]{0,2})-([0-9a-f]{1,4})\.json"/;
const MAX_BINS = 2 ** MAX_BIN_BITS;

/** Where parseTable, which never waits, collects what it reads. */
const readVersions = new Uint32Array(MAX_BINS);
const readOffsets = new Uint32Array(MAX_BINS);

const VERSION_KEY = Buffer.from('.json":{"version":');
const VERSION_END = Buffer.from('},');
const HEX = Buffer.from('0123456789abcdef');

/** @throws CountersignError `metadata-invalid` that names what was expected and where. */
export function parseImage(bytes: Buffer, start: number): BinVersionsImage {
  const tables: BinVersionsTable[] = [];
  let at = start;
  do {
    const { table, end } = parseTable(bytes, at);
    const before = tables.at(-1);
    if (before !== undefined && !isBefore(before.layout, table.layout)) {
      throw unexpected(at, `a bin whose name follows ${before.layout.prefix}-`);
    }
    tables.push(table);
    at = end;
    // "bins.json" follows the last bin.
  } while (bytes[at + '"bin'.length] !== LETTER_S);
  return { tables, bytes: bytes.subarray(0, at) };
}

const LETTER_S = 0x73;

function parseTable(bytes: Buffer, start: number): { table: BinVersionsTable; end: number } {
  const [, prefix = '', first = ''] = FIRST_BIN.exec(bytes.toString('latin1', start, start + 32)) ?? [];
  const generation = generationOfPrefix(prefix);
  if (generation === undefined) throw unexpected(start, 'the first bin');
  const key = Buffer.from(`"${prefix}-`);
  const digits = first.length;
  const from = Number.parseInt(first, 16);
  let index = from;
  let at = start;
  while (beginsWith(bytes, at, key)) {
    at += key.length;
    for (let shift = (digits - 1) * 4; shift >= 0; shift -= 4, at++) {
      if (bytes[at] !== HEX[(index >>> shift) & 15]) throw unexpected(at, `the name of bin ${index}`);
    }
    at = expect(bytes, at, VERSION_KEY);
    if (index >= MAX_BINS) throw unexpected(at, `the end of ${MAX_BINS} bins`);
    readOffsets[index] = at;
    let version = 0;
    for (let byte = bytes[at]; byte !== undefined && byte >= 0x30 && byte <= 0x39; byte = bytes[++at]) {
      if (version === 0 && byte === 0x30) throw unexpected(at, 'a version from 1');
      version = version * 10 + (byte - 0x30);
      if (version > MAX_BIN_VERSION) throw unexpected(at, 'a version below 2^32');
    }
    if (version === 0) throw unexpected(at, 'the version of a bin');
    readVersions[index++] = version;
    at = expect(bytes, at, VERSION_END);
  }
  const layout = new BinLayout(index, generation);
  if (layout.name(layout.first).length !== key.length - 1 + digits) {
    throw unexpected(start, `"${layout.name(layout.first + from)}.json", one of ${layout.count} bins`);
  }
  const versions = readVersions.slice(0, index).fill(0, 0, from);
  const offsets = readOffsets.slice(0, index).fill(0, 0, from);
  return { table: { layout, listed: layout.first + from, versions, offsets }, end: at };
}

function beginsWith(bytes: Buffer, at: number, literal: Buffer): boolean {
  for (let i = 0; i < literal.length; i++) if (bytes[at + i] !== literal[i]) return false;
  return true;
}

function expect(bytes: Buffer, at: number, literal: Buffer): number {
  if (!beginsWith(bytes, at, literal)) throw unexpected(at, literal.toString());
  return at + literal.length;
}

function unexpected(offset: number, wanted: string): CountersignError {
  return new CountersignError('metadata-invalid', `snapshot: byte ${offset} is not ${wanted}`);
}
