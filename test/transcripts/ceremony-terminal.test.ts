// The ceremony's program in front of a person: a real terminal (TERM=dumb), real keys, every question answered wrongly.
import { randomBytes } from 'node:crypto';
import { chmod, mkdir, readdir, readFile, rename, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeEach, describe, expect, test } from 'vitest';
import { FileKey, writeKeyFile } from '../../keys-ceremony/key-file.ts';
import { decryptPrivateKey } from '../../src/lib/passphrase-file.ts';
import { ACCEPT, GENERATE, atTerminal, namesBelow, type Session } from '../support/ceremony-terminal.ts';
import { tempDir } from '../support/temp-dir.ts';

const PASSPHRASE = 'tango Whisky 41 lattice / obsolete marmot % quill';
/** log2 of scrypt's cost, for keys that the test itself makes. */
const QUICK = 10;

let folder: string;
beforeEach(async () => {
  folder = await tempDir();
  await mkdir(join(folder, 'stick'));
  await mkdir(join(folder, 'ceremony'));
});

const NOTHING = ['ceremony', 'stick'];

/** The questions of `key generate`, up to the one that is named, each with a fitting answer. */
const QUESTIONS = [
  ['Number or name:', 'own'],
  ['New passphrase of the key of holder-1 (not shown):', PASSPHRASE],
  ['The same once more (not shown):', PASSPHRASE],
] as const;

async function upTo(session: Session, count: number): Promise<void> {
  for (const [question, answer] of QUESTIONS.slice(0, count)) await session.answer(question, answer);
}

describe('at a terminal', () => {
  test('a key is made after every kind of wrong answer, and its passphrase is never seen', async () => {
    const session = atTerminal(folder, GENERATE);
    await session.answer('Number or name:', 'perhaps');
    await session.until('please answer one of words, own');
    await session.answer('Number or name:', '7');
    await session.until('try 2 of 3');
    await session.answer('Number or name:', '2');
    await session.answer('New passphrase of the key of holder-1 (not shown):', 'hunter2hunter2');
    await session.until('too weak');
    await session.answer('New passphrase of the key of holder-1 (not shown):', PASSPHRASE);
    await session.until('strong: about');
    await session.answer('once more (not shown):', `${PASSPHRASE}!`);
    // Corrections are as unseen as the rest.
    await session.until('the two differ');
    await session.answer('New passphrase of the key of holder-1 (not shown):', `x\x7f${PASSPHRASE}y\b\x1b[A`);
    await session.answer('once more (not shown):', PASSPHRASE);
    await session.until('key id');
    expect(await session.ended).toBe(0);
    for (const secret of [PASSPHRASE, 'Whisky', 'marmot', 'hunter2'])
      expect(session.shown).not.toContain(secret);
    // No colour, no cursor: nothing that a printing terminal could not do.
    expect(session.shown).not.toContain('\x1b');
    const file = join(folder, 'stick/holder-1.key');
    expect((await stat(file)).mode & 0o777).toBe(0o400);
    const key = await decryptPrivateKey(await readFile(file, 'utf8'), PASSPHRASE);
    expect(key.asymmetricKeyType).toBe('ed25519');
    expect(await namesBelow(folder)).toEqual([
      'ceremony',
      'ceremony/holders',
      'ceremony/holders/holder-1.pub.json',
      'stick',
      'stick/holder-1.key',
    ]);
  });

  test.each([
    ['Ctrl-C', '\x03'],
    ['Ctrl-D', '\x04'],
    ['Ctrl-\\', '\x1c'],
  ])('%s at each question leaves everything as it was', async (_, keys) => {
    for (let count = 0; count < QUESTIONS.length; count += 1) {
      const session = atTerminal(folder, GENERATE);
      await upTo(session, count);
      await session.press(QUESTIONS[count]?.[0] ?? '', keys);
      await session.until('countersign-ceremony: ');
      await session.until('nothing was left half-written');
      expect(await session.ended).toBe(1);
      expect(await namesBelow(folder)).toEqual(NOTHING);
    }
  });

  test.each(['SIGTERM', 'SIGHUP', 'SIGINT'])('%s ends a question', async (signal) => {
    const session = atTerminal(folder, GENERATE);
    await upTo(session, 1);
    await session.until('New passphrase of the key of holder-1 (not shown):');
    session.pty.kill(signal);
    await session.until(`${signal} came`);
    expect(await session.ended).toBe(1);
    expect(await namesBelow(folder)).toEqual(NOTHING);
  });

  test('the terminal echoes again afterwards, whatever happened', async () => {
    for (const keys of ['\x03', '\x04']) {
      const session = atTerminal(folder, GENERATE, '"$@"; stty -a; echo over');
      await upTo(session, 1);
      await session.press('(not shown):', keys);
      await session.until('over');
      expect(session.shown).toMatch(/ echo /);
      expect(session.shown).toMatch(/ icanon /);
    }
  });

  test('answers come from the terminal, not from a pipe; what was typed too early is dropped', async () => {
    const session = atTerminal(folder, GENERATE, 'yes no | "$@" >out 2>err; echo over');
    session.pty.write('words\r');
    await session.answer('Number or name:', 'own');
    await session.press('(not shown):', '\x03');
    await session.until('over');
    expect(await readFile(join(folder, 'err'), 'utf8')).toContain('a key that ends the program was pressed');
    expect(await readFile(join(folder, 'out'), 'utf8')).toBe('');
  });

  test('without a terminal nothing is asked, and nothing made', async () => {
    const session = atTerminal(folder, GENERATE, 'setsid -w "$@" </dev/null; echo "status $?"');
    await session.until('there is no terminal: passphrases and PINs are typed by a person');
    await session.until('status 2');
    expect(await namesBelow(folder)).toEqual(NOTHING);
  });

  test('a full disk leaves nothing half-written', async () => {
    const full = atTerminal(folder, GENERATE, 'ulimit -f 0; exec "$@"');
    await upTo(full, QUESTIONS.length);
    await full.until('cannot be written');
    expect(await full.ended).toBe(2);
    expect(await namesBelow(folder)).toEqual(NOTHING);
  });

  test('a wrong passphrase is asked for three times, a key that is open to others not at all', async () => {
    const key = await FileKey.generate('p256', randomBytes);
    const file = join(folder, 'stick/holder-1.key');
    await writeKeyFile(file, key, PASSPHRASE, QUICK);
    const show = ['key', 'show', 'stick/holder-1.key', '--folder', 'ceremony', ...ACCEPT];
    const wrong = atTerminal(folder, show);
    for (const [index, passphrase] of ['wrong', '', PASSPHRASE.slice(1)].entries()) {
      await wrong.answer('Passphrase of holder-1.key (not shown):', passphrase);
      await wrong.until('does not open with this passphrase, or it is damaged');
      if (index < 2) await wrong.until(`(try ${index + 1} of 3)`);
    }
    expect(await wrong.ended).toBe(2);
    await chmod(file, 0o440);
    const open = atTerminal(folder, show);
    await open.until('is open to other users (mode 0440)');
    expect(await open.ended).toBe(2);
    expect(open.shown).not.toContain('Passphrase of');
    await chmod(file, 0o400);
    const right = atTerminal(folder, show);
    await right.answer('Passphrase of holder-1.key (not shown):', PASSPHRASE);
    await right.until(key.keyid);
    expect(await right.ended).toBe(0);
  });

  test('pages that do not all fit on a disk leave none behind', async () => {
    const key = await FileKey.generate('ed25519', randomBytes);
    await writeKeyFile(join(folder, 'stick/holder-1.key'), key, PASSPHRASE, QUICK);
    await mkdir(join(folder, 'pages'));
    const numbers = ['--shares', '3', '--threshold', '2', '--out', 'pages', '--folder', 'ceremony'];
    // The text has a place, the page with its QR code has none.
    const full = atTerminal(
      folder,
      ['key', 'backup', 'stick/holder-1.key', ...numbers, ...ACCEPT],
      'ulimit -f 4; exec "$@"',
    );
    await full.answer('Passphrase of holder-1.key (not shown):', PASSPHRASE);
    await full.until('holder-1-share-1.html cannot be written');
    expect(await full.ended).toBe(2);
    expect(await readdir(join(folder, 'pages'))).toEqual([]);
  });

  test('a key goes on paper and comes back from it', async () => {
    const key = await FileKey.generate('ed25519', randomBytes);
    const file = join(folder, 'stick/holder-1.key');
    await writeKeyFile(file, key, PASSPHRASE, QUICK);
    await mkdir(join(folder, 'pages'));
    const numbers = ['--shares', '3', '--threshold', '2', '--out', 'pages'];
    const backup = atTerminal(folder, [
      'key',
      'backup',
      'stick/holder-1.key',
      ...numbers,
      ...ACCEPT,
      '--folder',
      'ceremony',
    ]);
    await backup.answer('Passphrase of holder-1.key (not shown):', PASSPHRASE);
    expect(await backup.ended).toBe(0);
    expect(await readdir(join(folder, 'pages'))).toHaveLength(6);
    const page = async (number: number): Promise<string[]> => {
      const text = await readFile(join(folder, `pages/holder-1-share-${number}.txt`), 'utf8');
      return [...text.matchAll(/^ ?\d {2}(.*)$/gm)].map(([, words = '']) => words);
    };
    const [one, three] = [await page(1), await page(3)];
    await rename(file, join(folder, 'stick/lost.key'));
    const restore = atTerminal(folder, [
      'key',
      'restore',
      '--name',
      'holder-1',
      '--out',
      'stick',
      '--folder',
      'ceremony',
      ...ACCEPT,
    ]);
    for (const [line, words] of one.entries()) {
      const question = `line ${line + 1} of 8 (not shown):`;
      if (line === 2) {
        await restore.answer(question, words.replace(/^\w+/, 'xylophone'));
        await restore.until('line 3, word 1 is not in the list');
      }
      await restore.answer(question, words);
    }
    await restore.answer('Share 2, line 1 of 8 (not shown):', one.join(' '));
    await restore.until('this share was given before');
    await restore.answer('Share 2, line 1 of 8 (not shown):', three.join(' '));
    await restore.press('Number or name:', '\x03');
    expect(await restore.ended).toBe(1);
    expect(await readdir(join(folder, 'stick'))).toEqual(['lost.key']);
    expect(restore.shown).toContain(`share of key ${key.keyid.slice(0, 8)}…, 2 of the 2`);
    for (const words of [...one, ...three]) expect(restore.shown).not.toContain(words);
  });
});
