// YAML text to plain values, strictly: one document, no duplicate keys, no aliases, no tags.
import { isAlias, isMap, isScalar, isSeq, LineCounter, parseAllDocuments, type Document } from 'yaml';
import { CountersignError, messageOf, type ErrorCode } from './errors.ts';

/** A configuration has some thirty keys: anything near this size (in bytes) is another file, given by mistake. */
export const MAX_CONFIG_BYTES = 1024 * 1024;

/** The deepest nesting that is read; the configuration itself needs two levels. */
const MAX_DEPTH = 8;

export type YamlValue = string | number | boolean | null | bigint | YamlMap | readonly YamlValue[];
export type YamlMap = ReadonlyMap<string, YamlValue>;

/** A document whose refusals can name the place. */
export interface PlacedYaml {
  readonly value: YamlMap;
  /** `line 3, column 5`: where the key or the list item at this path stands; of the nearest one above when absent. */
  place(path: readonly string[]): string;
}

/**
 * The top-level mapping of `text`; empty when the text holds only comments.
 * @throws CountersignError `config-invalid` that names the line.
 */
export function parseStrictYaml(text: string): YamlMap {
  return new Reader(text, {
    code: 'config-invalid',
    maxBytes: MAX_CONFIG_BYTES,
    anchors: true,
    format: ({ line }) => `line ${line}`,
  }).read();
}

/**
 * The same without anchors, and with the places of everything in it.
 * @throws CountersignError `code` that names line and column.
 */
export function parsePlacedYaml(text: string, code: ErrorCode, maxBytes: number): PlacedYaml {
  const reader = new Reader(text, {
    code,
    maxBytes,
    anchors: false,
    format: ({ line, col }) => `line ${line}, column ${col}`,
  });
  return { value: reader.read(), place: (path) => reader.place(path) };
}

interface Position {
  readonly line: number;
  readonly col: number;
}

interface ReaderOptions {
  readonly code: ErrorCode;
  readonly maxBytes: number;
  /** Whether a value may bear an anchor that nothing refers to. */
  readonly anchors: boolean;
  readonly format: (position: Position) => string;
}

class Reader {
  readonly #text: string;
  readonly #options: ReaderOptions;
  readonly #lines = new LineCounter();
  readonly #places = new Map<string, Position>();

  constructor(text: string, options: ReaderOptions) {
    this.#text = text;
    this.#options = options;
  }

  read(): YamlMap {
    const size = Buffer.byteLength(this.#text);
    const { maxBytes } = this.#options;
    if (size > maxBytes) throw this.#invalid(`the file has ${size} bytes, at most ${maxBytes} are read`);
    const document = this.#onlyDocument();
    if (document === undefined) return new Map();
    // Before an empty document is taken for one: what the parser complains about may be all there is.
    const problem = document.errors[0] ?? document.warnings[0];
    if (problem !== undefined) {
      const where = this.#options.format(this.#lines.linePos(problem.pos[0]));
      throw this.#invalid(`${where}: ${oneLine(problem.message)}`);
    }
    if (document.contents === null) return new Map();
    const value = this.#plain(document.contents, []);
    if (value === null) return new Map();
    if (!(value instanceof Map)) throw this.#invalid('the file is not a mapping of keys to values');
    return value;
  }

  place(path: readonly string[]): string {
    for (let length = path.length; length > 0; length -= 1) {
      const position = this.#places.get(placeKey(path.slice(0, length)));
      if (position !== undefined) return this.#options.format(position);
    }
    return this.#options.format({ line: 1, col: 1 });
  }

  #onlyDocument(): Document.Parsed | undefined {
    let documents;
    try {
      // Duplicate keys are found below: the parser's own check compares every pair, which is quadratic.
      documents = parseAllDocuments(this.#text, {
        uniqueKeys: false,
        strict: true,
        schema: 'core',
        version: '1.2',
        prettyErrors: false,
        lineCounter: this.#lines,
      });
    } catch (error) {
      // Nesting beyond the stack, for one: the parser reports some faults by throwing.
      throw this.#invalid(`the file cannot be read as YAML: ${oneLine(messageOf(error))}`, error);
    }
    if (!Array.isArray(documents)) return undefined;
    if (documents.length > 1) {
      throw this.#invalid(`the file has ${documents.length} YAML documents, exactly one is read`);
    }
    return documents[0];
  }

  #plain(node: unknown, path: readonly string[]): YamlValue {
    const where = (): string => this.#options.format(this.#positionOf(node));
    if (path.length > MAX_DEPTH) {
      throw this.#invalid(`${where()}: nested more than ${MAX_DEPTH} levels deep`);
    }
    if (isAlias(node)) throw this.#invalid(`${where()}: aliases are not read; repeat the value`);
    if (!this.#options.anchors && hasAnchor(node)) throw this.#invalid(`${where()}: anchors are not read`);
    if (isSeq(node)) {
      return node.items.map((item, index) => {
        const itemPath = [...path, String(index)];
        this.#places.set(placeKey(itemPath), this.#positionOf(item));
        return this.#plain(item, itemPath);
      });
    }
    if (isScalar(node)) return this.#scalar(node.value, where);
    if (!isMap(node)) return null;
    const map = new Map<string, YamlValue>();
    for (const pair of node.items) {
      const position = this.#positionOf(pair.key);
      if (!isScalar(pair.key) || typeof pair.key.value !== 'string') {
        throw this.#invalid(`${this.#options.format(position)}: a key is not plain text`);
      }
      const key = pair.key.value;
      if (map.has(key)) {
        throw this.#invalid(
          `${this.#options.format(position)}: the key ${JSON.stringify(key)} is given twice`,
        );
      }
      const keyPath = [...path, key];
      this.#places.set(placeKey(keyPath), position);
      map.set(key, this.#plain(pair.value, keyPath));
    }
    return map;
  }

  #scalar(value: unknown, where: () => string): YamlValue {
    switch (typeof value) {
      case 'string':
      case 'number':
      case 'boolean':
      case 'bigint':
        return value;
      default:
        if (value === null || value === undefined) return null;
        throw this.#invalid(`${where()}: the value is neither text nor a number`);
    }
  }

  #positionOf(node: unknown): Position {
    const range = isScalar(node) || isMap(node) || isSeq(node) || isAlias(node) ? node.range : undefined;
    return range ? this.#lines.linePos(range[0]) : { line: 1, col: 1 };
  }

  #invalid(message: string, cause?: unknown): CountersignError {
    return new CountersignError(this.#options.code, message, { cause });
  }
}

function hasAnchor(node: unknown): boolean {
  return (isScalar(node) || isMap(node) || isSeq(node)) && node.anchor !== undefined;
}

function placeKey(path: readonly string[]): string {
  return path.map((part) => `${part.length}:${part}`).join('');
}

function oneLine(text: string): string {
  const line = (text.split('\n')[0] ?? '').replace(/[.:]$/, '');
  return line.charAt(0).toLowerCase() + line.slice(1);
}
