// What lines of a list look like: NDJSON, CSV with a header, or RSTUF's four columns without one. Which of them a file
// has is told by its first line. A parser never throws: what is wrong with a line is an answer.
import { CountersignError, hasCode, messageOf } from '../../lib/errors.ts';
import type { Canonicalizable } from '../../tuf/canonical-json.ts';
import { parseStrictJson, type JsonMap } from '../../tuf/json.ts';
import type { Claim } from '../claim.ts';
import { quoted } from '../claim.ts';

export type LineFormat =
  | { readonly kind: 'ndjson' }
  | { readonly kind: 'rstuf' }
  | {
      readonly kind: 'csv';
      readonly delimiter: string;
      readonly columns: number;
      readonly path: number;
      readonly length: number;
      readonly sha256: number;
    };

/** Whether the first line is a header and holds no file. */
export interface DetectedFormat {
  readonly format: LineFormat;
  readonly header: boolean;
}

/** Names under which a CSV may have its columns; the last ones are those of PyPI's database. */
const COLUMNS = {
  path: ['path', 'target', 'filename'],
  length: ['length', 'size', 'bytes'],
  sha256: ['sha256', 'sha256_digest', 'hash'],
} as const;

const RSTUF_HEADER = 'path;size;hash-type;hash';

/** @throws CountersignError `manifest-invalid` when the first line is of no known form. */
export function detectFormat(firstLine: string, name: string): DetectedFormat {
  const line = firstLine.replace(/^\ufeff/, '').trimEnd();
  if (line.startsWith('{')) return { format: { kind: 'ndjson' }, header: false };
  if (line.toLowerCase() === RSTUF_HEADER) return { format: { kind: 'rstuf' }, header: true };
  const fields = line.split(';');
  if (fields.length === 4 && /^[a-z0-9-]+$/i.test(fields[2] ?? '') && !isHeader(fields)) {
    return { format: { kind: 'rstuf' }, header: false };
  }
  for (const delimiter of [',', ';', '\t']) {
    const names = (splitRow(line, delimiter) ?? []).map((field) => field.trim().toLowerCase());
    const column = (wanted: readonly string[]): number => names.findIndex((found) => wanted.includes(found));
    const [path, length, sha256] = [column(COLUMNS.path), column(COLUMNS.length), column(COLUMNS.sha256)];
    if (path >= 0 && length >= 0 && sha256 >= 0) {
      return {
        format: { kind: 'csv', delimiter, columns: names.length, path, length, sha256 },
        header: true,
      };
    }
  }
  throw new CountersignError(
    'manifest-invalid',
    `${name}: the first line ${quoted(line.slice(0, 100))} is neither an object of NDJSON, nor a CSV header with the columns ` +
      `path, length and sha256, nor "${RSTUF_HEADER}"`,
  );
}

function isHeader(fields: readonly string[]): boolean {
  return fields.some((field) => COLUMNS.path.some((name) => name === field.trim().toLowerCase()));
}

/** What a line claims, or what is wrong with it. */
export function parseLine(line: string, format: LineFormat): Claim | string {
  switch (format.kind) {
    case 'ndjson':
      return parseJsonLine(line);
    case 'rstuf':
      return parseRstufLine(line);
    case 'csv': {
      const fields = splitRow(line, format.delimiter);
      if (fields === undefined) return 'has a quoted field that does not end on this line';
      if (fields.length !== format.columns) {
        return `has ${fields.length} columns, the header has ${format.columns}`;
      }
      return { path: fields[format.path], length: fields[format.length], sha256: fields[format.sha256] };
    }
  }
}

function parseRstufLine(line: string): Claim | string {
  const fields = line.split(';');
  if (fields.length !== 4) return `has ${fields.length} columns, expected ${RSTUF_HEADER}`;
  const [path, length, hashType = '', sha256] = fields;
  if (hashType !== 'sha256') return `has the hash type ${quoted(hashType)}, clients agree on sha256 only`;
  return { path, length, sha256 };
}

/** One member of a flat object: a key, and a string without escapes, a whole number, or a word. */
const MEMBER = /\s*"([^"\\]*)"\s*:\s*(?:"([^"\\]*)"|(-?(?:0|[1-9][0-9]{0,15}))|(true|false|null))\s*([,}])/y;
/** How an object begins; a byte order mark before the first one has become blanks. */
const OBJECT_BEGINS = /^\s*\{/;

/** Most lists have flat lines: they are read without a tree, and a key that stands twice is still noticed. */
function parseJsonLine(line: string): Claim | string {
  let path: string | undefined;
  let length: string | number | undefined;
  let sha256: string | undefined;
  let at = OBJECT_BEGINS.exec(line)?.[0].length ?? 0;
  if (at === 0) return line.includes('{') ? parseNestedLine(line) : 'is not an object';
  for (;;) {
    MEMBER.lastIndex = at;
    const member = MEMBER.exec(line);
    if (member === null) return parseNestedLine(line);
    at += member[0].length;
    switch (member[1]) {
      case 'path':
        if (path !== undefined || member[2] === undefined) return parseNestedLine(line);
        path = member[2];
        break;
      case 'length':
      case 'size':
        if (length !== undefined || member[3] === undefined) return parseNestedLine(line);
        length = Number(member[3]);
        break;
      case 'sha256':
        if (sha256 !== undefined || member[2] === undefined) return parseNestedLine(line);
        sha256 = member[2];
        break;
      case 'hashes':
      case 'custom':
      case 'problem':
        return parseNestedLine(line);
      default:
        break;
    }
    if (member[5] === '}') break;
  }
  return at === line.length || line.slice(at).trim() === ''
    ? { path, length, sha256 }
    : parseNestedLine(line);
}

/** Levels around custom data: the line; as deep as an event may have them. */
const MAX_DEPTH = 1 + 8;

function parseNestedLine(line: string): Claim | string {
  let map: JsonMap;
  try {
    const value = parseStrictJson(Buffer.from(line), {
      maxBytes: Number.POSITIVE_INFINITY,
      maxDepth: MAX_DEPTH,
    });
    if (!(value instanceof Map)) return 'is not an object';
    map = value as JsonMap;
  } catch (error) {
    if (!hasCode(error, 'metadata-invalid')) throw error;
    return `is not acceptable JSON: ${messageOf(error)}`;
  }
  // What reading an index has found out about a file (./simple-index.ts).
  const problem = map.get('problem');
  if (typeof problem === 'string') return problem;
  if (map.has('length') && map.has('size')) return 'has both a length and a size';
  const hashes = map.get('hashes');
  if (map.has('sha256') && hashes !== undefined) return 'has both a sha256 and hashes';
  const nested = hashes instanceof Map ? (hashes as JsonMap).get('sha256') : undefined;
  return {
    path: map.get('path'),
    length: map.get('length') ?? map.get('size'),
    sha256: map.get('sha256') ?? nested,
    custom: map.get('custom') as Canonicalizable | undefined,
  };
}

/** The fields of a row (RFC 4180, without line ends inside quotes); undefined when a quote is left open. */
export function splitRow(line: string, delimiter: string): string[] | undefined {
  if (!line.includes('"')) return line.split(delimiter);
  const fields: string[] = [];
  for (let at = 0; at <= line.length;) {
    if (line.charAt(at) !== '"') {
      const end = line.indexOf(delimiter, at);
      fields.push(line.slice(at, end === -1 ? line.length : end));
      if (end === -1) return fields;
      at = end + 1;
      continue;
    }
    let field = '';
    let end = at + 1;
    for (;;) {
      const quote = line.indexOf('"', end);
      if (quote === -1) return undefined;
      field += line.slice(end, quote);
      if (line.charAt(quote + 1) !== '"') {
        end = quote + 1;
        break;
      }
      field += '"';
      end = quote + 2;
    }
    fields.push(field);
    if (end === line.length) return fields;
    if (line.charAt(end) !== delimiter) return undefined;
    at = end + 1;
  }
  return fields;
}
