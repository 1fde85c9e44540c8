// Canonical JSON: the bytes that TUF signs. Object keys in code-point order, no white space, only `"` and `\` escaped,
// integers only. One pass. (JavaScript's own sort() orders by UTF-16 unit, which differs above U+FFFF: interop 14.)
import { CountersignError } from '../lib/errors.ts';

/** Anything that canonical JSON can say; a Map stands for an object whose keys come from outside. */
export type Canonicalizable =
  | null
  | boolean
  | number
  | string
  | readonly Canonicalizable[]
  | ReadonlyMap<string, Canonicalizable>
  | { readonly [key: string]: Canonicalizable | undefined };

/** Orders strings by Unicode code point, as Python and Go do; equal to UTF-8 byte order. */
export function compareCodePoints(a: string, b: string): number {
  const length = Math.min(a.length, b.length);
  for (let i = 0; i < length; i++) {
    const x = a.charCodeAt(i);
    const y = b.charCodeAt(i);
    if (x === y) continue;
    // A surrogate half stands for a code point above every other UTF-16 unit.
    const high = (unit: number): number => (unit >= 0xd800 && unit <= 0xdfff ? unit + 0x10000 : unit);
    return high(x) - high(y);
  }
  return a.length - b.length;
}

/**
 * The canonical text of a value. Keys whose value is undefined are left out.
 * @throws CountersignError `metadata-invalid` for a number that is not an integer below 2^53 (interop rule 13), a
 *   string that is not well-formed Unicode, and anything JSON cannot hold.
 */
export function canonicalJson(value: Canonicalizable): string {
  if (value === null) return 'null';
  switch (typeof value) {
    case 'boolean':
      return value ? 'true' : 'false';
    case 'number':
      if (!Number.isSafeInteger(value) || Object.is(value, -0)) {
        throw new CountersignError('metadata-invalid', `number ${value} is not an integer below 2^53`);
      }
      return String(value);
    case 'string':
      return canonicalString(value);
    case 'object':
      break;
    default:
      throw new CountersignError('metadata-invalid', `a ${typeof value} has no canonical JSON`);
  }
  if (Array.isArray(value)) {
    return `[${(value as readonly Canonicalizable[]).map(canonicalJson).join(',')}]`;
  }
  const entries: (readonly [string, Canonicalizable | undefined])[] =
    value instanceof Map
      ? [...(value as ReadonlyMap<string, Canonicalizable>)]
      : Object.entries(value as Readonly<Record<string, Canonicalizable | undefined>>);
  const members = entries
    .filter((entry): entry is readonly [string, Canonicalizable] => entry[1] !== undefined)
    .sort((a, b) => compareCodePoints(a[0], b[0]))
    .map(([key, member]) => `${canonicalString(key)}:${canonicalJson(member)}`);
  return `{${members.join(',')}}`;
}

/** The UTF-8 bytes of the canonical text. */
export function canonicalBytes(value: Canonicalizable): Buffer {
  return Buffer.from(canonicalJson(value), 'utf8');
}

function canonicalString(text: string): string {
  if (/[\ud800-\udfff]/.test(text) && !text.isWellFormed()) {
    throw new CountersignError('metadata-invalid', 'a string holds half a surrogate pair');
  }
  return `"${/["\\]/.test(text) ? text.replace(/["\\]/g, '\\$&') : text}"`;
}
