import { describe, expect, test } from 'vitest';
import { hasCode } from '../../src/lib/errors.ts';
import { METADATA_DEPTH, parseStrictJson, type JsonValue } from '../../src/tuf/json.ts';

function parse(text: string | Uint8Array): JsonValue {
  const bytes = typeof text === 'string' ? Buffer.from(text) : text;
  return parseStrictJson(bytes, { maxBytes: 10_000_000, maxDepth: METADATA_DEPTH });
}

describe('parseStrictJson', () => {
  test.each<[string, JsonValue]>([
    [' {"a" : [1 , -2, true,false , null] }\n', new Map([['a', [1, -2, true, false, null]]])],
    ['"\\u00e9\\n\\/\\ud83d\\ude00é😀"', 'é\n/😀é😀'],
    ['{}', new Map()],
    ['[]', []],
    ['9007199254740991', 9007199254740991],
    ['"\u007f"', '\u007f'],
  ])('reads %s', (text, value) => {
    expect(parse(text)).toEqual(value);
  });

  test('keeps a key that is a property of Object', () => {
    const value = parse('{"__proto__":{"polluted":1},"constructor":2}');
    expect([...(value as ReadonlyMap<string, JsonValue>).keys()]).toEqual(['__proto__', 'constructor']);
    expect(({} as Record<string, unknown>)['polluted']).toBeUndefined();
  });

  test.each<[string, string, number, string]>([
    ['a duplicate key', '{"a":1,"a":2}', 7, 'second "a"'],
    ['a duplicate key behind an escape', '{"a":1,"\\u0061":2}', 7, 'second "a"'],
    ['a fraction', '{"a":1.5}', 5, 'integer'],
    ['an exponent', '[1e3]', 1, 'integer'],
    ['an unsafe integer', '9007199254740992', 0, 'integer'],
    ['an integer beyond all bounds', '9'.repeat(400), 0, 'integer'],
    ['a leading zero', '[01]', 1, 'integer'],
    ['negative zero', '[-0]', 1, 'without a sign'],
    ['a bare sign', '[-]', 1, 'integer'],
    ['half a surrogate pair', '"\\ud83d"', 7, 'surrogate'],
    ['the halves in the wrong order', '"\\ude00\\ud83d"', 13, 'surrogate'],
    ['a control character', '"a\u0001"', 2, 'control'],
    ['an unknown escape', '"\\x"', 1, 'escape'],
    ['an inherited escape', '"\\constructor"', 1, 'escape'],
    ['an unfinished escape', '"\\u12', 1, 'hex'],
    ['an unfinished string', '"abc', 4, 'string'],
    ['trailing bytes', '{} x', 3, 'end'],
    ['a trailing comma', '[1,]', 3, 'a value'],
    ['a trailing comma in an object', '{"a":1,}', 7, 'key'],
    ['a missing colon', '{"a" 1}', 5, '":"'],
    ['a missing comma', '[1 2]', 3, '"," or "]"'],
    ['single quotes', "{'a':1}", 1, 'key'],
    ['a comment', '/**/1', 0, 'a value'],
    ['NaN', 'NaN', 0, 'a value'],
    ['a wrong word', 'nul', 0, 'a value'],
    ['a byte order mark', '\ufeff{}', 0, 'a value'],
    ['nothing', '', 0, 'a value'],
    ['white space of other alphabets', '\u00a0{}', 0, 'a value'],
    ['the byte offset behind a long character', '["é" x]', 6, '"," or "]"'],
  ])('refuses %s', (_what, text, offset, wanted) => {
    expect(() => parse(text)).toThrow(
      expect.objectContaining({
        code: 'metadata-invalid',
        message: expect.stringMatching(new RegExp(`^byte ${offset}: expected .*`)) as string,
      }),
    );
    expect(() => parse(text)).toThrow(wanted);
  });

  test('refuses malformed UTF-8, overlong forms and encoded surrogates', () => {
    for (const bytes of [[0x22, 0xff, 0x22], [0x22, 0xc0, 0xaf, 0x22], [0x22, 0xed, 0xa0, 0x80, 0x22]]) {
      expect(() => parse(Uint8Array.from(bytes))).toThrow('not valid UTF-8');
    }
  });

  test('stops at the depth and at the size', () => {
    const nested = (depth: number): string => '['.repeat(depth) + ']'.repeat(depth);
    expect(() => parse(nested(METADATA_DEPTH))).not.toThrow();
    expect(() => parse(nested(METADATA_DEPTH + 1))).toThrow(`at most ${METADATA_DEPTH} levels`);
    expect(() => parse('['.repeat(1_000_000))).toThrow('levels');
    expect(() => parseStrictJson(Buffer.from('[1]'), { maxBytes: 2, maxDepth: 1 })).toThrow(
      expect.objectContaining({ code: 'metadata-too-large', message: expect.stringContaining('3 bytes') as string }),
    );
  });

  test('is linear: sixteen times the input is no more than seventy times the work', () => {
    const document = (members: number): Buffer =>
      Buffer.from(`{${Array.from({ length: members }, (_, i) => `"key-${i}":["\\u0041${'x'.repeat(60)}",${i}]`).join()}}`);
    const leastWork = (bytes: Buffer): number =>
      Math.min(
        ...Array.from({ length: 5 }, () => {
          const start = process.cpuUsage();
          parse(bytes);
          const { user, system } = process.cpuUsage(start);
          return user + system;
        }),
      );
    // Time of the processor, however busy it is with others; a square would take 256 times as much.
    const [small, large] = [document(3000), document(48_000)];
    expect(large.length).toBeGreaterThan(3_000_000);
    leastWork(small);
    expect(leastWork(large)).toBeLessThan(70 * leastWork(small));
  });

  test('throws nothing but its own errors', () => {
    try {
      parse('{');
      expect.unreachable();
    } catch (error) {
      expect(hasCode(error, 'metadata-invalid')).toBe(true);
    }
  });
});
