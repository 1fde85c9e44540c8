// `plan new`: what it asks, what it refuses to take, and that its file is the plan that was meant.
import { mkdir, readdir, readFile, rm, stat, symlink } from 'node:fs/promises';
import { join } from 'node:path';
import { Writable } from 'node:stream';
import fc from 'fast-check';
import { beforeEach, describe, expect, test } from 'vitest';
import { parsePlan } from '../../keys-ceremony/parse-plan.ts';
import { runCeremony } from '../../keys-ceremony/program.ts';
import { askForPlan } from '../../keys-ceremony/plan-wizard.ts';
import { planText } from '../../keys-ceremony/plan-wizard-text.ts';
import { CTRL_C, ScriptedTerminal, type ScriptedAnswer } from '../../keys-ceremony/terminal-scripted.ts';
import { CEREMONY_DAY } from '../support/ceremony-machine.ts';
import { foundCeremony, heldKey, holdCeremony, publicKeyFile } from '../support/ceremony-people.ts';
import { tempDir } from '../support/temp-dir.ts';

let folder: string;
beforeEach(async () => {
  folder = await tempDir();
});

type Answers = readonly (readonly [question: string, answer: ScriptedAnswer['answer']])[];

function terminal(answers: Answers): ScriptedTerminal {
  return new ScriptedTerminal(answers.map(([question, answer]) => ({ question, answer })));
}

async function planNew(play?: ScriptedTerminal) {
  let [stdout, stderr] = ['', ''];
  const status = await runCeremony(['plan', 'new'], {
    cwd: folder,
    stdout: into((text) => (stdout += text)),
    stderr: into((text) => (stderr += text)),
    clock: { now: () => CEREMONY_DAY, sleep: () => Promise.resolve() },
    random: (bytes) => Buffer.alloc(bytes, 1),
    ...(play === undefined ? {} : { terminal: play }),
  });
  return { status, stdout, stderr };
}

function into(take: (text: string) => void): Writable {
  return new Writable({
    write: (chunk: Buffer, _encoding, done) => {
      take(chunk.toString());
      done();
    },
  });
}

const DEFAULTS: Answers = [
  ['Number or name', 'genesis'],
  ['Its name [2027-genesis]', ''],
  ['Why', 'The first root of the index.'],
  ['Its date', ''],
  ['the next one [2027-11-16]', ''],
  ['Who holds', ''],
  ['must sign [2]', ''],
  ['How long does root live [365d]', ''],
  ['How long do targets and bins live [365d]', ''],
  ['Number of bins', '16384'],
  ['Number or name', 'succinct'],
  ['online key', ''],
];

describe('plan new', () => {
  test('writes what was answered, with comments, once', async () => {
    const play = terminal(DEFAULTS);
    const { status, stdout, stderr } = await planNew(play);
    expect(stderr).toBe('');
    expect(status).toBe(0);
    expect(play.left).toEqual([]);
    expect(stdout).toContain('next: put the public keys beside it');
    const file = join(folder, 'plan.yaml');
    expect((await stat(file)).mode & 0o777).toBe(0o444);
    const text = await readFile(file, 'utf8');
    expect(text).toContain('# Read out on the day');
    expect(parsePlan(Buffer.from(text))).toMatchObject({
      ceremony: '2027-genesis',
      kind: 'genesis',
      why: 'The first root of the index.',
      date: CEREMONY_DAY,
      nextCeremony: Date.UTC(2027, 10, 16),
      root: { threshold: 2, holders: ['holder-1', 'holder-2', 'holder-3'] },
      targets: { signers: { use: 'one-time', keys: 2 } },
      bins: { count: 16_384, format: 'succinct' },
      online: ['online.pub.json'],
    });
    expect(await readFile(join(folder, 'transcript.ndjson'), 'utf8')).toContain('"step":"plan-written"');
    const again = await planNew(terminal([]));
    expect(again.status).toBe(1);
    expect(again.stderr).toContain('plan.yaml exists already');
    expect(await readFile(file, 'utf8')).toBe(text);
  });

  test('asks again for what does not fit', async () => {
    const { status } = await planNew(
      terminal([
        ['Number or name', 'renewal'],
        ['Number or name', 'update'],
        ['Its name', 'Ceremony 1'],
        ['Its name', 'r'],
        ['Why', ''],
        ['Why', 'One left; "another" came.'],
        ['Its date', '2027-02-30'],
        ['Its date', '2027-02-01T10:00:00Z'],
        ['the next one', '2027-01-01'],
        ['the next one', '2027-06-01'],
        // Without previous.json nothing is suggested: it would be a guess.
        ['Who holds', ''],
        ['Who holds', 'holder-1, holder-1'],
        ['Who holds', '1e5, holder-2'],
        ['must sign [2]', '3'],
        ['must sign [2]', ''],
        ['root live', '30d'],
        ['root live', '1 year'],
        ['root live', '200d'],
        ['stay exactly', 'y'],
        ['online key', '../online.pub.json'],
        ['online key', 'old.pub.json new.pub.json'],
      ]),
    );
    expect(status).toBe(0);
    expect(parsePlan(await readFile(join(folder, 'plan.yaml')))).toMatchObject({
      ceremony: 'r',
      kind: 'update',
      why: 'One left; "another" came.',
      root: { threshold: 2, holders: ['1e5', 'holder-2'], lifetimeMs: 200 * 86_400_000 },
      targets: 'keep',
      bins: 'keep',
      online: ['old.pub.json', 'new.pub.json'],
    });
  });

  test('whoever only presses Enter changes neither holders nor bins nor online keys', async () => {
    const first = await holdCeremony(join(folder, 'first'), 'first', ['holder-1', 'holder-2']);
    const without = {
      kind: 'update',
      holders: ['holder-1', 'holder-2', 'holder-4'],
      targets: 'keep',
      bins: 'keep',
    } as const;
    const second = await holdCeremony(
      join(folder, 'second'),
      'second',
      ['holder-1', 'holder-2'],
      without,
      await first.read('bundle.json'),
    );
    // The folder has every public key there ever was, that of the one who was left out too.
    const third = await foundCeremony(
      join(folder, 'third'),
      'third',
      { holders: ['holder-1', 'holder-2', 'holder-3', 'holder-4'], day: 300 },
      await second.read('bundle.json'),
    );
    await rm(join(third.folder, 'plan.yaml'));
    const { status, stderr } = await third.run(
      ['plan', 'new'],
      [
        { question: 'Its name', answer: '' },
        { question: 'Why', answer: 'The yearly renewal.' },
        ...[
          'Its date',
          'the next one',
          'Who holds root keys after it? Names, with blanks between them [holder-1 holder-2 holder-4]',
          'must sign [2]',
          'root live',
          'stay exactly',
          'bins live',
          'Number of bins, a power of two [4]',
        ].map((question) => ({ question, answer: '' })),
        { question: 'Number or name', answer: 'succinct' },
        { question: 'one follows the other) [online-1.pub.json]', answer: '' },
      ],
    );
    expect(stderr).toContain('previous.json is there: this ceremony follows root 2');
    expect(stderr).toContain('read it (as before)');
    expect(status).toBe(0);
    expect((await third.run(['plan', 'check'])).stdout).toContain('0 refused, 0 warnings');
    await rm(join(third.folder, 'holders/holder-4.pub.json'));
    await rm(join(third.folder, 'plan.yaml'));
    const { keyid } = await heldKey('holder-4');
    const ended = await third.run(['plan', 'new'], [{ question: 'Its name', answer: CTRL_C }]);
    expect(ended.stderr).toContain(`holders/ has no public key of ${keyid}, which root 2 names`);
    // A file of the usual name with another key is no answer that leaves everything as it is.
    await third.write('online.pub.json', await publicKeyFile('online-2'));
    await rm(join(third.folder, 'online-1.pub.json'));
    const lost = await third.run(['plan', 'new'], [{ question: 'Its name', answer: CTRL_C }]);
    const online = (await heldKey('online-1')).keyid;
    expect(lost.stderr).toContain(`no .pub.json beside the plan has the online key ${online}, which root 2`);
  });

  test('Ctrl-C at each question, and three wrong answers, leave nothing behind', async () => {
    for (const index of DEFAULTS.keys()) {
      const before = DEFAULTS.slice(0, index);
      const { status, stderr } = await planNew(terminal([...before, ['', CTRL_C]]));
      expect([status, await readdir(folder)]).toEqual([1, []]);
      expect(stderr).toContain('Ctrl-C was pressed at the question');
    }
    const wrong: Answers = [
      ['Its name', 'A b'],
      ['Its name', '-'],
      ['Its name', 'ü'],
    ];
    const { status } = await planNew(terminal([...DEFAULTS.slice(0, 1), ...wrong]));
    expect([status, await readdir(folder)]).toEqual([1, []]);
  });

  test('refuses without a terminal, and through a symbolic link', async () => {
    expect(await planNew()).toMatchObject({
      status: 2,
      stderr: expect.stringContaining('no terminal') as unknown,
    });
    await mkdir(join(folder, 'elsewhere'));
    await symlink(join(folder, 'elsewhere/plan.yaml'), join(folder, 'plan.yaml'));
    expect((await planNew(terminal(DEFAULTS))).stderr).toContain('symbolic link');
    expect(await readdir(join(folder, 'elsewhere'))).toEqual([]);
  });

  test('every name and every reason comes back as it was given', async () => {
    const name = fc.stringMatching(/^[a-z0-9](?:[a-z0-9-]{0,8}[a-z0-9])?$/);
    const why = fc
      .string({ unit: 'grapheme', minLength: 3, maxLength: 60 })
      .filter(
        (text) => text.trim().length >= 3 && text === text.trim() && !/\p{Cc}|\p{Zl}|\p{Zp}/u.test(text),
      );
    await fc.assert(
      fc.asyncProperty(name, name, why, async (ceremony, holder, reason) => {
        const answers = await askForPlan(
          terminal([
            ['Number or name', '1'],
            ['Its name', ceremony],
            ['Why', reason],
            ...DEFAULTS.slice(3, 5),
            ['Who holds', holder],
            ['must sign [1]', '1'],
            ...DEFAULTS.slice(7),
          ]),
          CEREMONY_DAY,
        );
        const plan = parsePlan(Buffer.from(planText(answers)));
        expect([plan.ceremony, plan.holders[0]?.name, plan.why]).toEqual([ceremony, holder, reason]);
      }),
      { numRuns: process.env['SLOW'] === '1' ? 2000 : 100 },
    );
  });
});
