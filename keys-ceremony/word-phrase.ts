// A digest that people can read to each other: the first 64 bits of a SHA-256 as eight words. Whoever wants to slip in
// another payload under the same phrase has to try 2^63 of them, and the phrase is known only once the plan is.
import { CountersignError } from '../src/lib/errors.ts';
import { nearMatches } from '../src/lib/near-match.ts';
import type { RandomSource } from './ceremony-key.ts';
import { PHRASE_WORDS } from './phrase-words.ts';

export const PHRASE_LENGTH = 8;

/** The phrase of a SHA-256 in hex. */
export function wordPhrase(sha256: string): string[] {
  return [...Buffer.from(sha256.slice(0, PHRASE_LENGTH * 2), 'hex')].map((byte) => PHRASE_WORDS[byte] ?? '');
}

/** Two different places in a phrase, from 0, in ascending order. */
export function challengePlaces(random: RandomSource): readonly [number, number] {
  const [a = 0, b = 0] = random(2);
  const first = a % PHRASE_LENGTH;
  // One of the other seven. 256 is no multiple of 7: a bias of one part in 256 gives nothing away.
  const second = (first + 1 + (b % (PHRASE_LENGTH - 1))) % PHRASE_LENGTH;
  return first < second ? [first, second] : [second, first];
}

/**
 * Checks words that somebody read out against the phrase.
 * @throws CountersignError `code-wrong` that names the place, the word, and what it may have been meant to be.
 */
export function checkWords(said: string, phrase: readonly string[], places: readonly number[]): void {
  const words = saidWords(said);
  if (words.length !== places.length) {
    throw new CountersignError('code-wrong', `the code has ${words.length} words, expected ${places.length}`);
  }
  for (const [index, place] of places.entries()) {
    const word = words[index] ?? '';
    if (word === phrase[place]) continue;
    const known = PHRASE_WORDS.includes(word);
    const [near] = known ? [] : nearMatches(word, PHRASE_WORDS, 1);
    const hint = known ? '' : `, which is not in the list${near === undefined ? '' : ` (${near}?)`}`;
    throw new CountersignError(
      'code-wrong',
      // The right word stays unsaid: it has to come from the other computer.
      `word ${place + 1} was read out as ${JSON.stringify(word.slice(0, 20))}${hint}; this payload has another`,
    );
  }
}

/** The words of what somebody typed, whatever stands between them. */
export function saidWords(said: string): string[] {
  return said
    .trim()
    .toLowerCase()
    .split(/[\s,.;-]+/)
    .filter((word) => word !== '');
}
