// A new passphrase: ten words that the program picks, or one's own, typed twice.
import { CountersignError } from '../src/lib/errors.ts';
import type { RandomSource } from './ceremony-key.ts';
import { describeStrength, MIN_BITS, passphraseBits } from './passphrase-strength.ts';
import { PHRASE_WORDS } from './phrase-words.ts';
import { askUntil, wrongAnswer } from './terminal-questions.ts';
import type { Terminal } from './terminal.ts';

/** Words of a passphrase that the program makes: almost 80 bits. */
export const GENERATED_WORDS = 10;

/** Draws of words that repeat themselves, one after the other: by chance, not in the lifetime of anybody. */
const MAX_DRAWS = 50;

/**
 * Asks for a new passphrase for `what`.
 * @throws CountersignError `passphrase-weak`, `answer-wrong` after three answers that do not do; `interrupted`.
 */
export async function choosePassphrase(
  what: string,
  terminal: Terminal,
  random: RandomSource,
): Promise<string> {
  const way = await terminal.choose(`A passphrase protects ${what}. Whoever has both can use it.`, [
    { value: 'words', title: `the program makes one of ${GENERATED_WORDS} words, to be written down` },
    { value: 'own', title: 'you think of one' },
  ]);
  return way === 'words' ? generated(what, terminal, random) : own(what, terminal);
}

async function generated(what: string, terminal: Terminal, random: RandomSource): Promise<string> {
  const passphrase = makePassphrase(random);
  terminal.say(
    `Write down the words that follow, with a pen, in small letters, and keep the paper apart from ${what}.`,
  );
  await terminal.reveal(passphrase, 'Press Enter when they are on paper; they will not be shown again');
  await askUntil(
    terminal,
    () => terminal.secret(`Passphrase of ${what}, from your paper`),
    (typed) => {
      if (wordsAsMade(typed) !== passphrase) {
        throw wrongAnswer('that is not the passphrase that was shown');
      }
    },
  );
  return passphrase;
}

function own(what: string, terminal: Terminal): Promise<string> {
  terminal.say(
    'Letters, digits, blanks and signs that every keyboard has. Several unrelated words are good.',
  );
  return askUntil(
    terminal,
    () => terminal.secret(`New passphrase of ${what}`),
    async (passphrase) => {
      checkPassphrase(passphrase);
      terminal.say(`  ${describeStrength(passphrase)}`);
      const again = await terminal.secret('The same once more');
      if (again !== passphrase) throw wrongAnswer('the two differ; begin again with the first');
      return passphrase;
    },
  );
}

/**
 * Words out of the list that digests are read with, no word twice: a passphrase that repeats itself is counted as weak
 * wherever it is typed. 79.7 bits.
 * @throws CountersignError `passphrase-weak` when the random numbers are none.
 */
export function makePassphrase(random: RandomSource): string {
  for (let draw = 0; draw < MAX_DRAWS; draw++) {
    // 256 words: a byte picks one, without bias.
    const words = [...random(GENERATED_WORDS)].map((byte) => PHRASE_WORDS[byte] ?? '');
    // True of 84 phrases in 100.
    if (new Set(words).size === GENERATED_WORDS) return words.join(' ');
  }
  throw new CountersignError(
    'passphrase-weak',
    'the random numbers of this computer repeat themselves: make no key on it, and see "countersign-ceremony self-check"',
  );
}

/**
 * A passphrase out of the program's words, as it was made: small letters, one blank between two words. Whoever types it
 * with capitals or dashes has the right one all the same. Undefined for any other text.
 */
export function wordsAsMade(typed: string): string | undefined {
  const words = typed.trim().toLowerCase().split(/[ -]+/);
  return words.every((word) => PHRASE_WORDS.includes(word)) ? words.join(' ') : undefined;
}

/**
 * @throws CountersignError `passphrase-weak` with the reason, never with the passphrase.
 */
export function checkPassphrase(passphrase: string): void {
  if (passphrase === '') throw weak('it is empty');
  // Another console, years from now, may have another keyboard and another encoding.
  if (!/^[\x20-\x7e]+$/.test(passphrase)) throw weak('it has characters that not every keyboard has');
  if (passphrase !== passphrase.trim())
    throw weak('it begins or ends with a blank, which nobody sees on paper');
  if (passphraseBits(passphrase) < MIN_BITS) throw weak(describeStrength(passphrase));
}

function weak(reason: string): CountersignError {
  return new CountersignError('passphrase-weak', `this passphrase is refused: ${reason}`);
}
