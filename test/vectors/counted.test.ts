// Numbers of things, as reports say them.
import { expect, test } from 'vitest';
import { counted } from '../../src/lib/counted.ts';

test.each([
  [0, '0 events'],
  [1, '1 event'],
  [2, '2 events'],
])('%i: %s', (count, said) => {
  expect(counted(count, 'event')).toBe(said);
});
