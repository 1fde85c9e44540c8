// Reading JSON that strangers wrote: linear, bounded, and stricter than JSON.parse. Objects become Maps, so that no key
// can reach a prototype (interop rule 16); a key that stands twice, a fraction, or an integer that another language
// would round is refused, because two clients must never read two things in one signed file (interop rule 13).
import { CountersignError } from '../lib/errors.ts';

export type JsonValue = null | boolean | number | string | readonly JsonValue[] | JsonMap;
export type JsonMap = ReadonlyMap<string, JsonValue>;

export interface JsonLimits {
  readonly maxBytes: number;
  /** Arrays and objects inside each other; a scalar alone has depth 0. */
  readonly maxDepth: number;
}

/** Metadata nests eight deep at most, apart from custom data. */
export const METADATA_DEPTH = 32;

// Fatal: malformed UTF-8 is an error. ignoreBOM keeps a byte order mark in the text, where the grammar refuses it.
const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/**
 * Parses one JSON document with integers only.
 * @throws CountersignError `metadata-too-large` above `maxBytes`; `metadata-invalid`, with the byte offset and what was
 *   expected there, for everything that is not exactly one well-formed document.
 */
export function parseStrictJson(bytes: Uint8Array, limits: JsonLimits): JsonValue {
  if (bytes.length > limits.maxBytes) {
    throw new CountersignError(
      'metadata-too-large',
      `document has ${bytes.length} bytes, at most ${limits.maxBytes} are allowed`,
    );
  }
  let text: string;
  try {
    text = decoder.decode(bytes);
  } catch (cause) {
    throw new CountersignError('metadata-invalid', 'document is not valid UTF-8', { cause });
  }
  return new Reader(text, limits.maxDepth).document();
}

const QUOTE = 0x22;
const COMMA = 0x2c;
const COLON = 0x3a;
const MINUS = 0x2d;
const OPEN_BRACKET = 0x5b;
const CLOSE_BRACKET = 0x5d;
const OPEN_BRACE = 0x7b;
const CLOSE_BRACE = 0x7d;

const ESCAPES: Readonly<Record<string, string>> = {
  '"': '"',
  '\\': '\\',
  '/': '/',
  b: '\b',
  f: '\f',
  n: '\n',
  r: '\r',
  t: '\t',
};

class Reader {
  readonly #text: string;
  readonly #maxDepth: number;
  #at = 0;

  constructor(text: string, maxDepth: number) {
    this.#text = text;
    this.#maxDepth = maxDepth;
  }

  document(): JsonValue {
    const value = this.#value(0);
    this.#skipSpace();
    if (this.#at < this.#text.length) throw this.#expected('the end of the document');
    return value;
  }

  #value(depth: number): JsonValue {
    this.#skipSpace();
    const unit = this.#text.charCodeAt(this.#at);
    switch (unit) {
      case QUOTE:
        return this.#string();
      case OPEN_BRACE:
        return this.#object(this.#deeper(depth));
      case OPEN_BRACKET:
        return this.#array(this.#deeper(depth));
      case 0x74: // t
        return this.#word('true', true);
      case 0x66: // f
        return this.#word('false', false);
      case 0x6e: // n
        return this.#word('null', null);
      default:
        if (unit === MINUS || isDigit(unit)) return this.#integer();
        throw this.#expected('a value');
    }
  }

  #deeper(depth: number): number {
    if (depth < this.#maxDepth) return depth + 1;
    throw this.#expected(`at most ${this.#maxDepth} levels of arrays and objects`);
  }

  #object(depth: number): JsonMap {
    const members = new Map<string, JsonValue>();
    this.#at++;
    this.#skipSpace();
    if (this.#take(CLOSE_BRACE)) return members;
    do {
      this.#skipSpace();
      const start = this.#at;
      if (this.#text.charCodeAt(start) !== QUOTE) throw this.#expected('a key in quotes');
      const key = this.#string();
      if (members.has(key)) {
        this.#at = start;
        throw this.#expected(`a new key instead of a second ${JSON.stringify(key.slice(0, 100))}`);
      }
      this.#skipSpace();
      if (!this.#take(COLON)) throw this.#expected('":"');
      members.set(key, this.#value(depth));
      this.#skipSpace();
    } while (this.#take(COMMA));
    if (!this.#take(CLOSE_BRACE)) throw this.#expected('"," or "}"');
    return members;
  }

  #array(depth: number): JsonValue[] {
    const items: JsonValue[] = [];
    this.#at++;
    this.#skipSpace();
    if (this.#take(CLOSE_BRACKET)) return items;
    do {
      items.push(this.#value(depth));
      this.#skipSpace();
    } while (this.#take(COMMA));
    if (!this.#take(CLOSE_BRACKET)) throw this.#expected('"," or "]"');
    return items;
  }

  #string(): string {
    const text = this.#text;
    this.#at++;
    let start = this.#at;
    let result = '';
    let escaped = false;
    for (;;) {
      const unit = text.charCodeAt(this.#at);
      if (unit === QUOTE) break;
      if (unit === 0x5c) {
        result += text.slice(start, this.#at) + this.#escape();
        start = this.#at;
        escaped = true;
      } else if (unit >= 0x20) {
        this.#at++;
      } else {
        // Also NaN, at the end of the text.
        throw this.#expected('the end of a string, with control characters written as escapes');
      }
    }
    result = escaped ? result + text.slice(start, this.#at) : text.slice(start, this.#at);
    // Half a pair can only come from an escape: the text itself was decoded from valid UTF-8.
    if (escaped && !result.isWellFormed()) throw this.#expected('both halves of a surrogate pair');
    this.#at++;
    return result;
  }

  #escape(): string {
    const letter = this.#text.charAt(this.#at + 1);
    if (letter === 'u') {
      const digits = this.#text.slice(this.#at + 2, this.#at + 6);
      if (!/^[0-9A-Fa-f]{4}$/.test(digits)) throw this.#expected('four hex digits after "\\u"');
      this.#at += 6;
      return String.fromCharCode(Number.parseInt(digits, 16));
    }
    const character = Object.hasOwn(ESCAPES, letter) ? ESCAPES[letter] : undefined;
    if (character === undefined) throw this.#expected('an escape that JSON knows');
    this.#at += 2;
    return character;
  }

  #integer(): number {
    const text = this.#text;
    const start = this.#at;
    if (text.charCodeAt(this.#at) === MINUS) this.#at++;
    const first = text.charCodeAt(this.#at);
    const digits = this.#at;
    while (isDigit(text.charCodeAt(this.#at))) this.#at++;
    const next = text.charAt(this.#at);
    const value = this.#at - digits > 16 ? Number.NaN : Number(text.slice(start, this.#at));
    const wellFormed = this.#at > digits && (first !== 0x30 || this.#at === digits + 1);
    if (!wellFormed || next === '.' || next === 'e' || next === 'E' || !Number.isSafeInteger(value)) {
      this.#at = start;
      throw this.#expected('an integer below 2^53 without a fraction, an exponent or leading zeros');
    }
    if (Object.is(value, -0)) {
      this.#at = start;
      throw this.#expected('0 without a sign');
    }
    return value;
  }

  #word<T extends JsonValue>(word: string, value: T): T {
    if (!this.#text.startsWith(word, this.#at)) throw this.#expected('a value');
    this.#at += word.length;
    return value;
  }

  #take(unit: number): boolean {
    if (this.#text.charCodeAt(this.#at) !== unit) return false;
    this.#at++;
    return true;
  }

  #skipSpace(): void {
    for (;;) {
      const unit = this.#text.charCodeAt(this.#at);
      if (unit !== 0x20 && unit !== 0x0a && unit !== 0x0d && unit !== 0x09) return;
      this.#at++;
    }
  }

  #expected(what: string): CountersignError {
    const offset = Buffer.byteLength(this.#text.slice(0, this.#at), 'utf8');
    return new CountersignError('metadata-invalid', `byte ${offset}: expected ${what}`);
  }
}

function isDigit(unit: number): boolean {
  return unit >= 0x30 && unit <= 0x39;
}
