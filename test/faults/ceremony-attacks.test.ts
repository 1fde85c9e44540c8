// Attacks on a ceremony, by name. Whoever carries the folder can change every file in it; each change is refused, with
// a message that names the file and both values.
import { chmod, mkdir, readdir, rename, rm, symlink, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { FileKey, writeKeyFile } from '../../keys-ceremony/key-file.ts';
import { openHolderKey } from '../../keys-ceremony/open-key.ts';
import { signatureFileBytes } from '../../keys-ceremony/signature-file.ts';
import { sha256Hex } from '../../src/lib/bytes.ts';
import { parseBundle, verifyBundle } from '../../src/tuf/bundle.ts';
import {
  foundCeremony,
  heldKey,
  holdCeremony,
  planText,
  publicKeyFile,
  type Computer,
} from '../support/ceremony-people.ts';
import { testKey } from '../support/genesis-repository.ts';
import { tempDir } from '../support/temp-dir.ts';

/** A genesis of three holders, built and not yet signed. */
async function built(): Promise<{ office: Computer; phrase: string; dir: string }> {
  const dir = await tempDir();
  const office = await foundCeremony(join(dir, 'office'), 'genesis');
  await office.ask('one-time');
  const { phrase } = (await office.ask('build')) as { phrase: string };
  return { office, phrase, dir };
}

function sign(computer: Computer, holder: string, phrase: string): string[] {
  return ['sign', '--folder', computer.folder, '--key', holder, '--code', phrase];
}

async function signatureFiles({ folder }: Computer): Promise<string[]> {
  return (await readdir(join(folder, 'signatures'))).map((name) => `signatures/${name}`);
}

describe('what is signed', () => {
  test('swapped payload between build and sign', async () => {
    const { office, phrase } = await built();
    const payload = (await office.read('payload.json')).toString();
    await office.write('payload.json', payload.replace('"threshold":2', '"threshold":1'));
    const { code, message } = await office.refused(...sign(office, 'holder-1', phrase));
    expect(code).toBe('ceremony-mismatch');
    expect(message).toContain('payload.json is not what follows from the plan and the keys in this folder');
    expect(await readdir(office.folder)).not.toContain('signatures');
  });

  test('a holder key that was exchanged after build', async () => {
    const { office, phrase } = await built();
    const { keyid, publicKey } = await heldKey('mallory');
    const file = {
      format: 'countersign-public-key/1',
      name: 'holder-3',
      keyid,
      key: publicKey,
      made: 'file',
    };
    await office.write('holders/holder-3.pub.json', JSON.stringify(file));
    expect(await office.refused(...sign(office, 'holder-1', phrase))).toMatchObject({
      code: 'ceremony-mismatch',
      message: expect.stringContaining('it or a key was exchanged') as string,
    });
  });

  test('the phrase of another payload, a wrong word, too few words', async () => {
    const { office, phrase } = await built();
    const words = phrase.split(' ');
    const other = words[2] === 'amber' ? 'anchor' : 'amber';
    const wrong = words.with(2, other).join(' ');
    const { code, message } = await office.refused(...sign(office, 'holder-1', wrong));
    expect(code).toBe('code-wrong');
    expect(message).toContain(`word 3 was read out as "${other}"`);
    // The right word would defeat the second person.
    expect(message).not.toContain(words[2]);
    expect(await office.refused(...sign(office, 'holder-1', words.slice(1).join(' ')))).toMatchObject({
      code: 'code-wrong',
      message: 'the code has 7 words, expected 8',
    });
  });

  test('plan changed after the first signature', async () => {
    const { office, phrase } = await built();
    await office.ask(...sign(office, 'holder-1', phrase));
    const plan = planText('genesis').replace('threshold: 2', 'threshold: 1');
    await office.write('plan.yaml', plan);
    for (const command of [sign(office, 'holder-2', phrase), ['build'], ['bundle'], ['status']]) {
      expect(await office.refused(...command), command[0]).toMatchObject({
        code: 'ceremony-mismatch',
        message: expect.stringContaining(`this plan is ${sha256Hex(plan)}`) as string,
      });
    }
    // Even with everything made anew the signature stands in the way.
    await rm(join(office.folder, 'payload.json'));
    await rm(join(office.folder, 'one-time.json'));
    await office.ask('one-time');
    expect(await office.refused('build')).toMatchObject({
      code: 'ceremony-mismatch',
      message: expect.stringMatching(/^signatures\/root\.[0-9a-f]{64}\.json signs payload/) as string,
    });
  });

  test('one-time keys that signed something else', async () => {
    const { office } = await built();
    const text = (await office.read('one-time.json')).toString();
    await office.write('one-time.json', text.replace('"bit_length":2', '"bit_length":3'));
    expect(await office.refused('build')).toMatchObject({
      code: 'ceremony-mismatch',
      message: 'one-time.json signs another bins than the one that follows from the plan',
    });
  });
});

describe('signatures', () => {
  test('signature over another plan', async () => {
    const { office, dir } = await built();
    const other = await foundCeremony(join(dir, 'other'), 'other');
    await other.ask('one-time');
    const { phrase, sha256 } = (await other.ask('build')) as { phrase: string; sha256: string };
    await other.ask(...sign(other, 'holder-1', phrase));
    const [file = ''] = await signatureFiles(other);
    expect(await office.refused('merge', other.folder)).toMatchObject({ code: 'ceremony-mismatch' });
    const { status, stdout } = await office.run(['merge', join(other.folder, file), '--json']);
    expect(status).toBe(1);
    const { added, refused } = JSON.parse(stdout) as { added: unknown[]; refused: { problem: string }[] };
    expect(added).toEqual([]);
    expect(refused[0]?.problem).toContain(`${file} signs payload ${sha256}, this ceremony has payload`);
  });

  test('duplicate signatures of one key', async () => {
    const { office, phrase, dir } = await built();
    const copy = await office.copyTo(join(dir, 'copy'));
    await copy.ask(...sign(copy, 'holder-1', phrase));
    const [file = ''] = await signatureFiles(copy);
    const again = join(dir, 'again.json');
    await writeFile(again, await copy.read(file));
    const merged = await office.ask('merge', copy.folder, again, join(copy.folder, file));
    expect(merged).toMatchObject({ known: [file, file], progress: ['root: 1 of 3 keys has signed, 2 must'] });
    // The same bytes under the name of another key.
    const { keyid } = await heldKey('holder-2');
    await office.write(`signatures/root.${keyid}.json`, await copy.read(file));
    expect(await office.refused('bundle')).toMatchObject({
      code: 'ceremony-mismatch',
      message: expect.stringContaining(
        `signatures/root.${keyid}.json holds a signature of root by key`,
      ) as string,
    });
  });

  test('signature of a stranger, and forged in the name of a holder', async () => {
    const { office, dir } = await built();
    const payload = sha256Hex(await office.read('payload.json'));
    const stranger = await heldKey('mallory');
    const { keyid } = await heldKey('holder-1');
    const { sig } = await stranger.sign(Buffer.from('root'));
    const forged = { payload, role: 'root', version: 1, sig } as const;
    await writeFile(join(dir, 'a.json'), signatureFileBytes({ ...forged, keyid: stranger.keyid }));
    await writeFile(join(dir, 'b.json'), signatureFileBytes({ ...forged, keyid }));
    const { stdout, status } = await office.run([
      'merge',
      join(dir, 'a.json'),
      join(dir, 'b.json'),
      '--json',
    ]);
    expect(status).toBe(1);
    const { refused } = JSON.parse(stdout) as { refused: { problem: string }[] };
    expect(refused.map(({ problem }) => problem)).toEqual([
      `${join(dir, 'a.json')} is by key ${stranger.keyid}, which signs no root of this ceremony`,
      `${join(dir, 'b.json')} is not a signature of key ${keyid} over root 1`,
    ]);
    expect(await office.refused('sign', '--key', 'mallory', '--code', await phraseOf(office))).toMatchObject({
      code: 'key-mismatch',
    });
  });

  test('signing twice with the same key changes nothing', async () => {
    const { office, phrase } = await built();
    await office.ask(...sign(office, 'holder-1', phrase));
    const [file = ''] = await signatureFiles(office);
    const before = await office.read(file);
    expect(await office.ask(...sign(office, 'holder-1', phrase))).toMatchObject({
      signed: [{ state: 'there' }],
    });
    expect(await office.read(file)).toEqual(before);
    expect(await office.refused('bundle')).toMatchObject({
      code: 'ceremony-incomplete',
      message: 'signatures are missing: 1 more of holder-2, holder-3; root: 1 of 3 keys has signed, 2 must',
    });
  });
});

async function phraseOf(computer: Computer): Promise<string> {
  const { payload } = (await computer.ask('status')) as { payload: { phrase: string[] } };
  return payload.phrase.join(' ');
}

describe('keys', () => {
  test('two keys of one holder counted twice: one key under two names', async () => {
    const dir = await tempDir();
    const office = await foundCeremony(join(dir, 'office'), 'genesis');
    const { keyid, publicKey } = await heldKey('holder-1');
    const same = {
      format: 'countersign-public-key/1',
      name: 'holder-2',
      keyid,
      key: publicKey,
      made: 'file',
    };
    await office.write('holders/holder-2.pub.json', JSON.stringify(same));
    const { findings } = JSON.parse((await office.run(['plan', 'check', '--json'])).stdout) as {
      findings: { rule: string; message: string }[];
    };
    expect(findings).toContainEqual({
      rule: 'keys-distinct',
      severity: 'refuse',
      message: 'holders holder-1 and holder-2 have the same key',
    });
    expect((await office.refused('one-time')).code).toBe('plan-refused');
  });

  test("a holder's key file in the place of another's", async () => {
    const dir = await tempDir();
    const office = await foundCeremony(join(dir, 'office'), 'genesis');
    await office.write('holders/holder-2.pub.json', await publicKeyFile('holder-1'));
    expect(await office.refused('build')).toMatchObject({
      code: 'ceremony-mismatch',
      message: 'holders/holder-2.pub.json is the key of holder-1, but the plan gives it to holder-2',
    });
  });

  test('two keys of one holder counted twice: both on one token', async () => {
    const dir = await tempDir();
    const office = await foundCeremony(join(dir, 'office'), 'genesis');
    for (const name of ['holder-1', 'holder-2']) {
      const { keyid, publicKey } = await heldKey(name);
      const file = {
        format: 'countersign-public-key/1',
        name,
        keyid,
        key: publicKey,
        made: 'token',
        serial: '42',
      };
      await office.write(`holders/${name}.pub.json`, JSON.stringify(file));
    }
    expect((await office.run(['plan', 'check'])).stdout).toContain(
      'warning one-holder-two-keys: holder-1 and holder-2 are on one token, 42',
    );
  });

  test('the online key as a root key', async () => {
    const dir = await tempDir();
    const office = await foundCeremony(join(dir, 'office'), 'genesis', { online: ['holder-3'] });
    expect((await office.refused('one-time')).message).toContain('role-separation: key ');
  });
});

describe('what was before', () => {
  test('replayed old root', { timeout: 30_000 }, async () => {
    const dir = await tempDir();
    const first = await holdCeremony(join(dir, 'first'), 'first', ['holder-1', 'holder-2']);
    const second = await holdCeremony(
      join(dir, 'second'),
      'second',
      ['holder-1', 'holder-2'],
      { kind: 'update', day: 100 },
      await first.read('bundle.json'),
    );
    const { roots } = await verifyBundle(parseBundle(await second.read('bundle.json')), second.now);
    const published = join(dir, '2.root.json');
    await writeFile(published, roots[1]?.bytes ?? '');
    const replayed = await foundCeremony(
      join(dir, 'third'),
      'third',
      { kind: 'update', day: 200 },
      await first.read('bundle.json'),
    );
    await replayed.ask('one-time');
    expect(await replayed.refused('build', '--published-root', published)).toMatchObject({
      code: 'ceremony-mismatch',
      message: 'root 2 is published, but previous.json ends with root 1',
    });
    // The root of that time proves nothing.
    const old = join(dir, '1.root.json');
    await writeFile(old, roots[0]?.bytes ?? '');
    const third = await foundCeremony(
      join(dir, 'newest'),
      'third',
      { kind: 'update', day: 200 },
      await second.read('bundle.json'),
    );
    await third.ask('one-time');
    expect(await third.refused('build', '--published-root', old)).toMatchObject({
      code: 'ceremony-mismatch',
      message: expect.stringContaining(
        'previous.json ends with root 2: bring the newest root.json',
      ) as string,
    });
    const built = await third.run(['build', '--published-root', published]);
    expect(built.stdout).toContain('root 2 is the published one, and previous.json ends with it\n');
    await replayed.write('previous.json', await second.read('bundle.json'));
    expect(await replayed.refused('build', '--published-root', published)).toMatchObject({
      code: 'ceremony-mismatch',
      message: expect.stringContaining('one-time.json was made from previous bundle') as string,
    });
  });

  test('a hostile bundle: truncated, altered, of another repository, none', async () => {
    const dir = await tempDir();
    const first = await holdCeremony(join(dir, 'first'), 'first', ['holder-1', 'holder-2']);
    const bundle = await first.read('bundle.json');
    const next = await foundCeremony(join(dir, 'next'), 'next', { kind: 'update', day: 100 }, bundle);
    for (const [hostile, reason] of [
      [bundle.subarray(0, -100), /previous\.json: .*byte \d+/],
      [
        Buffer.from(bundle.toString().replace('"threshold":2', '"threshold":1')),
        /role root is signed by 0 of/,
      ],
      [Buffer.from('{}'), /previous\.json: bundle\.format is absent/],
      [Buffer.alloc(33 * 1024 * 1024, 0x20), /has \d+ bytes, at most 33554432 are read/],
    ] as const) {
      await next.write('previous.json', hostile);
      const { code, message } = await next.refused('plan', 'check');
      expect(code).toBe('ceremony-file-invalid');
      expect(message).toMatch(reason);
    }
    await rm(join(next.folder, 'previous.json'));
    expect(await next.refused('plan', 'check')).toMatchObject({ code: 'ceremony-file-missing' });
    await next.write('plan.yaml', planText('again'));
    await next.write('previous.json', bundle);
    expect(await next.refused('plan', 'check')).toMatchObject({
      code: 'ceremony-mismatch',
      message: expect.stringContaining('a repository has one genesis only') as string,
    });
  });
});

describe('files', () => {
  test('tampered transcript', async () => {
    const { office, phrase } = await built();
    const lines = (await office.read('transcript.ndjson')).toString().split('\n');
    const [first = '', second = ''] = lines;
    const changes: [string, string[]][] = [
      ['changed', [first, second.replace('targets', 'bins'), ...lines.slice(2)]],
      ['removed', [first, ...lines.slice(2)]],
      ['exchanged', [first, ...lines.slice(2, 3), second, ...lines.slice(3)]],
    ];
    for (const [change, tampered] of changes) {
      await office.write('transcript.ndjson', tampered.join('\n'));
      for (const command of [
        ['transcript', 'verify'],
        ['status'],
        ['build'],
        sign(office, 'holder-1', phrase),
        ['transcript', 'sign', '--key', 'holder-1'],
      ]) {
        expect(await office.refused(...command), `${change}: ${command.join(' ')}`).toMatchObject({
          code: 'transcript-invalid',
          message: expect.stringMatching(
            /line \d of the transcript follows a line with SHA-256 [0-9a-f]{64}, the line before it has [0-9a-f]{64}/,
          ) as string,
        });
      }
      expect(await readdir(office.folder)).not.toContain('signatures');
    }
  });

  test.each([0o440, 0o404, 0o660])('key file with group-readable permissions: %o', async (mode) => {
    const { office, phrase, dir } = await built();
    const file = join(dir, 'holder-1.key');
    const key = await FileKey.of((await testKey('held by holder-1')).privateKey());
    await writeKeyFile(file, key, 'seven words that nobody would ever guess', 10);
    office.openKey = openHolderKey;
    await chmod(file, mode);
    // Nobody is asked for a passphrase.
    expect(await office.refused(...sign(office, file, phrase))).toMatchObject({
      code: 'secret-unreadable',
      message: `key file ${file} is open to other users (mode 0${mode.toString(8)}); run "chmod 600 ${file}"`,
    });
    expect(await readdir(office.folder)).not.toContain('signatures');
    await chmod(file, 0o400);
    const answer = { question: 'Passphrase', answer: 'seven words that nobody would ever guess' };
    expect((await office.run(sign(office, file, phrase), [answer])).status).toBe(0);
  });

  test('symbolic link as output', async () => {
    const { office, phrase, dir } = await built();
    const victim = join(dir, 'victim');
    await writeFile(victim, 'mine');
    await mkdir(join(office.folder, 'signatures'));
    const { keyid } = await heldKey('holder-1');
    await symlink(victim, join(office.folder, `signatures/root.${keyid}.json`));
    expect((await office.refused(...sign(office, 'holder-1', phrase))).message).toContain(
      'is a symbolic link',
    );
    await rm(join(office.folder, 'signatures'), { recursive: true });
    await symlink(dir, join(office.folder, 'signatures'));
    expect(await office.refused(...sign(office, 'holder-1', phrase))).toMatchObject({
      code: 'ceremony-file-invalid',
      message: expect.stringContaining('signatures is a symbolic link, expected a folder') as string,
    });
    await rm(join(office.folder, 'signatures'));
    for (const holder of ['holder-1', 'holder-2']) await office.ask(...sign(office, holder, phrase));
    await symlink(victim, join(office.folder, 'bundle.json'));
    expect((await office.refused('bundle')).code).toBe('ceremony-file-invalid');
    expect(await readdir(dir)).toEqual(['office', 'victim']);
  });

  test.each(['plan.yaml', 'one-time.json', 'payload.json', 'holders/holder-1.pub.json', 'online-1.pub.json'])(
    'a symbolic link as input: %s',
    async (name) => {
      const { office, phrase, dir } = await built();
      await rename(join(office.folder, name), join(dir, 'elsewhere'));
      await symlink(join(dir, 'elsewhere'), join(office.folder, name));
      const { code, message } = await office.refused(...sign(office, 'holder-1', phrase));
      expect(code).toBe('ceremony-file-invalid');
      expect(message).toContain(`${name} is a symbolic link, expected a file`);
    },
  );

  test.each(['plan.yaml', 'one-time.json', 'payload.json', 'holders/holder-1.pub.json', 'online-1.pub.json'])(
    'a truncated and an endless %s',
    async (name) => {
      const { office, phrase } = await built();
      const whole = await office.read(name);
      for (const length of [0, 10, whole.length - 2]) {
        await office.write(name, whole.subarray(0, length));
        expect((await office.refused(...sign(office, 'holder-1', phrase))).code).toMatch(
          /^(?:plan-invalid|ceremony-file-invalid|ceremony-mismatch)$/,
        );
      }
      await chmod(join(office.folder, name), 0o644);
      // Sparse: costs no disk, and would cost memory if it were read.
      await truncate(join(office.folder, name), 2 ** 40);
      const { code, message } = await office.refused(...sign(office, 'holder-1', phrase));
      expect(code).toBe('ceremony-file-invalid');
      expect(message).toMatch(/has 1099511627776 bytes, at most \d+ are read/);
    },
  );

  test('an aborted ceremony does nothing more', async () => {
    const { office, phrase } = await built();
    await office.ask('abort', '--reason', 'the other computer showed other words');
    for (const command of [
      ['plan', 'check'],
      ['plan', 'show'],
      ['one-time'],
      ['build'],
      sign(office, 'holder-1', phrase),
      ['merge', office.folder],
      ['verify'],
      ['bundle'],
      ['status'],
      ['abort', '--reason', 'again'],
    ]) {
      expect(await office.refused(...command), command[0]).toMatchObject({
        code: 'ceremony-aborted',
        message: expect.stringContaining('the other computer showed other words') as string,
      });
    }
  });
});
