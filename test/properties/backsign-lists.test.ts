// Lists as strangers and accidents make them: each fault is named by line, the rest goes on, memory stays bounded.
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { compareFiles } from '../../src/backsign/compare.ts';
import { crewOfOne } from '../../src/backsign/crew.ts';
import { lineBlocks } from '../../src/backsign/line-blocks.ts';
import { beginRun, prepareRun, type PreparedRun } from '../../src/backsign/run.ts';
import { detectFormat, splitRow } from '../../src/backsign/sources/line-format.ts';
import { WorkFolder } from '../../src/backsign/work-folder.ts';
import { sha256Hex } from '../../src/lib/bytes.ts';
import { tempDir } from '../support/temp-dir.ts';

const BINS = 16;
const QUIET = { reading: () => undefined, sorting: () => undefined };
const REAL_UPLOADS = new URL('../../src/demo/real-uploads.ndjson', import.meta.url).pathname;

interface Run extends PreparedRun {
  readonly folder: WorkFolder;
}

async function runOf(content: string | Uint8Array, strict = false): Promise<Run> {
  const directory = await tempDir();
  const file = join(directory, 'list');
  await writeFile(file, content);
  const folder = new WorkFolder(join(directory, 'run'));
  folder.make();
  const sources = [{ kind: 'list', name: 'list', path: file }] as const;
  beginRun(folder, { sources, prefix: '', binCount: BINS, strict, since: 1 });
  return { folder, ...(await prepareRun(folder, crewOfOne(), QUIET)) };
}

function line(path: string, length: number | string = 7, sha256 = sha256Hex(path)): string {
  return JSON.stringify({ path, length, sha256 });
}

async function listOf<T>(items: AsyncIterable<T>): Promise<T[]> {
  const list: T[] = [];
  for await (const item of items) list.push(item);
  return list;
}

async function refusalsOf(lines: readonly string[]): Promise<string[]> {
  const { read } = await runOf(`${lines.join('\n')}\n`);
  return read.refused.described.map(({ line: number, reason }) => `${number}: ${reason}`);
}

describe('lines', () => {
  test('each fault is named with its line, and the rest is taken', async () => {
    const upper = sha256Hex('b').toUpperCase();
    const refusals = await refusalsOf([
      line('a/good.whl'),
      line('a/negative.whl', -5),
      line('a/zero.whl', 0),
      line('a/upper.whl', 7, upper),
      line('a/short.whl', 7, 'abc'),
      line('../outside'),
      line('/absolute'),
      line('a/space here'),
      line('a/__proto__/b'),
      '{"path":"a/no-hash.whl","length":1}',
      '{"path":"a/twice.whl","path":"b","length":1,"sha256":"x"}',
      'not json',
      '[]',
      line('a/also-good.whl'),
    ]);
    expect(refusals).toEqual([
      expect.stringMatching(/^2: length -5 is not a whole number/),
      expect.stringMatching(/^3: length 0 is not/),
      expect.stringMatching(/^4: sha256 "[0-9A-F]+" is not 64 lower-case hex digits/),
      expect.stringMatching(/^5: sha256 "abc" is not/),
      expect.stringMatching(/^6: target path "\.\.\/outside" has the segment/),
      expect.stringMatching(/^7: target path "\/absolute" starts with/),
      expect.stringMatching(/^8: .*has the character " "/),
      expect.stringMatching(/^9: .*property name of JavaScript objects/),
      '10: has no sha256',
      expect.stringMatching(/^11: is not acceptable JSON/),
      '12: is not an object',
      '13: is not an object',
    ]);
  });

  test('an object behind something else, and a number that is none in JSON, are refused', async () => {
    const refusals = await refusalsOf([
      line('a/good.whl'),
      `1,"sha256":"x"}${line('a/behind-half-a-line.whl')}`,
      `x${line('a/behind-a-letter.whl')}`,
      line('a/zeros.whl').replace('"length":7', '"length":007'),
      `  ${line('a/behind-blanks.whl')}`,
    ]);
    expect(refusals).toEqual(
      [2, 3, 4].map((n) => expect.stringContaining(`${n}: is not acceptable JSON`) as string),
    );
  });

  test('a CSV with wrong columns, and RSTUF with another hash, are refused line by line', async () => {
    const hash = sha256Hex('x');
    expect(await refusalsOf(['path,size,sha256_digest', `a,1,${hash}`, `b,1`, `c,1,${hash},more`])).toEqual([
      '3: has 2 columns, the header has 3',
      '4: has 4 columns, the header has 3',
    ]);
    expect(await refusalsOf([`a;1;sha256;${hash}`, `b;1;blake2b-256;${hash}`, 'c;1;sha256'])).toEqual([
      '2: has the hash type "blake2b-256", clients agree on sha256 only',
      '3: has 3 columns, expected path;size;hash-type;hash',
    ]);
  });

  test('paths with two contents are refused on both lines, the same statement twice is one', async () => {
    const { prepared } = await runOf(
      [line('a', 1), line('b', 1), line('a', 2), line('b', 1), line('c', 3)].join('\n'),
    );
    expect(prepared).toMatchObject({ files: 2, repeated: 1, contradictory: 2 });
    expect(prepared.conflicts).toEqual([
      { path: 'a', places: [expect.objectContaining({ line: 1 }), expect.objectContaining({ line: 3 })] },
    ]);
  });

  test('with --strict the first refused line ends the run', async () => {
    await expect(runOf(`${line('a')}\n${line('b', -1)}\n`, true)).rejects.toMatchObject({
      code: 'manifest-invalid',
      message: expect.stringContaining('line 2, length -1') as string,
    });
  });

  test('a line of a billion characters is passed over in bounded memory', async () => {
    const chunk = Buffer.alloc(1024 * 1024, 'x');
    async function* stream(): AsyncGenerator<Uint8Array> {
      yield Buffer.from('first\n');
      for (let i = 0; i < 954; i++) yield await Promise.resolve(chunk);
      yield Buffer.from('\nlast\n');
    }
    const before = process.memoryUsage().arrayBuffers;
    let peak = 0;
    const seen: [number, string, number | undefined][] = [];
    for await (const { firstLine, bytes, dropped } of lineBlocks(stream(), { line: 1, offset: 0 })) {
      seen.push([firstLine, Buffer.from(bytes).toString(), dropped]);
      peak = Math.max(peak, process.memoryUsage().arrayBuffers - before);
    }
    expect(seen).toEqual([
      [1, 'first\n', undefined],
      [2, '', 2],
      [3, 'last\n', undefined],
    ]);
    expect(peak).toBeLessThan(64 * 1024 * 1024);
  });

  test('blocks are the same from any block on', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.nat(200_000), { maxLength: 12 }), async (sizes) => {
        const bytes = Buffer.from(sizes.map((size, i) => `${i}${'y'.repeat(size)}\n`).join(''));
        async function* stream(): AsyncGenerator<Uint8Array> {
          for (let at = 0; at < bytes.length; at += 70_001)
            yield await Promise.resolve(bytes.subarray(at, at + 70_001));
        }
        const all = await listOf(lineBlocks(stream(), { line: 1, offset: 0 }));
        for (const [i, { next }] of all.entries()) {
          const rest = await listOf(lineBlocks(stream(), next));
          const lines = (blocks: typeof all): number =>
            blocks.reduce(
              (sum, { bytes: own, dropped }) =>
                sum + Buffer.from(own).toString().split('\n').length - 1 + (dropped === undefined ? 0 : 1),
              0,
            );
          expect(lines(all.slice(i + 1))).toBe(lines(rest));
        }
        expect(all.at(-1)?.next.line ?? 1).toBe(sizes.length + 1);
      }),
      { numRuns: 15 },
    );
  });
});

describe('lists', () => {
  test('truncated compression is a refusal of the whole list that says where', async () => {
    const lines = Array.from({ length: 20_000 }, (_, i) => line(`a/${i}`)).join('\n');
    const whole = gzipSync(lines);
    await expect(runOf(whole.subarray(0, whole.length - 1000))).rejects.toMatchObject({
      code: 'manifest-invalid',
      message: expect.stringMatching(
        /cannot be read to its end: unexpected end of file, soon after line \d+/,
      ) as string,
    });
  });

  test('a compression bomb costs time, not memory', async () => {
    const megabyte = 1024 * 1024;
    const before = process.memoryUsage().arrayBuffers;
    const [oneLine, emptyLines] = [Buffer.alloc(96 * megabyte, 'x'), Buffer.alloc(8 * megabyte, '\n')];
    const bomb = gzipSync(
      Buffer.concat([Buffer.from(`${line('a')}\n`), oneLine, emptyLines, Buffer.from(line('b'))]),
    );
    expect(bomb.length).toBeLessThan(megabyte);
    const { read, prepared } = await runOf(bomb);
    expect(prepared.files).toBe(2);
    expect(read.refused).toMatchObject({
      count: 1,
      described: [{ file: 'list', line: 2, reason: 'has more than 65536 bytes' }],
    });
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(200 * megabyte);
  });

  test('a list in zstd is read, or refused with what can read it', async () => {
    const run = runOf(Buffer.from([0x28, 0xb5, 0x2f, 0xfd, 0, 0, 0, 0]));
    await expect(run).rejects.toMatchObject({
      code: 'manifest-invalid',
      message: expect.stringMatching(
        /list is compressed with zstd, which Node.js .* cannot read|list cannot be read/,
      ) as string,
    });
  });

  test('a first line of no known form is refused', () => {
    expect(() => detectFormat('hello world', 'list')).toThrow(/neither an object of NDJSON/);
    expect(splitRow('"a,""b""",c', ',')).toEqual(['a,"b"', 'c']);
    expect(splitRow('"open,c', ',')).toBeUndefined();
  });

  test('the digest does not depend on order, form, compression or repetition', async () => {
    const text = await readFile(REAL_UPLOADS, 'utf8');
    const uploads = text
      .trimEnd()
      .split('\n')
      .map((each) => JSON.parse(each) as { path: string; length: number; sha256: string });
    const first = await runOf(text);
    expect(first.prepared.files).toBe(uploads.length);
    const csv = `path,size,sha256_digest\r\n${uploads
      .toReversed()
      .map(({ path, length, sha256 }) => `${path},${length},${sha256}`)
      .join('\r\n')}`;
    const rstuf = [...uploads, ...uploads]
      .map(({ path, length, sha256 }) => `${path};${length};sha256;${sha256}`)
      .join('\n');
    for (const other of [await runOf(csv), await runOf(gzipSync(rstuf)), await runOf(gzipSync(text))]) {
      expect(other.prepared.digest).toBe(first.prepared.digest);
      expect(await compareFiles(first, other)).toEqual({ count: 0, described: [] });
    }
  });

  test('a comparison names what one list has otherwise', async () => {
    const first = await runOf([line('a'), line('b', 1), line('c')].join('\n'));
    const second = await runOf([line('a'), line('b', 2), line('d')].join('\n'));
    const { count, described } = await compareFiles(first, second);
    expect(count).toBe(3);
    expect(described.toSorted((x, y) => (x.path < y.path ? -1 : 1))).toEqual([
      { path: 'b', found: 'with other content' },
      { path: 'c', found: 'in the first only' },
      { path: 'd', found: 'in the second only' },
    ]);
  });
});
