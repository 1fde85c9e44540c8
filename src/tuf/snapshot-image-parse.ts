// The bins of a snapshot, read in one pass: 16,384 of them in a quarter of a millisecond. What is the same in every name
// is compared in words of four bytes: a client that starts anew reads its first snapshot before anything is compiled, and
// each comparison counts there.
import { CountersignError } from '../lib/errors.ts';
import { BinLayout, generationOfPrefix, MAX_BIN_BITS } from './bins.ts';
import { isBefore, MAX_BIN_VERSION, type BinVersionsImage, type BinVersionsTable } from './snapshot-image.ts';

const FIRST_BIN = /^"(bin[0-9]{0,2})-([0-9a-f]{1,4})\.json"/;
const MAX_BINS = 2 ** MAX_BIN_BITS;

/** Where parseTable, which never waits, collects what it reads. */
const readVersions = new Uint32Array(MAX_BINS);
const readOffsets = new Uint32Array(MAX_BINS);

const HEX = Buffer.from('0123456789abcdef');

/** Big-endian words. */
const BEGINNING = 0x2262696e; // "bin
const VERSION_KEY = '.json":{"version":';
const VERSION_KEY_0 = 0x2e6a736f; // .jso
const VERSION_KEY_4 = 0x6e223a7b; // n":{
const VERSION_KEY_8 = 0x22766572; // "ver
const VERSION_KEY_12 = 0x73696f6e; // sion
const VERSION_KEY_16 = 0x223a; // ":
const VERSION_END = 0x7d2c; // },

/** Bytes; more than an entry has. More than this follows the last bin of any snapshot: no word is read beyond its end. */
const MIN_AFTER_BIN = 64;

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
  const words = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const last = bytes.length - MIN_AFTER_BIN;
  let index = from;
  let at = start;
  /** The last four bytes of the name. */
  let ending = 0;
  while (at <= last && beginsWithKey(bytes, words, at, key)) {
    at += key.length;
    if (index === from || (index & 15) === 0) {
      for (let shift = (digits - 1) * 4; shift >= 0; shift -= 4, at++) {
        if (bytes[at] !== HEX[(index >>> shift) & 15]) throw unexpected(at, `the name of bin ${index}`);
      }
      ending = words.getUint32(at - 4);
    } else {
      // Only the last digit has changed: by one, or from 9 to a.
      at += digits;
      ending += (index & 15) === 10 ? 0x61 - 0x39 : 1;
      if (words.getUint32(at - 4) !== ending) throw unexpected(at - digits, `the name of bin ${index}`);
    }
    if (
      words.getUint32(at) !== VERSION_KEY_0 ||
      words.getUint32(at + 4) !== VERSION_KEY_4 ||
      words.getUint32(at + 8) !== VERSION_KEY_8 ||
      words.getUint32(at + 12) !== VERSION_KEY_12 ||
      words.getUint16(at + 16) !== VERSION_KEY_16
    ) {
      throw unexpected(at, VERSION_KEY);
    }
    at += VERSION_KEY.length;
    if (index >= MAX_BINS) throw unexpected(at, `the end of ${MAX_BINS} bins`);
    readOffsets[index] = at;
    let version = 0;
    let byte = bytes[at];
    if (byte === 0x30) throw unexpected(at, 'a version from 1');
    for (; byte !== undefined && byte >= 0x30 && byte <= 0x39; byte = bytes[++at]) {
      version = version * 10 + (byte - 0x30);
      if (version > MAX_BIN_VERSION) throw unexpected(at, 'a version below 2^32');
    }
    if (version === 0) throw unexpected(at, 'the version of a bin');
    readVersions[index++] = version;
    if (words.getUint16(at) !== VERSION_END) throw unexpected(at, '},');
    at += 2;
  }
  if (index === from) throw unexpected(at, 'a bin with something behind it');
  const layout = new BinLayout(index, generation);
  if (layout.name(layout.first).length !== key.length - 1 + digits) {
    throw unexpected(start, `"${layout.name(layout.first + from)}.json", one of ${layout.count} bins`);
  }
  const versions = readVersions.slice(0, index).fill(0, 0, from);
  const offsets = readOffsets.slice(0, index).fill(0, 0, from);
  return { table: { layout, listed: layout.first + from, versions, offsets }, end: at };
}

/** A key is `"bin-`, or longer when the number of bins has changed. */
function beginsWithKey(bytes: Buffer, words: DataView, at: number, key: Buffer): boolean {
  if (words.getUint32(at) !== BEGINNING) return false;
  for (let i = 4; i < key.length; i++) if (bytes[at + i] !== key[i]) return false;
  return true;
}

function unexpected(offset: number, wanted: string): CountersignError {
  return new CountersignError('metadata-invalid', `snapshot: byte ${offset} is not ${wanted}`);
}
