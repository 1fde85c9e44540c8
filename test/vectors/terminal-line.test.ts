// What each key does at a question.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { LineEditor, MAX_LINE } from '../../keys-ceremony/terminal-line.ts';

interface Typed {
  readonly echo: string;
  readonly line?: string;
  readonly interrupted?: true;
}

function type(text: string | Uint8Array, visible = true): Typed {
  const editor = new LineEditor(visible);
  let echo = '';
  // One byte at a time, as a slow serial line gives them.
  for (const byte of Buffer.from(text)) {
    const { echo: more, end } = editor.feed(Uint8Array.of(byte));
    echo += more;
    if (end?.how === 'answered') return { echo, line: end.line };
    if (end !== undefined) return { echo, interrupted: true };
  }
  return { echo };
}

const RUB_OUT = '\b \b';

describe('a line', () => {
  test.each<[what: string, typed: string, expected: Typed]>([
    ['Enter', 'yes\r', { echo: 'yes', line: 'yes' }],
    ['line feed', 'yes\n', { echo: 'yes', line: 'yes' }],
    ['an empty answer', '\r', { echo: '', line: '' }],
    ['nothing yet', 'ye', { echo: 'ye' }],
    ['DEL', 'nn\x7fo\r', { echo: `nn${RUB_OUT}o`, line: 'no' }],
    ['backspace on nothing', '\b\bx\r', { echo: 'x', line: 'x' }],
    ['Ctrl-U', 'abc\x15d\r', { echo: `abc${RUB_OUT.repeat(3)}d`, line: 'd' }],
    ['DEL after a letter of two bytes', 'ü\x7fu\r', { echo: `ü${RUB_OUT}u`, line: 'u' }],
    ['DEL after a letter beyond the first plane', '😀\x7fu\r', { echo: `😀${RUB_OUT}u`, line: 'u' }],
    ['arrow up', 'a\x1b[Ab\r', { echo: 'ab', line: 'ab' }],
    ['page down', 'a\x1b[6~b\r', { echo: 'ab', line: 'ab' }],
    ['F1 of some terminals', 'a\x1bOPb\r', { echo: 'ab', line: 'ab' }],
    ['Meta and a letter', 'a\x1bxb\r', { echo: 'ab', line: 'ab' }],
    ['tabulator and Ctrl-Z', 'a\t\x1ab\r', { echo: 'a\x07\x07b', line: 'ab' }],
    ['Ctrl-C', 'ab\x03', { echo: 'ab', interrupted: true }],
    ['Ctrl-C inside an escape sequence', 'ab\x1b[\x03', { echo: 'ab', interrupted: true }],
    ['Ctrl-\\', 'ab\x1c', { echo: 'ab', interrupted: true }],
    ['Ctrl-D on an empty line', '\x04', { echo: '', interrupted: true }],
    ['Ctrl-D in a line', 'a\x04b\r', { echo: 'a\x07b', line: 'ab' }],
  ])('%s', (_, typed, expected) => {
    expect(type(typed)).toEqual(expected);
    expect(type(typed, false)).toEqual({ ...expected, echo: expected.echo.replaceAll(/[^\x07]/g, '') });
  });

  test('bytes that are not UTF-8 ring the bell', () => {
    expect(type(Buffer.from('a\xff\xfeb\r', 'latin1'))).toEqual({ echo: 'a\x07\x07b', line: 'ab' });
  });

  test('C1 control characters and separators cannot be typed', () => {
    expect(type('a\u009b31m\u2028\r')).toEqual({ echo: 'a\x0731m\x07', line: 'a31m' });
  });

  test('has a limit', () => {
    expect(type(`${'x'.repeat(MAX_LINE + 1)}\r`).line).toBe('x'.repeat(MAX_LINE));
  });

  test('what follows the end is not the beginning of the next answer', () => {
    const { end } = new LineEditor(true).feed(Buffer.from('yes\rsecret'));
    expect(end).toEqual({ how: 'answered', line: 'yes' });
  });

  test('a secret comes back in no form, whatever is typed', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 80 }), (bytes) => {
        expect(type(bytes, false).echo).toMatch(/^\x07*$/);
      }),
    );
  });

  test('an answer holds nothing that moves a cursor, whatever is typed', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 60 }), (text) => {
        expect(type(`${text}\r`).line ?? '').not.toMatch(/\p{Cc}/u);
      }),
    );
  });
});
