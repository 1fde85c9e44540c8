// `sign` in front of a person: the words of the other computer, the question, the passphrase, each of them wrong first.
import { mkdir, mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { FileKey, writeKeyFile } from '../../keys-ceremony/key-file.ts';
import { systemClock } from '../../src/lib/clock.ts';
import { foundCeremony, type Computer } from '../support/ceremony-people.ts';
import { ACCEPT, atTerminal, type Session } from '../support/ceremony-terminal.ts';
import { NOW, testKey } from '../support/genesis-repository.ts';

const PASSPHRASE = 'tango Whisky 41 lattice / obsolete marmot % quill';

/** The program reads the real clock, so the ceremony is of today. */
const TODAY = Math.floor((systemClock.now() - NOW) / 86_400_000);

let folder: string;
let office: Computer;
let phrase: readonly string[];

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'countersign-'));
  office = await foundCeremony(join(folder, 'ceremony'), 'genesis', { day: TODAY });
  await office.ask('one-time');
  phrase = ((await office.ask('build')) as { phrase: string }).phrase.split(' ');
  await mkdir(join(folder, 'stick'));
  const key = await FileKey.of((await testKey('held by holder-1')).privateKey());
  await writeKeyFile(join(folder, 'stick/holder-1.key'), key, PASSPHRASE, 10);
});

afterAll(() => rm(folder, { recursive: true, force: true }));

function sign(...more: readonly string[]): Session {
  return atTerminal(office.folder, ['sign', '--key', join(folder, 'stick/holder-1.key'), ...more]);
}

/** Waits for the question for two words; those that were asked for. */
async function wordsAsked(session: Session): Promise<string> {
  await session.until('two words of the phrase there');
  await session.until('words ');
  await session.until(': ');
  const [, first, second] = /words (\d) and (\d): $/.exec(session.shown) ?? [];
  return `${phrase[Number(first) - 1] ?? ''} ${phrase[Number(second) - 1] ?? ''}`;
}

async function signatures(): Promise<string[]> {
  return readdir(join(office.folder, 'signatures')).catch(() => []);
}

describe('sign at a terminal', () => {
  test('a computer that is not as it must be is refused before anything is asked', async () => {
    const session = sign();
    await session.until('the self-check refuses this computer');
    expect(session.shown).toContain('tool (this program is many files');
    expect(await session.ended).toBe(1);
    expect(await signatures()).toEqual([]);
  });

  test('words of another payload end it; the right ones are not given away', async () => {
    const session = sign(...ACCEPT);
    const right = await wordsAsked(session);
    const other = right.startsWith('zebra') ? 'apple apple' : 'zebra zebra';
    session.pty.write(`${other}\r`);
    await session.until('this payload has another');
    expect(await session.ended).toBe(1);
    for (const word of phrase) expect(session.shown).not.toMatch(new RegExp(`\\b${word}\\b`));
    expect(await signatures()).toEqual([]);
  });

  test('Ctrl-C at each question, and a no, sign nothing', async () => {
    for (const stop of ['words', 'question', 'no', 'passphrase']) {
      const session = sign(...ACCEPT);
      const words = await wordsAsked(session);
      session.pty.write(stop === 'words' ? '\x03' : `${words}\r`);
      if (stop === 'question') await session.press('[no, or yes]:', '\x03');
      if (stop === 'no') await session.answer('[no, or yes]:', '');
      if (stop === 'passphrase') {
        await session.answer('[no, or yes]:', 'yes');
        await session.press('Passphrase of holder-1.key (not shown):', `half\x03`);
      }
      expect(await session.ended).toBe(1);
      expect(await signatures()).toEqual([]);
    }
  });

  test('the right words and, after a wrong one, the right passphrase sign; what was accepted is on record', async () => {
    const session = sign(...ACCEPT);
    const words = await wordsAsked(session);
    // A slip of the hand is asked about again; a wrong word is none.
    session.pty.write('\r');
    await session.until('please type 2 words, not 0 (try 1 of 3)');
    await session.answer(': ', `${words} ${words}`);
    await session.until('please type 2 words, not 4 (try 2 of 3)');
    await session.answer(': ', words);
    await session.until('sign this as ');
    await session.answer('[no, or yes]:', 'perhaps');
    await session.until('please answer yes or no (try 1 of 3)');
    await session.answer('[no, or yes]:', 'y');
    await session.answer('Passphrase of holder-1.key (not shown):', `${PASSPHRASE}?`);
    await session.until('(try 1 of 3)');
    await session.answer('Passphrase of holder-1.key (not shown):', PASSPHRASE);
    await session.until('signed root 1 with key');
    expect(await session.ended).toBe(0);
    expect(session.shown).not.toContain('marmot');
    const { keyid } = await testKey('held by holder-1');
    expect(await signatures()).toEqual([`root.${keyid}.json`]);
    const transcript = await readFile(join(office.folder, 'transcript.ndjson'), 'utf8');
    expect(transcript).toContain('"check":"tool"');
    expect(transcript).toContain('"reason":"a test"');
    expect(transcript).not.toContain('marmot');
  });

  test('transcript sign asks for the passphrase, and takes no wrong one', async () => {
    const args = ['transcript', 'sign', '--key', join(folder, 'stick/holder-1.key'), ...ACCEPT];
    const wrong = atTerminal(office.folder, args);
    await wrong.answer('Passphrase of holder-1.key (not shown):', `${PASSPHRASE}?`);
    await wrong.until('(try 1 of 3)');
    await wrong.press('Passphrase of holder-1.key (not shown):', '\x03');
    expect(await wrong.ended).toBe(1);
    expect(await readdir(office.folder)).not.toContain('attestations');
    const right = atTerminal(office.folder, args);
    await right.answer('Passphrase of holder-1.key (not shown):', PASSPHRASE);
    await right.until('signed the transcripts as holder-1');
    expect(await right.ended).toBe(0);
  });

  test('a key that is not there ends it before anybody reads or confirms anything', async () => {
    const session = atTerminal(office.folder, [
      'sign',
      '--key',
      join(folder, 'stick/holder-2.key'),
      ...ACCEPT,
    ]);
    await session.until('holder-2.key cannot be opened');
    expect(await session.ended).toBe(2);
    expect(session.shown).not.toContain('root 1 (new)');
  });
});
