// How many guesses a passphrase costs, estimated low: what looks random to a formula is often a habit. A run of letters
// counts as a word, repetitions and rows of the keyboard as almost nothing.
import { PHRASE_WORDS } from './phrase-words.ts';

/** log2 of the guesses below which a new passphrase is refused. */
export const MIN_BITS = 60;
const STRONG_BITS = 75;

/**
 * Guesses a second of an attacker with a rented farm: age's scrypt at work factor 18 takes 256 MiB and most of a second
 * for each, so this is a million such computers.
 */
const GUESSES_PER_SECOND = 1e6;
const SECONDS_PER_YEAR = 31_557_600;

/** Bits of a letter inside a word, and of the commonest words together. */
const BITS_PER_LETTER = 2;
const BITS_PER_WORD = 11;
/** Bits that one more step of a row, or one more repetition, adds. */
const BITS_PER_STEP = 1;
/** Years, of which about a hundred are likely. */
const BITS_PER_YEAR = 7;

const ROWS = [
  'abcdefghijklmnopqrstuvwxyz',
  '01234567890',
  'qwertyuiop',
  'asdfghjkl',
  'zxcvbnm',
  'qwertzuiop',
];

/** First guesses of anyone who knows what the file is. */
const KNOWN = /password|passphrase|passwort|secret|letmein|countersign|ceremony|holder|root|admin|welcome/i;

const LIST = new Set(PHRASE_WORDS);

/** Bits of a word that the program itself picked. */
export const BITS_PER_LIST_WORD = Math.log2(PHRASE_WORDS.length);

/** log2 of the guesses that a passphrase costs, at most. */
export function passphraseBits(passphrase: string): number {
  const words = passphrase.toLowerCase().split(/[ -]+/);
  if (words.length > 1 && words.every((word) => LIST.has(word))) {
    return new Set(words).size * BITS_PER_LIST_WORD;
  }
  // "abcabcabc" is "abc" and a count.
  const unit = /^(.+?)\1+$/.exec(passphrase)?.[1];
  if (unit !== undefined) return passphraseBits(unit) + Math.log2(passphrase.length / unit.length);
  const pieces = passphrase.match(/[A-Z]?[a-z]{3,}|[A-Z]{4,}|(?:19|20)\d\d|./g) ?? [];
  const seen = new Set<string>();
  let bits = 0;
  let before = '';
  for (const piece of pieces) {
    const again = seen.has(piece.toLowerCase()) && piece.length > 1;
    bits += again ? BITS_PER_STEP : pieceBits(piece, before);
    seen.add(piece.toLowerCase());
    before = piece;
  }
  return bits;
}

function pieceBits(piece: string, before: string): number {
  if (/^(19|20)\d\d$/.test(piece)) return BITS_PER_YEAR;
  if (piece.length === 1) {
    return before.length === 1 && isStep(before, piece) ? BITS_PER_STEP : Math.log2(classSize(piece));
  }
  if (KNOWN.test(piece)) return BITS_PER_STEP;
  let steps = 0;
  for (let at = 1; at < piece.length; at += 1) if (isStep(piece.charAt(at - 1), piece.charAt(at))) steps += 1;
  const letters = piece.length - steps;
  const word = Math.min(letters * BITS_PER_LETTER, BITS_PER_WORD);
  // Nobody knows words of more than some letters by heart: what is longer is several of them.
  const more = Math.max(0, letters - 12) * BITS_PER_LETTER;
  return word + more + Math.min(steps, 3) * BITS_PER_STEP;
}

/** True for "ab", "21", "aa", "qw": the same character, or neighbours in a row. */
function isStep(a: string, b: string): boolean {
  const [one, two] = [a.toLowerCase(), b.toLowerCase()];
  if (one === two) return true;
  return ROWS.some((row) => row.includes(one + two) || row.includes(two + one));
}

function classSize(character: string): number {
  if (/\d/.test(character)) return 10;
  if (/[A-Za-z]/.test(character)) return 26;
  // A blank is where a word ends: it is no choice.
  return character === ' ' ? 1 : 20;
}

/** `about 80 bits: a million computers would need some 19 billion years`. */
export function describeStrength(passphrase: string): string {
  const bits = passphraseBits(passphrase);
  const years = 2 ** (bits - 1) / GUESSES_PER_SECOND / SECONDS_PER_YEAR;
  const verdict = bits < MIN_BITS ? 'too weak' : bits < STRONG_BITS ? 'fair' : 'strong';
  return `${verdict}: about ${Math.floor(bits)} bits; a million computers that do nothing else would need ${describeYears(years)}`;
}

function describeYears(years: number): string {
  if (years < 1 / 365) return 'less than a day';
  if (years < 1) return `some ${Math.ceil(years * 365)} days`;
  for (const [size, name] of [
    [1e9, ' billion'],
    [1e6, ' million'],
    [1e3, ' thousand'],
  ] as const) {
    if (years >= size) return `some ${Math.round(Math.min(years / size, 999)).toString()}${name} years`;
  }
  return `some ${Math.round(years)} years`;
}
