// A rehearsal as a person sees it: what is printed, what is written, with which modes, and who accepts it.
import { createHash } from 'node:crypto';
import { mkdir, readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Writable } from 'node:stream';
import { Metadata, MetadataKind } from '@tufjs/models';
import { expect, test } from 'vitest';
import { runCeremony } from '../../keys-ceremony/program.ts';
import { decryptPrivateKey } from '../../src/lib/passphrase-file.ts';
import { createPublicKey } from 'node:crypto';
import { checkOnlineKey, parseBundle, verifyBundle } from '../../src/tuf/bundle.ts';
import { keyId, publicKeyOf } from '../../src/tuf/keys.ts';
import { NOW } from '../support/genesis-repository.ts';
import { tempDir } from '../support/temp-dir.ts';

interface Run {
  readonly status: number;
  readonly stdout: string;
  readonly stderr: string;
}

async function run(cwd: string, ...args: readonly string[]): Promise<Run> {
  const collect = (chunks: string[]): Writable =>
    new Writable({
      write: (chunk: Buffer, _encoding, done) => {
        chunks.push(chunk.toString());
        done();
      },
    });
  const out: string[] = [];
  const err: string[] = [];
  let counter = 0;
  const status = await runCeremony(args, {
    cwd,
    stdout: collect(out),
    stderr: collect(err),
    clock: { now: () => NOW, sleep: () => Promise.resolve() },
    random: (bytes) => createHash('sha256').update(`rehearsal ${counter++}`).digest().subarray(0, bytes),
  });
  return { status, stdout: out.join(''), stderr: err.join('') };
}

test('writes a complete installation that two implementations accept', async () => {
  const dir = await tempDir();
  const { status, stdout, stderr } = await run(dir, 'rehearse', '--out', 'trial', '--bins', '16');
  expect(stderr).toContain('made 3 root keys; 2 of them sign a root');
  expect(stderr).toMatch(/wrote bundle\.json sha256 [0-9a-f]{64}\n$/);
  expect(stdout).toBe(
    `next, in ${join(dir, 'trial')}:\n  countersign bootstrap bundle.json\n  countersign serve\n`,
  );
  expect(status).toBe(0);

  const trial = join(dir, 'trial');
  const modes = new Map<string, string>();
  for (const name of (await readdir(trial, { recursive: true })).sort()) {
    modes.set(name, ((await stat(join(trial, name))).mode & 0o777).toString(8));
  }
  expect(((await stat(trial)).mode & 0o777).toString(8)).toBe('700');
  expect(modes.get('online.key')).toBe('600');
  expect(modes.get('online.passphrase')).toBe('600');
  expect(modes.get('holders/holder-3/root.key')).toBe('600');
  expect(modes.get('holders/holder-3')).toBe('700');
  expect([...modes.keys()].filter((name) => !name.startsWith('holders'))).toEqual([
    'bundle.json',
    'countersign.yaml',
    'files',
    'online.key',
    'online.passphrase',
    'root.json',
  ]);

  const bundle = await readFile(join(trial, 'bundle.json'));
  const verified = await verifyBundle(parseBundle(bundle), NOW);
  expect(verified.layout.count).toBe(16);
  expect(verified.roots[0]?.bytes.equals(await readFile(join(trial, 'root.json')))).toBe(true);

  const passphrase = (await readFile(join(trial, 'online.passphrase'), 'utf8')).trim();
  const key = await decryptPrivateKey(await readFile(join(trial, 'online.key'), 'utf8'), passphrase);
  checkOnlineKey(verified, keyId(publicKeyOf(createPublicKey(key))));

  type Input = Parameters<typeof Metadata.fromJSON>[1];
  const json = (bytes: Buffer): Input => JSON.parse(bytes.toString()) as Input;
  const root = Metadata.fromJSON(MetadataKind.Root, json(verified.roots[0]!.bytes));
  const targets = Metadata.fromJSON(MetadataKind.Targets, json(verified.targets.bytes));
  const bins = Metadata.fromJSON(MetadataKind.Targets, json(verified.bins.bytes));
  root.verifyDelegate('root', root);
  root.verifyDelegate('targets', targets);
  targets.verifyDelegate('bins', bins);
  expect(root.signed.expires).toBe('2027-01-01T00:00:00Z');
});

test('the prefixes form, as one JSON document without secrets', async () => {
  const dir = await tempDir();
  const { status, stdout } = await run(
    dir,
    ...['rehearse', '--out', 'trial', '--holders', '1', '--threshold', '1', '--format', 'prefixes', '--json'],
  );
  expect(status).toBe(0);
  const document = JSON.parse(stdout) as { bins: unknown; files: Record<string, unknown>[]; keys: unknown[] };
  expect(document.bins).toEqual({ count: 256, format: 'prefixes' });
  expect(document.files.find(({ name }) => name === 'online.passphrase')).toEqual({
    name: 'online.passphrase',
    secret: true,
  });
  expect(document.keys).toHaveLength(6);
  const verified = await verifyBundle(parseBundle(await readFile(join(dir, 'trial/bundle.json'))), NOW);
  expect(verified.format).toBe('prefixes');
});

test('refuses a folder that holds anything, and leaves it as it is', async () => {
  const dir = await tempDir();
  await mkdir(join(dir, 'trial'));
  await writeFile(join(dir, 'trial', 'keep'), 'mine');
  const { status, stdout, stderr } = await run(dir, '--json', 'rehearse', '--out', 'trial');
  expect(status).toBe(1);
  expect(JSON.parse(stdout)).toMatchObject({ error: { code: 'file-exists' } });
  expect(stderr).toContain(`folder ${join(dir, 'trial')} holds keep already`);
  expect(await readdir(join(dir, 'trial'))).toEqual(['keep']);
});

test.each([
  [['rehearse'], "required option '--out <dir>' not specified"],
  [['rehearse', '--out', 'x', '--threshold', '4'], 'threshold is 4, expected 1 to 3'],
  [['rehearse', '--out', 'x', '--holders', '0'], 'holders is 0, expected 1 to 64'],
  [['rehearse', '--out', 'x', '--bins', '100'], 'bin count 100 is not a power of two'],
  [['rehearse', '--out', 'x', '--bins', 'many'], 'Expected a whole number'],
  [['rehearse', '--out', 'x', '--format', 'other'], 'succinct, prefixes'],
  [['rehearse', '--out', 'x', '--unknown'], "unknown option '--unknown'"],
  [[], 'no command was given'],
])('wrong usage %j ends with status 2 and makes nothing', async (args, message) => {
  const dir = await tempDir();
  const { status, stdout, stderr } = await run(dir, ...args);
  expect([status, stdout]).toEqual([2, '']);
  expect(stderr).toContain(message);
  expect(await readdir(dir)).toEqual([]);
});

test('--help shows examples', async () => {
  const { status, stdout } = await run('/', 'rehearse', '--help');
  expect(status).toBe(0);
  expect(stdout).toContain('countersign-ceremony rehearse --out ./trial --holders 5');
});
