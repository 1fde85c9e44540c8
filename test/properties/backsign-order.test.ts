// The order of a bin's entries, in which every repository that is signed from the same files must agree: that of the bytes
// of their paths, whatever they have in common.
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { pathOf, RECORD_HEADER_BYTES, writeRecordHeader } from '../../src/backsign/record.ts';
import { sortedByPath } from '../../src/backsign/sort-records.ts';
import { sortPartition } from '../../src/backsign/sort-partition.ts';

const HASH = '0'.repeat(64);

function recordsOf(paths: readonly string[]): Buffer {
  return Buffer.concat(
    paths.map((path, i) => {
      const entry = `"${path}":{"hashes":{"sha256":"${HASH}"},"length":1}`;
      const record = Buffer.alloc(RECORD_HEADER_BYTES + entry.length);
      writeRecordHeader(record, 0, { bin: 7, pathLength: path.length, source: 0, line: i + 1 }, entry.length);
      record.write(entry, RECORD_HEADER_BYTES, 'latin1');
      return record;
    }),
  );
}

/** Paths with much and with nothing in common, prefixes of each other, and the same one again. */
const paths = fc.array(
  fc
    .tuple(fc.constantFrom('', 'packages/', 'packages/ab/'), fc.stringMatching(/^[~A!a/-]{1,6}$/))
    .map((parts) => parts.join('')),
  { minLength: 1, maxLength: 40 },
);

test('records come in the order of their paths, the same path in the order of its records', () => {
  fc.assert(
    fc.property(paths, (given) => {
      const records = recordsOf(given);
      const starts = given.map((_, i) => recordsOf(given.slice(0, i)).length);
      const sorted = sortedByPath(records, starts);
      expect(sorted.map((start) => pathOf(records, start))).toEqual(given.toSorted());
      for (const [i, start] of sorted.entries()) {
        const before = sorted[i - 1];
        if (before !== undefined && pathOf(records, before) === pathOf(records, start))
          expect(before).toBeLessThan(start);
      }
    }),
    { numRuns: 300 },
  );
});

test('a bin has the same bytes whatever the order of its records', () => {
  const orders = fc
    .uniqueArray(fc.nat(5000), { maxLength: 200 })
    .chain((numbers) =>
      fc.tuple(fc.constant(numbers), fc.shuffledSubarray(numbers, { minLength: numbers.length })),
    );
  fc.assert(
    fc.property(orders, ([numbers, shuffled]) => {
      const [first, second] = [numbers, shuffled].map(
        (order) => sortPartition(recordsOf(order.map(pathOfNumber)), 'records').bins,
      );
      expect(first?.map(({ count, sha256 }) => [count, sha256])).toEqual(
        second?.map(({ count, sha256 }) => [count, sha256]),
      );
    }),
    { numRuns: 50 },
  );
});

function pathOfNumber(number: number): string {
  return `packages/${number % 7}/${number}`;
}
