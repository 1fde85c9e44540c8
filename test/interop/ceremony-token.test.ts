// Holders' keys where other programs have a say: on a token (SoftHSM), and in a file that the tool `age` opens.
import { createPrivateKey, createPublicKey } from 'node:crypto';
import { mkdir, mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { Writable } from 'node:stream';
import { spawn } from '@lydell/node-pty';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { FileKey, writeKeyFile } from '../../keys-ceremony/key-file.ts';
import { openHolderKey } from '../../keys-ceremony/open-key.ts';
import { runCeremony } from '../../keys-ceremony/program.ts';
import { parseHolderPublicKey } from '../../keys-ceremony/public-key-file.ts';
import { ScriptedTerminal, type ScriptedAnswer } from '../../keys-ceremony/terminal-scripted.ts';
import { installAge } from '../../scripts/interop/age.ts';
import { PIN, softHsm, startSoftHsm, type SoftHsm } from '../../scripts/interop/softhsm-tokens.ts';
import { listTokens } from '../../src/signing/pkcs11/tokens.ts';
import { keyId, parsePublicKey, publicKeyOf } from '../../src/tuf/keys.ts';
import { CEREMONY_DAY, cleanMachine } from '../support/ceremony-machine.ts';
import { foundCeremony } from '../support/ceremony-people.ts';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'countersign-'));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

function screen(...answers: [question: string, answer: string][]): ScriptedTerminal {
  return new ScriptedTerminal(answers.map(([question, answer]): ScriptedAnswer => ({ question, answer })));
}

async function run(terminal: ScriptedTerminal, ...args: readonly string[]) {
  let [stdout, stderr] = ['', ''];
  const into = (take: (text: string) => void): Writable =>
    new Writable({
      write: (chunk: Buffer, _encoding, done) => {
        take(chunk.toString());
        done();
      },
    });
  const status = await runCeremony(args, {
    cwd: folder,
    stdout: into((text) => (stdout += text)),
    stderr: into((text) => (stderr += text)),
    clock: { now: () => CEREMONY_DAY, sleep: () => Promise.resolve() },
    random: (bytes) => Buffer.alloc(bytes, 3),
    machine: cleanMachine({ realpath: () => Promise.resolve('/dev/shm/c') }),
    openKey: openHolderKey,
    terminal,
  });
  return { status, stdout, stderr };
}

describe.skipIf(softHsm.program === undefined)(`a token of ${softHsm.name} ${softHsm.reason}`, () => {
  let hsm: SoftHsm;
  let serial: string;
  beforeEach(async () => {
    hsm = await startSoftHsm();
    await hsm.initialize('holder');
    serial = (await listTokens(hsm.modulePath))[0]?.serial ?? '';
  });

  const uri = (object: string): string =>
    `pkcs11:serial=${serial};object=${object}?module-path=${hsm.modulePath}`;

  test.each(['ed25519', 'p256'] as const)(
    'holds a root key (%s) that is made, shown and signs a root',
    async (algorithm) => {
      const ceremony = path.join(folder, 'ceremony');
      const office = await foundCeremony(ceremony, 'genesis', { holders: ['holder-1', 'holder-2'] });
      await rm(path.join(ceremony, 'holders/holder-1.pub.json'));
      const made = await run(
        screen([`PIN of token ${serial}`, PIN]),
        ...['key', 'generate', '--name', 'holder-1', '--token', uri('root'), '--algorithm', algorithm],
        ...['--folder', 'ceremony'],
      );
      expect(made).toMatchObject({ status: 0 });
      const holder = parseHolderPublicKey(
        await readFile(path.join(ceremony, 'holders/holder-1.pub.json')),
        'it',
      );
      expect(holder).toMatchObject({ name: 'holder-1', made: 'token', serial });
      expect(holder.key.keytype).toBe(algorithm === 'ed25519' ? 'ed25519' : 'ecdsa');
      const shown = await run(
        screen(['PIN', PIN]),
        'key',
        'show',
        uri('root'),
        '--json',
        '--folder',
        'ceremony',
      );
      expect(JSON.parse(shown.stdout)).toMatchObject({ keyid: holder.keyid, serial });

      await office.ask('one-time');
      const { phrase } = (await office.ask('build')) as { phrase: string };
      const signing = screen(['PIN of token', PIN]);
      const signed = await run(
        signing,
        'sign',
        '--folder',
        'ceremony',
        '--key',
        uri('root'),
        '--code',
        phrase,
      );
      expect(signed).toMatchObject({ status: 0, stdout: expect.stringContaining(holder.keyid) as unknown });
      await office.ask('sign', '--key', 'holder-2', '--code', phrase);
      await office.ask('verify');
      await office.ask('bundle');
      const { roots } = JSON.parse((await office.read('bundle.json')).toString()) as {
        roots: { signatures: { keyid: string }[] }[];
      };
      expect(roots[0]?.signatures.map(({ keyid }) => keyid)).toContain(holder.keyid);
      for (const text of [made.stdout, signed.stdout, signed.stderr, signing.shown.join('\n')]) {
        expect(text).not.toContain(PIN);
      }
    },
  );

  test('a wrong PIN is offered once, and the next person is told', async () => {
    await run(screen(['PIN', PIN]), 'key', 'generate', '--name', 'holder-1', '--token', uri('root'));
    const wrong = screen(['PIN', '99999999'], ['PIN', PIN]);
    const refused = await run(wrong, 'key', 'show', uri('root'));
    expect(refused).toMatchObject({
      status: 2,
      stderr: expect.stringContaining('not tried again') as unknown,
    });
    expect(wrong.left).toHaveLength(1);
    const right = screen(['PIN', PIN]);
    expect((await run(right, 'key', 'show', uri('root'))).status).toBe(0);
    expect(right.shown.join('\n')).toContain('at least one try is used up');
  });

  test('an absent token, and another key with the same label, are refused before the PIN', async () => {
    const absent = await run(screen(), 'key', 'show', uri('root').replace(serial, '0000'));
    expect(absent).toMatchObject({
      status: 3,
      stderr: expect.stringContaining(`serial ${serial}`) as unknown,
    });
    await run(screen(['PIN', PIN]), 'key', 'generate', '--name', 'holder-1', '--token', uri('root'));
    const again = await run(screen(), 'key', 'generate', '--name', 'holder-1', '--token', uri('root'));
    expect(again).toMatchObject({
      status: 1,
      stderr: expect.stringContaining('holder-1 has a key') as unknown,
    });
    const other = await run(
      screen(['PIN', PIN]),
      'key',
      'generate',
      '--name',
      'holder-2',
      '--token',
      uri('root'),
    );
    expect(other).toMatchObject({ status: 1, stderr: expect.stringContaining('not replaced') as unknown });
    expect(await readdir(path.join(folder, 'holders'))).toEqual(['holder-1.pub.json']);
  });
});

const age = await installAge();

describe.skipIf(age.program === undefined)(`${age.name} ${age.reason}`, () => {
  test.each(['ed25519', 'p256'] as const)('opens a key file (%s) at work factor 18', async (algorithm) => {
    const key = await FileKey.generate(algorithm, (bytes) => crypto.getRandomValues(new Uint8Array(bytes)));
    await mkdir(path.join(folder, 'stick'));
    const passphrase = 'tango Whisky 41 lattice / obsolete marmot % quill';
    await writeKeyFile(path.join(folder, 'stick/holder-1.key'), key, passphrase);
    const pty = spawn(age.program ?? '', ['-d', '-o', 'opened.pem', 'stick/holder-1.key'], { cwd: folder });
    let asked = false;
    pty.onData((text) => {
      if (asked || !text.includes('passphrase')) return;
      asked = true;
      pty.write(`${passphrase}\n`);
    });
    const status = await new Promise((resolve) => {
      pty.onExit(({ exitCode }) => {
        resolve(exitCode);
      });
    });
    expect(status).toBe(0);
    const opened = createPrivateKey(await readFile(path.join(folder, 'opened.pem')));
    expect(keyId(publicKeyOf(createPublicKey(opened)))).toBe(key.keyid);
    const { sig } = await key.sign(Buffer.from('root'));
    expect(await parsePublicKey(key.publicKey).verify(Buffer.from('root'), Buffer.from(sig, 'hex'))).toBe(
      true,
    );
  });
});
