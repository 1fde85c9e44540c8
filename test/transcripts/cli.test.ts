// The built program as a user meets it: what it prints where, and with which status it ends.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, readFile, stat, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { text } from 'node:stream/consumers';
import { describe, expect, test } from 'vitest';
import { parseConfig } from '../../src/config.ts';
import { tempDir } from '../support/temp-dir.ts';

const PROGRAM = new URL('../../dist/src/main.js', import.meta.url).pathname;

interface Run {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

interface Surroundings {
  readonly cwd: string;
  readonly env?: Readonly<Record<string, string>>;
  readonly input?: string;
}

async function countersign(
  args: readonly string[],
  { cwd, env = {}, input = '' }: Surroundings,
): Promise<Run> {
  const clean = Object.entries(process.env).filter(([name]) => !name.startsWith('COUNTERSIGN_'));
  const child = spawn(process.execPath, [PROGRAM, ...args], {
    cwd,
    env: { ...Object.fromEntries(clean), ...env },
  });
  child.stdin.on('error', () => undefined);
  child.stdin.end(input);
  const [stdout, stderr] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'close')]);
  return { status: child.exitCode, stdout, stderr };
}

/** The whole of standard output, which must be one JSON document. */
function json({ stdout }: Run): Record<string, unknown> {
  return JSON.parse(stdout) as Record<string, unknown>;
}

const COMMANDS = [
  'init',
  'key',
  'key generate',
  'key show',
  'bootstrap',
  'serve',
  'publish',
  'status',
  'gc',
  'client',
  'reconcile',
  'fsck',
  'copy',
];

describe('help', () => {
  test.each(COMMANDS)('%s --help goes to standard output, with status 0', async (command) => {
    const run = await countersign([...command.split(' '), '--help'], { cwd: await tempDir() });
    expect(run).toMatchObject({ status: 0, stderr: '' });
    expect(run.stdout).toContain(`Usage: countersign ${command}`);
    expect(run.stdout).toContain('--json');
    if (command !== 'key') expect(run.stdout).toMatch(/\nExamples:\n {2}.*countersign|\n {2}\(umask/);
  });

  test('without a command the help goes to standard error, with status 2', async () => {
    const run = await countersign([], { cwd: await tempDir() });
    expect(run).toMatchObject({ status: 2, stdout: '' });
    for (const command of COMMANDS) expect(run.stderr).toContain(`  ${command.split(' ')[0] ?? ''} `);
  });

  test('--version', async () => {
    expect(await countersign(['--version'], { cwd: await tempDir() })).toMatchObject({
      status: 0,
      stdout: '0.1.0\n',
    });
  });
});

describe('wrong usage ends with status 2 and says what to do', () => {
  const cases: [args: string[], message: string][] = [
    [['stauts'], "unknown command 'stauts' (Did you mean status?)"],
    [['init', '--frce'], "unknown option '--frce'"],
    [['init', 'a', 'b'], "too many arguments for 'init'. Expected 1 argument but got 2."],
    [['bootstrap'], "missing required argument 'bundle'"],
    [['publish'], 'nothing to publish: give --add, --put, --remove or --from'],
    [['publish', '--add', 'demo.whl'], '--add is "demo.whl", expected PATH=FILE'],
    [
      ['publish', '--remove', 'a', '--timeout', 'soon'],
      '--timeout is "soon", expected a duration such as 5m',
    ],
    [['status', '--url', 'ftp://x'], '--url is "ftp://x", expected an address such as http://127.0.0.1:8458'],
    [
      ['key', 'show', '--signer', 'vault:transit/KEY'],
      '--signer has no address=; the form is vault:MOUNT/KEY?address=https://HOST:8200',
    ],
    [
      ['key', 'show', '--signer', 'gpg:KEY'],
      '--signer has the kind "gpg:"; this version knows file:PATH, vault:',
    ],
    [['status', '-c', 'absent.yaml'], 'absent.yaml: ENOENT'],
  ];
  test.each(cases)('%j', async (args, message) => {
    const cwd = await tempDir();
    const run = await countersign(args, { cwd });
    expect(run).toMatchObject({ status: 2, stdout: '' });
    expect(run.stderr).toMatch(/^countersign: .*\n {2}-> .*\.\n$/);
    expect(run.stderr).toContain(message);
  });

  test.each([['stauts'], ['publish'], []])('as one JSON document: %j', async (...args) => {
    const run = await countersign([...args, '--json'], { cwd: await tempDir() });
    expect(run.status).toBe(2);
    expect(Object.keys(json(run)['error'] as object)).toEqual(['code', 'message', 'remedy']);
    expect(json(run)).toMatchObject({ error: { code: 'usage' } });
  });
});

describe('configuration', () => {
  test('init writes a file that says what the defaults say, and never overwrites', async () => {
    const cwd = await tempDir();
    const run = await countersign(['init', 'new/place', '--json'], { cwd });
    const file = path.join(cwd, 'new/place/countersign.yaml');
    expect(run).toMatchObject({ status: 0, stderr: '' });
    expect(json(run)).toEqual({ file });
    const written = await readFile(file, 'utf8');
    const source = { file, base: path.dirname(file), env: {} };
    expect(parseConfig({ ...source, text: written }).config).toEqual(parseConfig(source).config);

    const again = await countersign(['init', 'new/place'], { cwd });
    expect(again).toMatchObject({ status: 1, stdout: '' });
    expect(again.stderr).toBe(
      `countersign: ${file} exists already and is left as it is\n  -> Choose another name or move the file away.\n`,
    );
    expect(await readFile(file, 'utf8')).toBe(written);
  });

  test('an unknown key names the file, the key and the near one', async () => {
    const cwd = await tempDir();
    await writeFile(path.join(cwd, 'countersign.yaml'), 'publish: { max-event: 3 }\n');
    const run = await countersign(['status', '--json'], { cwd });
    expect(run.status).toBe(2);
    expect(json(run)).toMatchObject({
      error: {
        code: 'config-invalid',
        message: `${cwd}/countersign.yaml: unknown key "publish.max-event"; did you mean "publish.max-events"?`,
      },
    });
  });

  test('the environment goes before the file; an unknown variable is an error', async () => {
    const cwd = await tempDir();
    await writeFile(path.join(cwd, 'countersign.yaml'), 'listen: 127.0.0.1:1\n');
    const moved = await countersign(['status'], { cwd, env: { COUNTERSIGN_LISTEN: '127.0.0.1:2' } });
    expect(moved.stderr).toContain('no answer from http://127.0.0.1:2/');
    const unknown = await countersign(['status'], { cwd, env: { COUNTERSIGN_LISTEN_ON: 'x' } });
    expect(unknown.status).toBe(2);
    expect(unknown.stderr).toContain('unknown environment variable COUNTERSIGN_LISTEN_ON');
  });

  test('a service that does not answer is status 3', async () => {
    const cwd = await tempDir();
    const env = { COUNTERSIGN_LISTEN: '127.0.0.1:1' };
    for (const args of [['status'], ['publish', '--remove', 'a']]) {
      const run = await countersign([...args, '--json'], { cwd, env });
      expect(run.status).toBe(3);
      expect(json(run)).toMatchObject({ error: { code: 'service-unavailable' } });
    }
  });

  test('a malformed line of --from is refused before anything is sent', async () => {
    const run = await countersign(['publish', '--from', '-'], {
      cwd: await tempDir(),
      input: '{"changes":\n',
    });
    expect(run).toMatchObject({ status: 2, stdout: '' });
    expect(run.stderr).toContain('line 1 is not JSON');
  });
});

describe('key', () => {
  test('generate makes a private file once; show prints the same public part', async () => {
    const cwd = await tempDir();
    const env = { COUNTERSIGN_SIGNER_PASSPHRASE: 'correct horse battery staple' };
    const made = await countersign(['key', 'generate', '--algorithm', 'ecdsa-p256', '--json'], { cwd, env });
    expect(made).toMatchObject({ status: 0, stderr: '' });
    const file = path.join(cwd, 'online.key');
    expect(json(made)).toMatchObject({
      file,
      keyid: expect.stringMatching(/^[0-9a-f]{64}$/) as string,
      key: { keytype: 'ecdsa', scheme: 'ecdsa-sha2-nistp256' },
    });
    expect((await stat(file)).mode & 0o777).toBe(0o600);
    expect(JSON.stringify(made)).not.toContain('battery');

    const shown = await countersign(['key', 'show', '--json'], { cwd, env });
    expect(json(shown)).toEqual(json(made));
    const again = await countersign(['key', 'generate', '--json'], { cwd, env });
    expect(again.status).toBe(1);
    expect(json(again)).toMatchObject({ error: { code: 'file-exists' } });
    const wrong = await countersign(['key', 'show', '--json'], {
      cwd,
      env: { COUNTERSIGN_SIGNER_PASSPHRASE: 'x' },
    });
    expect(wrong.status).toBe(2);
    expect(json(wrong)).toMatchObject({ error: { code: 'secret-unreadable' } });
  });

  test('a passphrase file that others can read is refused with the command that mends it', async () => {
    const cwd = await tempDir();
    const file = path.join(cwd, 'online.passphrase');
    await writeFile(file, 'correct horse\n');
    await chmod(file, 0o640);
    const run = await countersign(['key', 'generate', '--passphrase-file', 'online.passphrase'], { cwd });
    expect(run).toMatchObject({ status: 2, stdout: '' });
    expect(run.stderr).toContain(
      `passphrase file ${file} is open to other users (mode 0640): run chmod 600 ${file}`,
    );
    await expect(stat(path.join(cwd, 'online.key'))).rejects.toThrow('ENOENT');
  });

  test('without a passphrase the message says where to put one', async () => {
    const run = await countersign(['key', 'generate'], { cwd: await tempDir() });
    expect(run.status).toBe(2);
    expect(run.stderr).toContain('set signer-passphrase to a file, or COUNTERSIGN_SIGNER_PASSPHRASE');
  });
});
