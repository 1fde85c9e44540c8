// The documents that are edited in place say at every moment what canonical JSON of the same objects says.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { hasCode } from '../../src/lib/errors.ts';
import { BinDocument } from '../../src/tuf/bin-document.ts';
import { BinLayout } from '../../src/tuf/bins.ts';
import { canonicalBytes } from '../../src/tuf/canonical-json.ts';
import { SPEC_VERSION, type TargetFile } from '../../src/tuf/metadata.ts';
import { SnapshotDocument } from '../../src/tuf/snapshot-document.ts';
import { targetPathProblem } from '../../src/tuf/target-path.ts';

const runs = { numRuns: process.env['SLOW'] === '1' ? 5000 : 200 };

const paths = fc
  .stringMatching(/^[A-Za-z0-9._~!@+-]{1,6}(\/[A-Za-z0-9._~!@+-]{1,6}){0,2}$/)
  .filter((path) => targetPathProblem(path) === undefined);
const custom = fc.dictionary(
  fc.string({ unit: 'grapheme', maxLength: 4 }).filter((key) => key !== '__proto__'),
  fc.oneof(
    fc.integer(),
    fc.string({ unit: 'grapheme', maxLength: 8 }),
    fc.constant({ nested: ['"', '\\', '}'] }),
  ),
  { maxKeys: 3 },
);
const targets: fc.Arbitrary<TargetFile> = fc
  .tuple(
    fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER }),
    fc.stringMatching(/^[0-9a-f]{64}$/),
    fc.option(custom, { nil: undefined }),
  )
  .map(([length, sha256, extra]) => ({
    ...(extra === undefined ? {} : { custom: extra }),
    hashes: { sha256 },
    length,
  }));
const edits = fc.array(fc.tuple(paths, fc.option(targets, { nil: undefined })), { maxLength: 12 });

function modelOfBin(model: Map<string, TargetFile>, version: number, expires: string): Buffer {
  return canonicalBytes({
    _type: 'targets',
    expires,
    spec_version: SPEC_VERSION,
    targets: new Map([...model].map(([path, target]) => [path, { ...target, hashes: { ...target.hashes } }])),
    version,
  });
}

describe('bin document', () => {
  test('more entries than a bin usually has', () => {
    const model = new Map(
      Array.from({ length: 5000 }, (_, i): [string, TargetFile] => [
        `p/${i}`,
        { length: i + 1, hashes: { sha256: String(i).padStart(64, '0') } },
      ]),
    );
    const bytes = modelOfBin(model, 1, '2030-01-01T00:00:00Z');
    const bin = BinDocument.parse(bytes);
    expect(bin.size).toBe(5000);
    expect(new Map(bin.entries())).toEqual(model);
    expect(() => BinDocument.again(bytes.subarray(1), bin.outline)).toThrow(RangeError);
  });

  test('any sequence of edits gives the canonical bytes of the same map, and parses back', () => {
    fc.assert(
      fc.property(fc.array(edits, { maxLength: 6 }), (batches) => {
        const model = new Map<string, TargetFile>();
        let bin = BinDocument.empty(1, '2030-01-01T00:00:00Z');
        batches.forEach((batch, index) => {
          const expires = `2030-01-0${index + 1}T00:00:00Z`;
          bin = bin.edit(new Map(batch), index + 2, expires);
          for (const [path, target] of new Map(batch)) {
            if (target === undefined) model.delete(path);
            else model.set(path, target);
          }
          expect(Buffer.from(bin.signed).toString()).toBe(modelOfBin(model, index + 2, expires).toString());
          const parsed = BinDocument.parse(bin.signed);
          expect(parsed.version).toBe(index + 2);
          expect(parsed.expires).toBe(expires);
          expect(parsed.size).toBe(model.size);
          for (const [path, target] of model) expect(parsed.get(path)).toEqual(target);
          expect([...parsed.entries()].map(([path]) => path)).toEqual([...model.keys()].sort());
          // The same bytes once more, in other memory, by what is known of them.
          const again = BinDocument.again(Buffer.from(bin.signed), parsed.outline);
          expect([...again.entries()]).toEqual([...parsed.entries()]);
          expect(again).toMatchObject({ version: parsed.version, expires, size: parsed.size });
          expect(bin.get('not/there-x')).toBeUndefined();
        });
      }),
      runs,
    );
  });

  test('altered bytes are refused or read as different facts, never with another kind of error', () => {
    const bin = BinDocument.empty(1, '2030-01-01T00:00:00Z').edit(
      new Map(
        ['a/x.whl', 'a/y.whl', 'b.tar.gz'].map((path, i) => [
          path,
          { custom: { k: '}"' }, length: i + 1, hashes: { sha256: `${i}`.repeat(64) } },
        ]),
      ),
      7,
      '2030-01-01T00:00:00Z',
    );
    fc.assert(
      fc.property(fc.nat(bin.signed.length - 1), fc.nat(255), fc.nat(8), (at, byte, cut) => {
        const bytes = Buffer.from(bin.signed);
        bytes[at] = byte;
        try {
          expect([...BinDocument.parse(bytes.subarray(0, bytes.length - cut)).entries()].length).toBeLessThan(
            4,
          );
        } catch (error) {
          if (!hasCode(error, 'metadata-invalid')) throw error;
        }
      }),
      { numRuns: 2000 },
    );
  });

  test.each([
    ['descending paths', '"b":{"hashes":{"sha256":"H"},"length":1},"a":{"hashes":{"sha256":"H"},"length":1}'],
    [
      'the same path twice',
      '"a":{"hashes":{"sha256":"H"},"length":1},"a":{"hashes":{"sha256":"H"},"length":1}',
    ],
    ['a second hash', '"a":{"hashes":{"sha256":"H","sha512":"0"},"length":1}'],
    ['members out of order', '"a":{"length":1,"hashes":{"sha256":"H"}}'],
    ['a trailing comma', '"a":{"hashes":{"sha256":"H"},"length":1},'],
    ['white space', ' "a":{"hashes":{"sha256":"H"},"length":1}'],
  ])('%s is refused', (_, entries) => {
    const bytes = Buffer.from(
      `{"_type":"targets","expires":"2030-01-01T00:00:00Z","spec_version":"1.0.31","targets":{${entries.replaceAll('H', 'a'.repeat(64))}},"version":3}`,
    );
    expect(() => BinDocument.parse(bytes)).toThrow(expect.objectContaining({ code: 'metadata-invalid' }));
  });
});

describe('snapshot document', () => {
  const modelOfSnapshot = (layout: BinLayout, versions: number[], n: number, expires: string): string =>
    canonicalBytes({
      _type: 'snapshot',
      expires,
      meta: new Map([
        ...versions.map((version, bin) => [`${layout.name(bin)}.json`, { version }] as const),
        ['bins.json', { version: n + 2 }],
        ['targets.json', { version: n + 1 }],
      ]),
      spec_version: SPEC_VERSION,
      version: n,
    }).toString();

  test('any sequence of edits gives the canonical bytes of the same versions, and parses back', () => {
    const steps = fc.array(
      fc.array(fc.tuple(fc.nat(63), fc.integer({ min: 1, max: 2 ** 32 - 1 })), { maxLength: 9 }),
      { maxLength: 5 },
    );
    fc.assert(
      fc.property(fc.constantFrom(2, 16, 64), steps, (count, batches) => {
        const layout = new BinLayout(count);
        const versions = Array.from({ length: count }, () => 1);
        let snapshot = SnapshotDocument.first(layout, {
          version: 1,
          expires: '2030-01-01T00:00:00Z',
          targetsVersion: 2,
          binsVersion: 3,
          bins: [],
        });
        batches.forEach((batch, index) => {
          const bins = [...new Map(batch.map(([bin, version]) => [bin % count, version]))].map(
            ([bin, version]) => ({ bin, version }),
          );
          for (const { bin, version } of bins) versions[bin] = version;
          const before = Buffer.from(snapshot.signed).toString();
          const expires = `2030-01-0${index + 2}T00:00:00Z`;
          const edit = {
            version: index + 2,
            expires,
            targetsVersion: index + 3,
            binsVersion: index + 4,
            bins,
          };
          const next = snapshot.edit(edit);
          expect(Buffer.from(snapshot.signed).toString()).toBe(before);
          snapshot = next;
          expect(Buffer.from(snapshot.signed).toString()).toBe(
            modelOfSnapshot(layout, versions, index + 2, expires),
          );
          const parsed = SnapshotDocument.parse(snapshot.signed);
          expect(versions.map((__, bin) => parsed.versionOf(bin))).toEqual(versions);
          expect(parsed).toMatchObject({ version: index + 2, expires, targetsVersion: index + 3 });
        });
      }),
      runs,
    );
  });

  test('altered bytes are refused or read as different facts, never with another kind of error', () => {
    const { signed } = SnapshotDocument.first(new BinLayout(16), {
      version: 12,
      expires: '2030-01-01T00:00:00Z',
      targetsVersion: 1,
      binsVersion: 1,
      bins: [{ bin: 3, version: 4711 }],
    });
    fc.assert(
      fc.property(fc.nat(signed.length - 1), fc.nat(255), fc.nat(8), (at, byte, cut) => {
        const bytes = Buffer.from(signed);
        bytes[at] = byte;
        try {
          SnapshotDocument.parse(bytes.subarray(0, bytes.length - cut));
        } catch (error) {
          if (!hasCode(error, 'metadata-invalid')) throw error;
        }
      }),
      { numRuns: 2000 },
    );
  });

  test('whatever one byte is exchanged for, a snapshot is refused or says what any JSON parser reads in it', () => {
    const layout = new BinLayout(64);
    const { signed } = SnapshotDocument.first(layout, {
      version: 12,
      expires: '2030-01-01T00:00:00Z',
      targetsVersion: 1,
      binsVersion: 1,
      bins: [{ bin: 9, version: 29 }],
    });
    const bytes = Buffer.from(signed);
    const start = bytes.indexOf('"bin-');
    let read = 0;
    for (let at = start; at < bytes.indexOf('"bins.json"'); at++) {
      const before = bytes[at] ?? 0;
      // Every bit, what has the same place among digits and letters, and what stands at the edges of both.
      for (const byte of [
        ...[1, 2, 4, 8, 16, 32, 64, 128].map((bit) => before ^ bit),
        ...Buffer.from('019:`afg",}'),
      ]) {
        if (byte === before) continue;
        bytes[at] = byte;
        let document;
        try {
          document = SnapshotDocument.parse(bytes);
        } catch (error) {
          if (!hasCode(error, 'metadata-invalid')) throw error;
          continue;
        }
        read++;
        const { meta } = JSON.parse(bytes.toString('latin1')) as {
          meta: Record<string, { version: number }>;
        };
        const versions = layout.bins.map((bin) => [`${layout.name(bin)}.json`, document.versionOf(bin)]);
        expect(Object.entries(meta).map(([name, { version }]) => [name, version])).toEqual([
          ...versions,
          ['bins.json', 1],
          ['targets.json', 1],
        ]);
      }
      bytes[at] = before;
    }
    // Each 1 as 3, 5 and 9.
    expect(read).toBeGreaterThan(64 * 3);
  });

  test.each([
    ['a leading zero in a version', '"version":1}', '"version":01}'],
    ['a missing bin', '"bin-2.json":{"version":1},', ''],
    ['a bin of another layout', 'bin-f.json', 'bin-0f.json'],
    ['an extra role', '"bins.json"', '"binz.json":{"version":1},"bins.json"'],
  ])('%s is refused', (_, from, to) => {
    const { signed } = SnapshotDocument.first(new BinLayout(16), {
      version: 1,
      expires: '2030-01-01T00:00:00Z',
      targetsVersion: 1,
      binsVersion: 1,
      bins: [],
    });
    const text = Buffer.from(signed).toString();
    expect(text).toContain(from);
    expect(() => SnapshotDocument.parse(Buffer.from(text.replace(from, to)))).toThrow(
      expect.objectContaining({ code: 'metadata-invalid' }),
    );
  });
});
