// Passphrases: what is refused, and that the estimate is low where habits are.
import { randomBytes } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { checkPassphrase, choosePassphrase, makePassphrase } from '../../keys-ceremony/passphrase-choice.ts';
import { describeStrength, MIN_BITS, passphraseBits } from '../../keys-ceremony/passphrase-strength.ts';
import { CTRL_C, ScriptedTerminal } from '../../keys-ceremony/terminal-scripted.ts';

const GOOD = 'tango Whisky 41 lattice / obsolete marmot % quill';

/** Bytes that are all different. */
const counting = (bytes: number): Buffer => Buffer.from(Array.from({ length: bytes }, (_, i) => i));

describe('strength', () => {
  test.each([
    'a',
    'password',
    'Password2027!',
    'countersign root ceremony holder',
    'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa',
    'abcabcabcabcabcabcabcabcabcabc',
    'abcdefghijklmnopqrstuvwxyz',
    '12345678901234567890',
    'qwertyuiopasdfghjklzxcvbnm',
    'correct horse battery staple',
    'apple apple apple apple apple apple apple apple apple apple apple',
    'acorn album alpine amber anchor',
    '15.01.2027 15.01.2028',
    'P@ssw0rd',
  ])('%j is too weak', (passphrase) => {
    expect(passphraseBits(passphrase)).toBeLessThan(MIN_BITS);
    expect(describeStrength(passphrase)).toMatch(/^too weak: about \d+ bits/);
    expect(() => {
      checkPassphrase(passphrase);
    }).toThrow('this passphrase is refused');
  });

  test.each([GOOD, 'K9$fd;2Lq_x8&Zt4#w', 'mallet 7 tundra 3 velcro 9 sphinx 2 gravy 8', 'q7x-m2w-r8k-t5z-h3v-b6n'])(
    '%j is accepted',
    (passphrase) => {
      expect(passphraseBits(passphrase)).toBeGreaterThanOrEqual(MIN_BITS);
      checkPassphrase(passphrase);
    },
  );

  test('what the program makes is strong', () => {
    for (let run = 0; run < 50; run += 1) {
      const passphrase = makePassphrase(randomBytes);
      expect(passphrase.split(' ')).toHaveLength(10);
      checkPassphrase(passphrase);
    }
  });

  test('a draw that repeats words is thrown away: typed again, it would be called weak', () => {
    const draws = [Buffer.from([1, 2, 3, 4, 5, 6, 7, 7, 7, 7]), Buffer.from([1, 2, 3, 4, 5, 6, 7, 8, 9, 10])];
    const passphrase = makePassphrase(() => draws.shift() ?? Buffer.alloc(0));
    expect(new Set(passphrase.split(' ')).size).toBe(10);
    checkPassphrase(passphrase);
    expect(draws).toEqual([]);
    expect(() => makePassphrase((bytes) => Buffer.alloc(bytes, 7))).toThrow(/repeat themselves/);
  });

  test.each([
    ['', 'empty'],
    [` ${GOOD}`, 'blank'],
    [`${GOOD} ü`, 'keyboard'],
    [`${GOOD}\x7f`, 'keyboard'],
  ])('%j is refused for its form', (passphrase, reason) => {
    expect(() => {
      checkPassphrase(passphrase);
    }).toThrow(reason);
  });

  test('a message never holds the passphrase', () => {
    try {
      checkPassphrase('opensesame');
    } catch (error) {
      expect(String(error)).not.toContain('opensesame');
    }
    expect.assertions(1);
  });
});

describe('choosing', () => {
  const script = (...answers: [string, string | typeof CTRL_C][]): ScriptedTerminal =>
    new ScriptedTerminal(answers.map(([question, answer]) => ({ question, answer })));
  const choose = (terminal: ScriptedTerminal): Promise<string> =>
    choosePassphrase('the key of holder-1', terminal, counting);

  test('an own one, after a weak one and two that differ', async () => {
    const terminal = script(
      ['Number or name', 'own'],
      ['New passphrase', 'too weak'],
      ['New passphrase', GOOD],
      ['once more', `${GOOD}x`],
      ['New passphrase', GOOD],
      ['once more', GOOD],
    );
    expect(await choose(terminal)).toBe(GOOD);
    expect(terminal.left).toEqual([]);
    expect(terminal.shown.join('\n')).not.toContain(GOOD);
    expect(terminal.shown.join('\n')).toContain('strong: about');
  });

  test('three weak ones end it', async () => {
    const weak: [string, string] = ['New passphrase', '1234'];
    await expect(choose(script(['Number or name', '2'], weak, weak, weak, weak))).rejects.toMatchObject({
      code: 'passphrase-weak',
    });
  });

  test('one of words is shown once, and typed from paper', async () => {
    const words = makePassphrase(counting);
    const terminal = script(
      ['Number or name', 'words'],
      ['Press Enter', ''],
      ['from your paper', 'something else'],
      ['from your paper', words.toUpperCase()],
    );
    expect(await choose(terminal)).toBe(words);
    expect(terminal.revealed).toEqual([words]);
    expect(terminal.shown.join('\n')).not.toContain(words);
  });

  test('Ctrl-C ends it at each question', async () => {
    for (const answers of [
      [['Number', CTRL_C]],
      [['Number', 'own'], ['New', CTRL_C]],
      [['Number', 'own'], ['New', GOOD], ['once more', CTRL_C]],
      [['Number', 'words'], ['Press Enter', CTRL_C]],
      [['Number', 'words'], ['Press Enter', ''], ['paper', CTRL_C]],
    ] as [string, string | typeof CTRL_C][][]) {
      await expect(choose(script(...answers))).rejects.toMatchObject({ code: 'interrupted' });
    }
  });
});
