// Hostile bytes: whatever is done to a valid file, a parser answers with its value or with a CountersignError, and what
// it accepts has one canonical form.
import fc from 'fast-check';
import { beforeAll, describe, expect, test } from 'vitest';
import { CountersignError } from '../../src/lib/errors.ts';
import { canonicalBytes } from '../../src/tuf/canonical-json.ts';
import { parseBundle, serializeBundle } from '../../src/tuf/bundle.ts';
import { envelopeFile, type Envelope } from '../../src/tuf/envelope.ts';
import { METADATA_DEPTH, parseStrictJson } from '../../src/tuf/json.ts';
import { parseRoot } from '../../src/tuf/parse-root.ts';
import { parseBins, parseTargets } from '../../src/tuf/parse-targets.ts';
import { parseTimestamp } from '../../src/tuf/parse-timestamp.ts';
import { bundleFiles, genesisRepository, onlineFiles } from '../support/genesis-repository.ts';

const RUNS = process.env['SLOW'] === '1' ? 20_000 : 400;

const LIMITS = { maxBytes: 1_000_000, maxDepth: METADATA_DEPTH };

/** The value, or undefined after an error that callers know. Everything else fails the test. */
function attempt<T>(work: () => T): T | undefined {
  try {
    return work();
  } catch (error) {
    if (error instanceof CountersignError && error.code !== 'internal') return undefined;
    throw error;
  }
}

type Edit = (bytes: Buffer) => Buffer;

/** One small change to some bytes: a bit, a cut, a repetition, or a fragment that means something to a parser. */
const edit: fc.Arbitrary<Edit> = fc
  .record({
    at: fc.double({ min: 0, max: 1, noNaN: true, maxExcluded: true }),
    length: fc.integer({ min: 0, max: 40 }),
    kind: fc.constantFrom('flip', 'cut', 'repeat', 'insert'),
    bit: fc.integer({ min: 0, max: 7 }),
    fragment: fc.oneof(
      fc.constantFrom(
        '"',
        '\\',
        '{',
        '}',
        '[',
        ']',
        ',',
        ':',
        '-',
        '0',
        '1e9',
        '.5',
        'null',
        '\\u0000',
        '\ufeff',
        '{}',
        '[]',
        '""',
        '-1',
      ),
      fc.string(),
    ),
  })
  .map(({ at, length, kind, bit, fragment }) => (bytes) => {
    const start = Math.floor(at * bytes.length);
    const end = Math.min(bytes.length, start + length);
    if (kind === 'flip') {
      const copy = Buffer.from(bytes);
      copy[start] = (copy[start] ?? 0) ^ (1 << bit);
      return copy;
    }
    const middle = {
      cut: Buffer.alloc(0),
      repeat: Buffer.concat([bytes.subarray(start, end), bytes.subarray(start, end)]),
      insert: Buffer.from(fragment),
    }[kind];
    return Buffer.concat([bytes.subarray(0, start), middle, bytes.subarray(kind === 'insert' ? start : end)]);
  });

const edits = fc.array(edit, { minLength: 1, maxLength: 4 });

let valid: Record<string, { bytes: Buffer; parse: (bytes: Uint8Array) => Envelope<unknown> }>;
let bundle: Buffer;

beforeAll(async () => {
  const repository = await genesisRepository(8, 'prefixes');
  const files = bundleFiles(repository.bundle);
  const { timestamp } = await onlineFiles(repository);
  valid = {
    root: { bytes: files.root, parse: parseRoot },
    targets: { bytes: files.targets, parse: parseTargets },
    bins: { bytes: files.bins, parse: parseBins },
    timestamp: { bytes: timestamp, parse: parseTimestamp },
  };
  bundle = serializeBundle(repository.bundle);
});

describe.each(['root', 'targets', 'bins', 'timestamp'])('%s', (role) => {
  test('the file as published is its own round trip', () => {
    const { bytes, parse } = valid[role]!;
    expect(envelopeFile(parse(bytes)).equals(bytes)).toBe(true);
  });

  test('altered bytes are refused by name or read the same twice', () => {
    const { bytes, parse } = valid[role]!;
    fc.assert(
      fc.property(edits, (changes) => {
        const altered = changes.reduce<Buffer>((current, change) => change(current), bytes);
        const envelope = attempt(() => parse(altered));
        if (envelope === undefined) return;
        const again = parse(envelopeFile(envelope));
        expect(again).toEqual(envelope);
      }),
      { numRuns: RUNS },
    );
  });
});

test('an altered bundle is refused as such', () => {
  fc.assert(
    fc.property(edits, (changes) => {
      const altered = changes.reduce<Buffer>((current, change) => change(current), bundle);
      try {
        parseBundle(altered);
      } catch (error) {
        expect(error).toMatchObject({ name: 'CountersignError', code: 'bundle-invalid' });
      }
    }),
    { numRuns: RUNS },
  );
});

test('what parseStrictJson reads, JSON.parse reads too, and its canonical form is a fixed point', () => {
  const text = fc.oneof(fc.json(), fc.string(), fc.json({ stringUnit: 'binary' }));
  fc.assert(
    fc.property(text, edits, fc.boolean(), (document, changes, alter) => {
      const bytes = Buffer.from(document);
      const input = alter ? changes.reduce<Buffer>((current, change) => change(current), bytes) : bytes;
      const value = attempt(() => parseStrictJson(input, LIMITS));
      if (value === undefined) return;
      expect(() => JSON.parse(input.toString()) as unknown).not.toThrow();
      const canonical = canonicalBytes(value);
      // Control characters stand as they are in canonical JSON, which is no JSON then.
      const readable = attempt(() => parseStrictJson(canonical, LIMITS));
      if (readable !== undefined) expect(canonicalBytes(readable).equals(canonical)).toBe(true);
      else expect(canonical.some((byte) => byte < 0x20)).toBe(true);
    }),
    { numRuns: RUNS * 3 },
  );
});
