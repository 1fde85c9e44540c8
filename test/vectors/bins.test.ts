import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { BinLayout, MAX_BIN_BITS } from '../../src/tuf/bins.ts';

const COUNTS = Array.from({ length: MAX_BIN_BITS }, (_, index) => 2 ** (index + 1));

describe('BinLayout', () => {
  test.each([0, 1, 3, 100, 16_383, 131_072, -2, 0.5, Number.NaN])('refuses %s bins', (count) => {
    expect(() => new BinLayout(count)).toThrow(expect.objectContaining({ code: 'metadata-invalid' }));
  });

  // TAP 15: the suffix is the first bit_length bits of the path's SHA-256 in hex, padded to the width of the last one.
  test.each([
    [2, 'bin-0', 'bin-1'],
    [16, 'bin-0', 'bin-f'],
    [32, 'bin-00', 'bin-1f'],
    [256, 'bin-00', 'bin-ff'],
    [16_384, 'bin-0000', 'bin-3fff'],
    [32_768, 'bin-0000', 'bin-7fff'],
  ])('names %d bins from %s to %s', (count, first, last) => {
    const layout = new BinLayout(count);
    expect([layout.name(0), layout.name(count - 1)]).toEqual([first, last]);
  });

  test('puts a path where its hash begins', () => {
    // sha256("a") = ca978112…
    expect(createHash('sha256').update('a').digest('hex').slice(0, 8)).toBe('ca978112');
    expect(new BinLayout(2).indexOf('a')).toBe(1);
    expect(new BinLayout(16).indexOf('a')).toBe(0xc);
    expect(new BinLayout(32).indexOf('a')).toBe(0x19);
    expect(new BinLayout(16_384).indexOf('a')).toBe(0xca97 >> 2);
    expect(new BinLayout(32_768).indexOf('a')).toBe(0xca97 >>> 1);
  });

  test.each(COUNTS)('%d bins: names round-trip, prefixes cover every hash exactly once', (count) => {
    const layout = new BinLayout(count);
    const digits = Math.ceil(layout.bits / 4);
    const seen: string[] = [];
    for (let bin = 0; bin < count; bin++) {
      if (layout.parse(layout.name(bin)) !== bin) expect.unreachable(layout.name(bin));
      seen.push(...layout.hashPrefixes(bin));
    }
    expect(seen).toEqual(
      Array.from({ length: 16 ** digits }, (_, value) => value.toString(16).padStart(digits, '0')),
    );
  });

  test('every path has a prefix of its own bin', () => {
    fc.assert(
      fc.property(fc.constantFrom(...COUNTS), fc.string(), (count, path) => {
        const layout = new BinLayout(count);
        const hash = createHash('sha256').update(path).digest('hex');
        const prefixes = layout.hashPrefixes(layout.indexOf(path));
        expect(prefixes.some((prefix) => hash.startsWith(prefix))).toBe(true);
      }),
    );
  });

  test.each(['bin-10', 'bin-0', 'bin-G', 'bin-0A', 'bin-', 'bin', 'bins', 'xbin-0a', 'bin-0x'])(
    'a layout of 16 bins has no bin %s',
    (name) => {
      expect(new BinLayout(16).parse(name)).toBe(name === 'bin-0' ? 0 : undefined);
    },
  );

  test('delegates in both forms', () => {
    const layout = new BinLayout(32);
    expect(layout.succinctRoles(['k'], 1)).toEqual({
      bit_length: 5,
      keyids: ['k'],
      name_prefix: 'bin',
      threshold: 1,
    });
    expect(layout.prefixRoles(['k'], 1)[31]).toEqual({
      keyids: ['k'],
      name: 'bin-1f',
      path_hash_prefixes: ['f8', 'f9', 'fa', 'fb', 'fc', 'fd', 'fe', 'ff'],
      terminating: true,
      threshold: 1,
    });
  });
});
