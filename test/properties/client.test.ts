// Hostile bytes in the place of any file: the client trusts nothing, ends, and says so in an error that callers know.
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { matchesPattern } from '../../src/client/roles/path-pattern.ts';
import { CountersignError } from '../../src/lib/errors.ts';
import { HostileRepository } from '../support/hostile-repository.ts';

const RUNS = process.env['SLOW'] === '1' ? 5_000 : 200;

const FILES = ['timestamp.json', '1.snapshot.json', '1.targets.json', '2.root.json'] as const;

test('one damaged file never changes what is trusted', async () => {
  const edit = fc.record({
    file: fc.constantFrom(...FILES),
    at: fc.nat(),
    cut: fc.integer({ min: 0, max: 30 }),
    insert: fc.oneof(
      fc.uint8Array({ maxLength: 6 }),
      fc
        .constantFrom('"', '{', '}', '[', ',', '9', '-1', '1e9', 'null', '\\u0000')
        .map((text) => Buffer.from(text)),
    ),
  });
  await fc.assert(
    fc.asyncProperty(edit, async ({ file, at, cut, insert }) => {
      const repository = new HostileRepository();
      repository.publishRoot(2);
      const sound = repository.at(file);
      const start = at % sound.length;
      const damaged = Buffer.concat([sound.subarray(0, start), insert, sound.subarray(start + cut)]);
      repository.serve(file, damaged);
      const client = await repository.client();
      try {
        await client.refresh();
      } catch (error) {
        expect(error).toBeInstanceOf(CountersignError);
        expect(error).not.toMatchObject({ code: 'internal' });
        return;
      }
      // It may have changed the layout only: what is said and signed is the same.
      const signedPart = (bytes: Uint8Array): unknown =>
        (JSON.parse(Buffer.from(bytes).toString()) as { signed: unknown }).signed;
      expect(signedPart(damaged)).toEqual(signedPart(sound));
    }),
    { numRuns: RUNS },
  );
});

test('patterns agree with a regular expression of the same meaning', () => {
  const letter = fc.constantFrom('a', 'b', '/', '.');
  const token = fc.constantFrom('a', 'b', '/', '.', '*', '?', '[ab]', '[!a]');
  fc.assert(
    fc.property(fc.array(letter, { maxLength: 8 }), fc.array(token, { maxLength: 8 }), (name, tokens) => {
      const meaning: Record<string, string> = { '*': '[^/]*', '?': '[^/]', '.': '\\.', '[!a]': '[^a/]' };
      const expected = new RegExp(`^${tokens.map((it) => meaning[it] ?? it).join('')}$`).test(name.join(''));
      expect(matchesPattern(name.join(''), tokens.join(''))).toBe(expected);
    }),
    { numRuns: RUNS * 20 },
  );
});
