import { createRequire } from 'node:module';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { canonicalBytes, canonicalJson, compareCodePoints, type Canonicalizable } from '../../src/tuf/canonical-json.ts';
import { METADATA_DEPTH, parseStrictJson } from '../../src/tuf/json.ts';

// A dependency of @tufjs/models that has no types.
const { canonicalize } = createRequire(createRequire(import.meta.url).resolve('@tufjs/models'))(
  '@tufjs/canonical-json',
) as { canonicalize: (value: unknown) => string };

describe('canonicalJson', () => {
  // Bytes computed by securesystemslib 1.6.0, encode_canonical.
  test.each<[string, Canonicalizable, string]>([
    [
      'code-point order above U+FFFF, raw control characters',
      { '\u{1F600}': 1, '\uFFFD': 2, a: 'q"\\\n\t\u007f/é' },
      '7b2261223a22715c225c5c0a097f2fc3a9222c22efbfbd223a322c22f09f9880223a317d',
    ],
    [
      'literals, an empty key, nothing',
      { b: [true, false, null, -5, 9007199254740991], a: {}, '': '' },
      '7b22223a22222c2261223a7b7d2c2262223a5b747275652c66616c73652c6e756c6c2c2d352c393030373139393235343734303939315d7d',
    ],
  ])('agrees with python: %s', (_what, value, hex) => {
    expect(canonicalBytes(value).toString('hex')).toBe(hex);
  });

  test('sorts integer-like keys as text, from objects and from maps', () => {
    expect(canonicalJson({ 10: 1, 9: 2, a: 3 })).toBe('{"10":1,"9":2,"a":3}');
    expect(canonicalJson(new Map([['b', 1], ['__proto__', 2]]))).toBe('{"__proto__":2,"b":1}');
  });

  test('leaves undefined members out', () => {
    expect(canonicalJson({ a: undefined, b: 1 })).toBe('{"b":1}');
  });

  test.each([0.5, Number.NaN, Infinity, 2 ** 53, -0])('refuses the number %s', (value) => {
    expect(() => canonicalJson([value])).toThrow(expect.objectContaining({ code: 'metadata-invalid' }));
  });

  test('refuses half a surrogate pair, in keys too', () => {
    expect(() => canonicalJson('\ud83d')).toThrow('surrogate');
    expect(() => canonicalJson({ '\ude00': 1 })).toThrow('surrogate');
  });

  test('orders as UTF-8 bytes do', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), fc.string({ unit: 'binary' }), (a, b) => {
        fc.pre(a.isWellFormed() && b.isWellFormed());
        expect(Math.sign(compareCodePoints(a, b))).toBe(Buffer.compare(Buffer.from(a), Buffer.from(b)));
      }),
    );
  });

  test('agrees with @tufjs/canonical-json on ASCII documents, and reads back what it wrote', () => {
    const ascii = fc.string({ unit: 'binary-ascii' });
    const { tree } = fc.letrec<{ tree: unknown }>((tie) => ({
      tree: fc.oneof(
        { depthSize: 'small' },
        fc.constantFrom(null, true, false),
        fc.maxSafeInteger().map((n) => n + 0),
        ascii,
        fc.array(tie('tree'), { maxLength: 5 }),
        fc.dictionary(ascii.filter((key) => key !== '__proto__'), tie('tree'), { maxKeys: 6 }),
      ),
    }));
    fc.assert(
      fc.property(tree, (value) => {
        const text = JSON.stringify(value);
        const parsed = parseStrictJson(Buffer.from(text), { maxBytes: 1e6, maxDepth: METADATA_DEPTH });
        const canonical = canonicalJson(parsed);
        expect(canonical).toBe(canonicalize(JSON.parse(text)));
      }),
      { numRuns: 500 },
    );
  });
});
