// Configuration text to plain values, strictly: one document, no duplicate keys, no aliases, no tags.
import { isAlias, isMap, isScalar, isSeq, LineCounter, parseAllDocuments, type Document } from 'yaml';
import { CountersignError, messageOf } from '../lib/errors.ts';

/** A configuration has some thirty keys: anything near this size (in bytes) is another file, given by mistake. */
export const MAX_CONFIG_BYTES = 1024 * 1024;

/** The deepest nesting that is read; the configuration itself needs two levels. */
const MAX_DEPTH = 8;

export type YamlValue = string | number | boolean | null | bigint | YamlMap | readonly YamlValue[];
export type YamlMap = ReadonlyMap<string, YamlValue>;

/**
 * The top-level mapping of `text`; empty when the text holds only comments.
 * @throws CountersignError `config-invalid` that names the line.
 */
export function parseStrictYaml(text: string): YamlMap {
  if (Buffer.byteLength(text) > MAX_CONFIG_BYTES) {
    throw invalid(`the file has ${Buffer.byteLength(text)} bytes, at most ${MAX_CONFIG_BYTES} are read`);
  }
  const lines = new LineCounter();
  const document = onlyDocument(text, lines);
  if (document?.contents === null || document === undefined) return new Map();
  const problem = document.errors[0] ?? document.warnings[0];
  if (problem !== undefined)
    throw invalid(`line ${lines.linePos(problem.pos[0]).line}: ${oneLine(problem.message)}`);
  const value = plain(document.contents, lines, 0);
  if (value === null) return new Map();
  if (!(value instanceof Map)) throw invalid('the file is not a mapping of keys to values');
  return value;
}

function onlyDocument(text: string, lines: LineCounter): Document.Parsed | undefined {
  let documents;
  try {
    // Duplicate keys are found below: the parser's own check compares every pair, which is quadratic.
    documents = parseAllDocuments(text, {
      uniqueKeys: false,
      strict: true,
      schema: 'core',
      version: '1.2',
      prettyErrors: false,
      lineCounter: lines,
    });
  } catch (error) {
    // Nesting beyond the stack, for one: the parser reports some faults by throwing.
    throw invalid(`the file cannot be read as YAML: ${oneLine(messageOf(error))}`, error);
  }
  if (!Array.isArray(documents)) return undefined;
  if (documents.length > 1)
    throw invalid(`the file has ${documents.length} YAML documents, exactly one is read`);
  return documents[0];
}

function plain(node: unknown, lines: LineCounter, depth: number): YamlValue {
  const line = lineOf(node, lines);
  if (depth > MAX_DEPTH) throw invalid(`line ${line}: nested more than ${MAX_DEPTH} levels deep`);
  if (isAlias(node)) throw invalid(`line ${line}: aliases are not read; repeat the value`);
  if (isSeq(node)) return node.items.map((item) => plain(item, lines, depth + 1));
  if (isScalar(node)) return scalar(node.value, line);
  if (!isMap(node)) return null;
  const map = new Map<string, YamlValue>();
  for (const pair of node.items) {
    const keyLine = lineOf(pair.key, lines);
    if (!isScalar(pair.key) || typeof pair.key.value !== 'string') {
      throw invalid(`line ${keyLine}: a key is not plain text`);
    }
    const key = pair.key.value;
    if (map.has(key)) throw invalid(`line ${keyLine}: the key ${JSON.stringify(key)} is given twice`);
    map.set(key, plain(pair.value, lines, depth + 1));
  }
  return map;
}

function scalar(value: unknown, line: number): YamlValue {
  switch (typeof value) {
    case 'string':
    case 'number':
    case 'boolean':
    case 'bigint':
      return value;
    default:
      if (value === null || value === undefined) return null;
      throw invalid(`line ${line}: the value is neither text nor a number`);
  }
}

function lineOf(node: unknown, lines: LineCounter): number {
  const range = isScalar(node) || isMap(node) || isSeq(node) || isAlias(node) ? node.range : undefined;
  return range ? lines.linePos(range[0]).line : 1;
}

function oneLine(text: string): string {
  const line = (text.split('\n')[0] ?? '').replace(/[.:]$/, '');
  return line.charAt(0).toLowerCase() + line.slice(1);
}

function invalid(message: string, cause?: unknown): CountersignError {
  return new CountersignError('config-invalid', message, { cause });
}
