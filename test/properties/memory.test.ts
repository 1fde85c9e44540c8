// Memory that is used again is never anybody else's at the same time.
import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { borrowMemory, returnMemory } from '../../src/lib/memory.ts';

test('whoever borrows has the memory alone, whatever was given back before', () => {
  const lengths = fc.oneof(fc.integer({ min: 0, max: 40_000 }), fc.integer({ min: 200_000, max: 300_000 }));
  fc.assert(
    fc.property(fc.array(fc.tuple(lengths, fc.boolean()), { maxLength: 60 }), (steps) => {
      const held: Buffer[] = [];
      for (const [length, giveBack] of steps) {
        const memory = borrowMemory(length);
        expect(memory.length).toBe(length);
        expect(memory.byteOffset).toBe(0);
        expect(held.some(({ buffer }) => buffer === memory.buffer)).toBe(false);
        held.push(memory);
        if (giveBack) returnMemory(held.shift() ?? memory);
      }
    }),
  );
});

test('what was not borrowed, and what was given back already, is not lent', () => {
  const own = Buffer.alloc(100_000);
  returnMemory(own);
  const borrowed = borrowMemory(100_000);
  expect(borrowed.buffer).not.toBe(own.buffer);
  returnMemory(borrowed);
  returnMemory(borrowed);
  const [first, second] = [borrowMemory(100_000), borrowMemory(100_000)];
  expect(first.buffer).toBe(borrowed.buffer);
  expect(second.buffer).not.toBe(first.buffer);
});
