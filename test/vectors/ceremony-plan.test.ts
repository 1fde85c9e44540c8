// plan.yaml read strictly, and what each lint rule says about a plan that is readable and wrong.
import { generateKeyPairSync } from 'node:crypto';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import type { Finding } from '../../keys-ceremony/finding.ts';
import { parsePlan } from '../../keys-ceremony/parse-plan.ts';
import { PHRASE_WORDS } from '../../keys-ceremony/phrase-words.ts';
import { holderPublicKeyFile } from '../../keys-ceremony/public-key-file.ts';
import { challengePlaces, checkWords, wordPhrase } from '../../keys-ceremony/word-phrase.ts';
import { keyId, publicKeyOf } from '../../src/tuf/keys.ts';
import {
  foundCeremony,
  heldKey,
  holdCeremony,
  ONE_TIME_BINS,
  planText,
  type Computer,
  type PlanOptions,
} from '../support/ceremony-people.ts';
import { tempDir } from '../support/temp-dir.ts';

const GOOD = planText('genesis');

test('a good plan', () => {
  expect(parsePlan(Buffer.from(GOOD))).toMatchObject({
    ceremony: 'genesis',
    kind: 'genesis',
    date: Date.UTC(2026, 0, 1),
    root: { threshold: 2, lifetimeMs: 365 * 86_400_000, holders: ['holder-1', 'holder-2', 'holder-3'] },
    targets: { signers: { use: 'one-time', keys: 2 } },
    bins: { count: 4, format: 'succinct' },
    online: ['online-1.pub.json'],
    allowAlgorithms: [],
  });
  expect(parsePlan(Buffer.from(GOOD.replace(/next-ceremony: .*/, 'next-ceremony: 2026-10-28'))).nextCeremony).toBe(
    Date.UTC(2026, 9, 28),
  );
});

test.each<[what: string, from: string | RegExp, to: string, message: string]>([
  ['an unknown key', 'ceremony:', 'cermony:', 'line 2, column 1: unknown key "cermony"'],
  ['a near match', 'ceremony:', 'cermony:', 'did you mean ceremony?'],
  ['an unknown key inside', 'threshold:', 'treshold:', 'line 11, column 9: unknown key "root.treshold"'],
  ['a duplicate key', 'kind: genesis', 'kind: genesis\nkind: update', 'line 4, column 1: the key "kind" is given twice'],
  ['an anchor', 'kind: genesis', 'kind: &a genesis', 'anchors are not read'],
  ['an alias', /online: .*/, 'online: *a', 'line 14'],
  ['a second document', /$/, '---\nformat: other\n', '2 YAML documents'],
  ['another format', 'countersign-plan/1', 'countersign-plan/2', 'expected countersign-plan/1'],
  ['a reason that moves the cursor', /why: .*/, 'why: "x \\e[2J y"', 'line 4, column 1: why has characters that nobody sees: "x \\\\u001b[2J y"'],
  ['no date', /date: .*\n/, '', 'date is absent, expected text'],
  ['a date that does not exist', /date: .*/, 'date: 2027-02-30', 'date is "2027-02-30", expected a date like'],
  ['a threshold of zero', 'threshold: 2', 'threshold: 0', 'root.threshold is 0, expected a whole number from 1'],
  ['a lifetime without a unit', 'expires-in: 365d', 'expires-in: 365', 'expires-in is 365, expected text'],
  ['bins that are no power of two', 'count: 4', 'count: 5', 'bin count 5 is not a power of two'],
  ['a format of bins', 'succinct', 'sucinct', 'did you mean succinct?'],
  ['a file outside', 'key: holders/holder-1.pub.json', 'key: ../holder-1.pub.json', 'is not the name of a file inside'],
  ['an absolute file', 'online-1.pub.json', '/online-1.pub.json', 'is not the name of a file inside'],
  ['three online keys', /online: .*/, 'online: [{ key: a }, { key: b }, { key: c }]', 'online has 3 keys'],
  ['a role kept in a genesis', /targets: .*/, 'targets: keep', 'a genesis has no targets to keep'],
  ['a stranger as a signer', /targets: .*/, 'targets: { holders: [holder-9], threshold: 1, expires-in: 1d }', 'did you mean holder-1?'],
  ['a name with a slash', 'ceremony: genesis', 'ceremony: a/b', '"a/b" is no name'],
  ['no reason', /why: .*/, 'why: " "', 'why is empty'],
  ['text that is no YAML', /why: .*/, 'why: "', 'line 1'],
])('refuses %s', (_, from, to, message) => {
  const text = GOOD.replace(from, to);
  expect(text).not.toBe(GOOD);
  expect(() => parsePlan(Buffer.from(text))).toThrow(
    expect.objectContaining({ code: 'plan-invalid', message: expect.stringContaining(message) as string }),
  );
});

test('refuses bytes that are no UTF-8, and more than a plan can need', () => {
  expect(() => parsePlan(Buffer.from([0xff]))).toThrow('not valid UTF-8');
  expect(() => parsePlan(Buffer.alloc(65 * 1024, 0x0a))).toThrow('at most 65536 are read');
});

async function findings(computer: Computer): Promise<Finding[]> {
  const { stdout } = await computer.run(['plan', 'check', '--json']);
  return (JSON.parse(stdout) as { findings: Finding[] }).findings;
}

const refuse = 'refuse';
const warn = 'warn';

test.each<[rule: string, severity: string, options: PlanOptions, message: string]>([
  ['threshold', refuse, { root: '{ threshold: 4, expires-in: 365d }' }, 'root needs 4 signatures, but it has 3 keys'],
  ['threshold-one', warn, { root: '{ threshold: 1, expires-in: 365d }' }, 'root has threshold 1: one of its 3 keys'],
  ['losing-keys', warn, { root: '{ threshold: 3, expires-in: 365d }' }, 'losing 1 of them ends the repository'],
  ['expiry-before-next', refuse, { root: '{ threshold: 2, expires-in: 299d }' }, 'root expires at 2026-10-27T00:00:00Z, the next ceremony is at 2026-10-28T00:00:00Z'],
  ['expiry-margin', warn, { root: '{ threshold: 2, expires-in: 310d }' }, '10 days after the next ceremony'],
  ['expiry-long', warn, { root: '{ threshold: 2, expires-in: 800d }' }, 'root lives for 800 days, PEP 458 says one year'],
  ['outlives-root', refuse, { targets: '{ one-time-keys: 2, expires-in: 366d }' }, 'targets expires at 2027-01-02T00:00:00Z, after root at 2027-01-01T00:00:00Z'],
  ['role-separation', refuse, { online: ['holder-1'] }, 'is online, but root names it as an offline key'],
  ['shared-offline', warn, { targets: '{ holders: [holder-1, holder-2], threshold: 2, expires-in: 365d }' }, '2 of the 2 keys of targets are root keys as well'],
  ['online-two', warn, { online: ['online-1', 'online-2'] }, 'two online keys are trusted'],
  ['holder-unused', refuse, { root: '{ threshold: 1, expires-in: 365d, holders: [holder-1, holder-2] }' }, 'holder holder-3 signs no role'],
])('rule %s: %s', async (rule, severity, options, message) => {
  const office = await foundCeremony(join(await tempDir(), 'office'), 'genesis', options);
  expect(await findings(office)).toContainEqual({ rule, severity, message: expect.stringContaining(message) as string });
});

test('a plan without findings has none', async () => {
  const office = await foundCeremony(join(await tempDir(), 'office'), 'genesis');
  expect(await findings(office)).toEqual([]);
  expect((await office.run(['plan', 'check'])).stdout).toMatch(/^plan [0-9a-f]{64}: 0 refused, 0 warnings\n$/);
});

test('rules about what changes', { timeout: 30_000 }, async () => {
  const dir = await tempDir();
  const first = await holdCeremony(join(dir, 'first'), 'first', ['holder-1', 'holder-2']);
  const bundle = await first.read('bundle.json');
  const cases: [string, string, PlanOptions, string][] = [
    ['old-threshold', warn, { holders: ['holder-1', 'holder-4', 'holder-5'] }, 'holders of this plan have 1: 1 who leaves must sign too'],
    ['online-overlap', warn, { online: ['online-2'] }, 'the online key changes without overlap'],
    ['bins-keep', refuse, { online: ['online-2'], bins: 'keep' }, 'the online keys change'],
    ['targets-keep', refuse, { targets: 'keep' }, 'the keys of bins change'],
    ['root-keep', refuse, { root: 'keep', holders: [] }, 'the keys of targets change'],
    ['expiry-before-next', refuse, { targets: 'keep', bins: 'keep' }, 'targets expires at 2027-01-01T00:00:00Z'],
    // The plan of the year before, with its date.
    ['expiry-not-later', warn, { day: 0 }, 'root expires at 2027-01-01T00:00:00Z, no later than the one before it, at 2027-01-01T00:00:00Z: is 2026-01-01T00:00:00Z'],
    ['bins-count', warn, { bins: ONE_TIME_BINS.replace('4', '8') }, 'there are 8 bins (was 4)'],
    ['bins-format', warn, { bins: ONE_TIME_BINS.replace('succinct', 'prefixes') }, 'go-tuf up to 2.4.2 cannot read it'],
    ['bins-count', warn, { bins: ONE_TIME_BINS.replace('4', '2') }, 'named bin2-… instead of bin-…'],
    ['bins-key', refuse, { online: ['online-2'], bins: ONE_TIME_BINS.replace('4', '2') }, 'take two ceremonies'],
    ['role-separation', refuse, { holders: ['holder-1', 'holder-2', 'online-1'], online: ['online-2'] }, 'was online until now'],
  ];
  for (const [index, [rule, severity, options, message]] of cases.entries()) {
    const update = { kind: 'update', day: 200, ...options } as const;
    const office = await foundCeremony(join(dir, `${index}`), 'next', update, bundle);
    expect(await findings(office), rule).toContainEqual({
      rule,
      severity,
      message: expect.stringContaining(message) as string,
    });
  }
  // One key that both know is enough: the new bins are signed with it.
  const overlap = { online: ['online-1', 'online-2'], bins: ONE_TIME_BINS.replace('4', '2') };
  const office = await foundCeremony(join(dir, 'overlap'), 'next', { kind: 'update', day: 200, ...overlap }, bundle);
  expect((await findings(office)).map(({ rule }) => rule)).toEqual(['online-two', 'bins-count']);
});

test('a key that was left out does not come back', async () => {
  const dir = await tempDir();
  const first = await holdCeremony(join(dir, 'first'), 'first', ['holder-1', 'holder-2']);
  const second = await holdCeremony(
    join(dir, 'second'),
    'second',
    ['holder-1', 'holder-2'],
    { kind: 'update', holders: ['holder-1', 'holder-2', 'holder-4'], online: ['online-2'], root: '{ threshold: 2, expires-in: 366d }' },
    await first.read('bundle.json'),
  );
  const plan = { kind: 'update', day: 100, online: ['online-1'] } as const;
  const third = await foundCeremony(join(dir, 'third'), 'third', plan, await second.read('bundle.json'));
  for (const name of ['holder-3', 'online-1']) {
    const { keyid } = await heldKey(name);
    expect(await findings(third)).toContainEqual({
      rule: 'key-retired',
      severity: refuse,
      message: `key ${keyid} was left out by root 2, and would come back: make a new key instead`,
    });
  }
});

test('one P-256 key spelled in two ways counts once', async () => {
  const office = await foundCeremony(join(await tempDir(), 'office'), 'genesis');
  const key = publicKeyOf(generateKeyPairSync('ec', { namedCurve: 'P-256' }).publicKey);
  const other = { ...key, keyval: { public: `${key.keyval.public}\n` } };
  expect(keyId(other)).not.toBe(keyId(key));
  await office.write('holders/holder-1.pub.json', holderPublicKeyFile({ name: 'holder-1', keyid: keyId(key), key, made: 'file' }));
  await office.write('holders/holder-2.pub.json', holderPublicKeyFile({ name: 'holder-2', keyid: keyId(other), key: other, made: 'file' }));
  expect(await findings(office)).toContainEqual({
    rule: 'keys-distinct',
    severity: refuse,
    message: `root counts one key twice, as ${keyId(key)} and as ${keyId(other)}`,
  });
});

test('the words of the phrase cannot be taken for each other', () => {
  expect(new Set(PHRASE_WORDS).size).toBe(256);
  for (const [index, a] of PHRASE_WORDS.entries()) {
    expect(a).toMatch(/^[a-z]{4,12}$/);
    for (const b of PHRASE_WORDS.slice(index + 1)) expect(edits(a, b), `${a} ${b}`).toBeGreaterThan(1);
  }
});

function edits(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, column) => column);
  for (let i = 1; i <= a.length; i += 1) {
    const next = [i];
    for (let j = 1; j <= b.length; j += 1) {
      const same = a[i - 1] === b[j - 1] ? 0 : 1;
      next.push(Math.min((row[j - 1] ?? 0) + same, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1));
    }
    row = next;
  }
  return row[b.length] ?? 0;
}

test('the phrase is the first 64 bits, and any two places can be asked for', () => {
  const phrase = wordPhrase('00ff0102030405060708'.padEnd(64, '0'));
  expect(phrase).toEqual([0, 255, 1, 2, 3, 4, 5, 6].map((byte) => PHRASE_WORDS[byte]));
  checkWords(` ${phrase[1]?.toUpperCase() ?? ''}, ${phrase[4] ?? ''} `, phrase, [1, 4]);
  const seen = new Set<string>();
  for (let a = 0; a < 8; a += 1) {
    for (let b = 0; b < 7; b += 1) {
      const [first, second] = challengePlaces(() => Uint8Array.of(a, b));
      expect(first).toBeLessThan(second);
      expect(second).toBeLessThan(8);
      seen.add(`${first} ${second}`);
    }
  }
  expect(seen.size).toBe(28);
});

test('a signer at the terminal: the changes, two words, a last question', async () => {
  const office = await foundCeremony(join(await tempDir(), 'office'), 'genesis');
  await office.ask('one-time');
  const { phrase } = (await office.ask('build')) as { phrase: string };
  const words = phrase.split(' ');
  // The draw of the places that are asked for: the first two.
  office.random = (bytes) => new Uint8Array(bytes);
  const sign = ['sign', '--key', 'holder-1'] as const;
  const question = 'words 1 and 2';
  const wrong = await office.run(sign, [{ question, answer: 'amber amber' }]);
  expect(wrong).toMatchObject({ status: 1, stdout: '' });
  // A slip of the hand is asked about again.
  const slips = ['', words[0] ?? '', `${words[0] ?? ''} ${words[1] ?? ''} ${words[2] ?? ''}`];
  const slipped = await office.run(sign, slips.map((answer) => ({ question, answer })));
  expect(slipped).toMatchObject({ status: 1, stdout: '' });
  expect(slipped.stderr).toContain('please type 2 words, not 0 (try 1 of 3)');
  const run = await office.run(sign, [
    { question, answer: '' },
    { question, answer: `${words[0] ?? ''} ${words[1] ?? ''}` },
    { question: 'sign this', answer: 'yes' },
  ]);
  expect(run.status).toBe(0);
  const { keyid } = await heldKey('holder-1');
  expect(run.stdout).toContain(`signed root 1 with key ${keyid}: signatures/root.${keyid}.json`);
  expect(run.stderr).toContain('root 1 (new), expires 2027-01-01T00:00:00Z, 365 days after the ceremony');
  // The phrase comes from another screen, never from this one.
  expect(run.stdout + run.stderr).not.toContain(phrase);
});
