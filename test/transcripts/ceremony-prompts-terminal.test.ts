// Every question of every command at a real terminal, answered wrongly first; ceremony-terminal.test.ts and
// ceremony-sign-terminal.test.ts hold the others. The last test finds the question that nobody answers.
import { mkdir, readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import ts from 'typescript';
import { expect, test } from 'vitest';
import { parsePlan } from '../../keys-ceremony/parse-plan.ts';
import { systemClock } from '../../src/lib/clock.ts';
import { foundCeremony } from '../support/ceremony-people.ts';
import { GENERATE, atTerminal, namesBelow, type Session } from '../support/ceremony-terminal.ts';
import { NOW } from '../support/genesis-repository.ts';
import { readText, sourceFiles } from '../support/source-tree.ts';
import { tempDir } from '../support/temp-dir.ts';

const TODAY = Math.floor((systemClock.now() - NOW) / 86_400_000);

/** Answers one question: wrongly, with what is said to that, and then with what fits. */
async function wrongThenRight(
  session: Session,
  [question, ...answers]: readonly [
    question: string,
    ...(readonly (readonly [keys: string, said: string])[]),
  ],
  right: string,
): Promise<void> {
  for (const [index, [keys, said]] of answers.entries()) {
    await session.answer(question, keys);
    await session.until(said);
    await session.until(`(try ${index + 1} of 3)`);
  }
  await session.answer(question, right);
}

test('plan new', async () => {
  const folder = await tempDir();
  const session = atTerminal(folder, ['plan', 'new']);
  const ask = (question: string, right: string, ...wrong: [keys: string, said: string][]): Promise<void> =>
    wrongThenRight(session, [question, ...wrong], right);
  await session.until('What kind of ceremony is it?');
  await ask('Number or name:', 'genesis', ['3', 'please answer one of genesis, update'], ['', 'from 1 to 2']);
  await ask('Its name [', 'first', ['Genesis 1', 'is no name'], ['-', 'is no name']);
  await ask('Why is it held? One sentence or more:', 'To see what it asks.', ['', 'please say why']);
  await ask(
    'Its date, from which every expiry counts [',
    '2027-01-15',
    ['tomorrow', 'is no date'],
    ['2027-02-30', 'is no date'],
  );
  await ask('The date of the next one [', '', ['2027-01-15', 'is not after'], ['2026-01-15', 'is not after']);
  await ask(
    'Who holds root keys after it? Names, with blanks between them [',
    'anna boris chloe',
    ['anna anna', 'anna stands there twice'],
    ['Anna', 'is no name'],
  );
  await ask(
    'How many of these 3 must sign [2]',
    '',
    ['4', 'no whole number from 1 to 3'],
    ['two', 'from 1 to 3'],
  );
  await ask(
    'How long does root live [',
    '',
    ['a year', 'is not a whole number with one of the units'],
    ['30d', 'ends before the next ceremony'],
  );
  await ask('How long do targets and bins live [', '', ['300d', 'ends before the next ceremony']);
  await ask('Number of bins, a power of two [', '16', ['17', 'power of two'], ['0', 'from 2 to 32768']);
  await session.until('How are bins delegated?');
  await ask('Number or name:', '1', ['tap15', 'please answer one of succinct, prefixes']);
  // Ctrl-C before the last answer: nothing was written so far.
  await session.until('Files with the public online key');
  expect(await readdir(folder)).toEqual([]);
  session.pty.write('../online.pub.json\r');
  await session.until('is not the name of a file beside the plan');
  await session.answer('Files with the public online key (two while one follows the other) [', '');
  await session.until('next: put the public keys beside it');
  expect(await session.ended).toBe(0);
  expect(parsePlan(await readFile(join(folder, 'plan.yaml')))).toMatchObject({
    ceremony: 'first',
    root: { threshold: 2, holders: ['anna', 'boris', 'chloe'] },
    bins: { count: 16, format: 'succinct' },
  });
});

test('a later plan: whether targets and bins stay', async () => {
  const folder = await tempDir();
  const session = atTerminal(folder, ['plan', 'new']);
  await session.answer('Number or name:', 'update');
  await session.answer('Its name [', '');
  await session.answer('Why is it held?', 'Nothing has changed.');
  await session.answer('Its date', '');
  await session.answer('The date of the next one', '');
  await wrongThenRight(session, ['Who holds root keys after it?', ['', '0 names were given']], 'anna boris');
  await session.answer('must sign', '');
  await session.answer('How long does root live', '');
  const question = 'Do targets and bins stay exactly as they are? [no, or yes]';
  await wrongThenRight(session, [question, ['perhaps', 'please answer yes or no']], 'yes');
  await session.press('Files with the public online key', '\x03');
  expect(await session.ended).toBe(1);
  expect(await readdir(folder)).toEqual([]);
});

test('words that the program makes, and their paper', async () => {
  const folder = await tempDir();
  for (const name of ['stick', 'ceremony']) await mkdir(join(folder, name));
  const session = atTerminal(folder, GENERATE);
  await session.until('A passphrase protects the key of holder-1.');
  await session.answer('Number or name:', 'words');
  await session.until('with a pen');
  await session.answer('Press Enter when they are on paper; they will not be shown again:', '');
  const [words = ''] = /^(?:[a-z]+ ){9}[a-z]+$/m.exec(session.shown.replaceAll('\r', '')) ?? [];
  expect(words.split(' ')).toHaveLength(10);
  const question = 'Passphrase of the key of holder-1, from your paper (not shown):';
  await session.until(question);
  // Scrolled off any screen before they are asked for.
  const after = session.shown.slice(session.shown.indexOf(words) + words.length);
  expect(after.split('\n').length).toBeGreaterThan(100);
  session.pty.write('\r');
  await session.until('that is not the passphrase that was shown');
  for (const wrong of [words.slice(2), `${words} ${words}`]) {
    await session.answer(question, wrong);
    await session.until('that is not the passphrase that was shown');
  }
  expect(await session.ended).toBe(1);
  expect(await namesBelow(folder)).toEqual(['ceremony', 'stick']);
});

test('the passphrase of an archive', async () => {
  const office = await foundCeremony(join(await tempDir(), 'ceremony'), 'genesis', { day: TODAY });
  const to = ['export', '--everything', '--to', '../all.tar.age'];
  const session = atTerminal(office.folder, to);
  await wrongThenRight(session, ['Number or name:', ['3', 'please answer one of words, own']], 'own');
  const question = 'New passphrase of the archive (not shown):';
  await session.answer(question, 'hunter2');
  await session.until('this passphrase is refused');
  await session.answer(question, 'tango Whisky 41 lattice / obsolete marmot');
  await session.answer('The same once more (not shown):', 'tango Whisky 41 lattice / obsolete marmoT');
  await session.until('the two differ; begin again with the first');
  await session.answer(question, 'umlaut \u00fc is on few keyboards 4711');
  await session.until('it has characters that not every keyboard has');
  expect(await session.ended).toBe(1);
  expect(await readdir(join(office.folder, '..'))).toEqual(['ceremony']);
});

test('every question of the code is answered wrongly in one of these files', () => {
  const tests = [
    'test/transcripts/ceremony-prompts-terminal.test.ts',
    'test/transcripts/ceremony-terminal.test.ts',
    'test/transcripts/ceremony-sign-terminal.test.ts',
    // With a token, so it runs where there is one.
    'test/interop/ceremony-token.test.ts',
  ]
    .map(readText)
    .join('\n');
  const questions = sourceFiles('keys-ceremony')
    .filter(({ name }) => !name.includes('/terminal'))
    .flatMap(({ name, text }) => questionsOf(name, text));
  expect(questions.length).toBeGreaterThan(20);
  expect(questions.filter((words) => !tests.includes(words))).toEqual([]);
});

const ASKS = /terminal\.(?:ask|secret|confirm|choose|reveal)$|^asked$|^askLifetime$/;

/** The fixed beginnings of the questions that a file asks. */
function questionsOf(name: string, text: string): string[] {
  const file = ts.createSourceFile(name, text, ts.ScriptTarget.Latest, true);
  const found: string[] = [];
  const visit = (node: ts.Node): void => {
    if (ts.isCallExpression(node) && ASKS.test(node.expression.getText(file))) {
      for (const argument of node.arguments) {
        if (ts.isStringLiteralLike(argument)) found.push(argument.text);
        if (ts.isTemplateExpression(argument)) found.push(argument.head.text.trim());
      }
    }
    ts.forEachChild(node, visit);
  };
  visit(file);
  return found;
}
