// The forms of questions: what counts as an answer, and that nobody guesses for ever.
import { describe, expect, test } from 'vitest';
import { askUntil, wrongAnswer } from '../../keys-ceremony/terminal-questions.ts';
import { CTRL_C, ScriptedTerminal } from '../../keys-ceremony/terminal-scripted.ts';

function answering(...answers: readonly (string | typeof CTRL_C)[]): ScriptedTerminal {
  return new ScriptedTerminal(answers.map((answer) => ({ question: '', answer })));
}

const OPTIONS = [
  { value: 'ed25519', title: 'for most' },
  { value: 'p256', title: 'for older tokens' },
];

describe('questions', () => {
  test.each([
    ['', true, true],
    ['', false, false],
    ['y', false, true],
    ['YES', false, true],
    ['n', true, false],
    ['No', true, false],
  ])('confirm %j with default %s', async (answer, fallback, expected) => {
    expect(await answering(answer).confirm('Go on?', { default: fallback })).toBe(expected);
  });

  test.each([
    ['1', 'ed25519'],
    ['2', 'p256'],
    ['P256', 'p256'],
  ])('choose %j', async (answer, expected) => {
    expect(await answering(answer).choose('Which?', OPTIONS)).toBe(expected);
  });

  test('two wrong answers are asked again, the third ends it', async () => {
    const terminal = answering('maybe', 'yes please', 'y');
    expect(await terminal.confirm('Go on?', { default: false })).toBe(true);
    expect(terminal.shown.join('\n')).toContain('please answer yes or no (try 2 of 3)');
    for (const wrong of [
      answering('a', 'b', 'c', 'y').confirm('Go on?', { default: true }),
      answering('', '0', '3', '1').choose('Which?', OPTIONS),
      answering('rsa', 'ed25519x', '1.0', '1').choose('Which?', OPTIONS),
    ]) {
      await expect(wrong).rejects.toMatchObject({ code: 'answer-wrong' });
    }
  });

  test('Ctrl-C is not an answer to be asked again', async () => {
    const terminal = answering('no number', CTRL_C, '1');
    const question = askUntil(
      terminal,
      () => terminal.ask('Number'),
      (answer) => {
        if (!/^\d$/.test(answer)) throw wrongAnswer('expected a digit');
        return answer;
      },
    );
    await expect(question).rejects.toMatchObject({ code: 'interrupted' });
    expect(terminal.left).toHaveLength(1);
  });

  test('a fault while an answer is read is not a wrong answer', async () => {
    const terminal = answering('a', 'b');
    await expect(
      askUntil(
        terminal,
        () => terminal.ask('Number'),
        () => {
          throw new TypeError('fault');
        },
      ),
    ).rejects.toThrow(TypeError);
    expect(terminal.left).toHaveLength(1);
  });

  test('a script that does not fit is refused', async () => {
    const terminal = new ScriptedTerminal([{ question: 'Name', answer: 'x' }]);
    await expect(terminal.ask('Age')).rejects.toMatchObject({ code: 'internal' });
    await expect(answering().ask('Age')).rejects.toMatchObject({ code: 'internal' });
  });
});
