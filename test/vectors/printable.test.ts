// What strangers wrote reaches the terminal of whoever runs a command: in names, reasons and messages. It is shown, and does
// nothing there.
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { printable, printableLine } from '../../src/lib/printable.ts';
import { foundCeremony } from '../support/ceremony-people.ts';
import { runInProcess } from '../support/cli-command.ts';
import { tempDir } from '../support/temp-dir.ts';

/** Clears the screen and goes to its beginning, in both spellings of CSI. */
const CLEARS = ['\u001b[2J\u001b[1;1H', '\u009b2J\u009b1;1H'];

test.each([
  ['a\u001b[2Jb', 'a\\u001b[2Jb'],
  ['a\u009b2Jb\u007f', 'a\\u009b2Jb\\u007f'],
  ['one\r\u0000two', 'one\\u000d\\u0000two'],
  ['wheel.\u202eexe', 'wheel.\\u202eexe'],
  ['line\nline\ttab', 'line\nline\ttab'],
  ['Grüße, 日本語, 😀', 'Grüße, 日本語, 😀'],
])('%j is printed as %j', (text, printed) => {
  expect(printable(text)).toBe(printed);
});

test.each([
  ['  one\r\ntwo\u001b[2J', 20, 'one two [2J'],
  ['Grüße', 20, 'Gr e'],
  ['0123456789ab', 10, '0123456...'],
])('%j in %i characters is the line %j', (text, maxLength, line) => {
  expect(printableLine(text, maxLength)).toBe(line);
});

test('no text has anything left that a terminal obeys, and ordinary text stays as it is', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), (text) => {
      expect(printable(text)).not.toMatch(/(?![\n\t])[\p{Cc}\p{Zl}\p{Zp}\p{Bidi_Control}]/u);
    }),
  );
  fc.assert(
    fc.property(fc.string({ unit: 'grapheme-ascii' }), (text) => {
      expect(printable(text)).toBe(text);
    }),
  );
});

test.each(CLEARS)('a command that names %j in a message', async (clears) => {
  const cwd = await tempDir();
  const { err, status } = await runInProcess(cwd, {}, ['copy', '--from', `file:./${clears}none`, '--to', 'file:./to']);
  expect(status).toBe(2);
  expect(err).toContain('there is no store in');
  expect(err).toContain(`${printable(clears)}none`);
  expect(err).not.toContain(clears);
});

test.each(CLEARS)('a stick with a file whose name is %j, brought to a ceremony', async (clears) => {
  const dir = await tempDir();
  const office = await foundCeremony(join(dir, 'office'), 'genesis');
  await office.ask('one-time');
  await office.ask('build');
  const stick = join(dir, 'stick');
  await mkdir(stick);
  await writeFile(join(stick, `root.${clears}.json`), '{}');
  const { stdout, stderr } = await office.run(['merge', stick]);
  expect(stdout + stderr).toContain(`root.${printable(clears)}.json`);
  expect(stdout + stderr).not.toContain(clears);
});
