// What tired people and worn-out sticks do to a ceremony: a mistyped name, a medium that is not mounted, a file of another
// ceremony, a copy that ended too early. Each makes no difference, or is refused with what to do about it.
import { execFileSync } from 'node:child_process';
import { cp, mkdir, open, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, onTestFinished, test, vi } from 'vitest';
import { FileKey, openKeyFile, writeKeyFile } from '../../keys-ceremony/key-file.ts';
import { newKeyFile } from '../../keys-ceremony/key-file-places.ts';
import { mediumWarning } from '../../keys-ceremony/medium.ts';
import { makePassphrase } from '../../keys-ceremony/passphrase-choice.ts';
import { CTRL_C, ScriptedTerminal } from '../../keys-ceremony/terminal-scripted.ts';
import { runInProcess } from '../support/cli-command.ts';
import { foundCeremony, holdCeremony } from '../support/ceremony-people.ts';
import { fakeTransit } from '../support/fake-transit.ts';
import { heldCeremony, type HeldCeremony } from '../support/held-ceremony.ts';
import { tempDir } from '../support/temp-dir.ts';

/** Runs a command that must be refused: code and message. */
async function refused(
  held: HeldCeremony,
  args: readonly string[],
  folder = held.folder,
): Promise<{ code: string; message: string }> {
  const { status, stdout } = await held.run([...args, '--json'], [], folder);
  expect(status, stdout).not.toBe(0);
  return (JSON.parse(stdout) as { error: { code: string; message: string } }).error;
}

async function ok(held: HeldCeremony, args: readonly string[], folder = held.folder): Promise<string> {
  const { status, stdout, stderr } = await held.run(args, [], folder);
  expect(status, stderr).toBe(0);
  return stdout;
}

/** Takes the last line of the transcript away, as if it had never been written. */
async function loseLine(folder: string): Promise<void> {
  const file = join(folder, 'transcript.ndjson');
  const lines = (await readFile(file, 'utf8')).trimEnd().split('\n');
  await writeFile(file, `${lines.slice(0, -1).join('\n')}\n`);
}

async function lastStep(folder: string): Promise<Record<string, unknown>> {
  const lines = (await readFile(join(folder, 'transcript.ndjson'), 'utf8')).trimEnd().split('\n');
  return JSON.parse(lines.at(-1) ?? '{}') as Record<string, unknown>;
}

async function phraseOf(held: HeldCeremony): Promise<string> {
  const { payload } = JSON.parse(await ok(held, ['status', '--json'])) as { payload: { phrase: string[] } };
  return payload.phrase.join(' ');
}

test('the public key of a service whose key is in Vault is what "key show --json" prints', async () => {
  const service = await fakeTransit(1);
  const dir = await tempDir();
  const uri = `vault:transit/online?address=${service.address}&version=1`;
  const shown = await runInProcess(dir, { VAULT_TOKEN: 't' }, ['key', 'show', '--signer', uri, '--json']);
  expect(shown).toMatchObject({ status: 0 });
  const office = await foundCeremony(join(dir, 'office'), 'genesis');
  await office.write('online-1.pub.json', shown.out);
  const { findings } = await office.ask('plan', 'check');
  expect(findings).toEqual([]);
});

test('abort in a folder with a mistyped name aborts nothing, and says so', async () => {
  const held = await heldCeremony(await tempDir());
  const place = await tempDir();
  for (const folder of [join(place, '2027-renwal'), place]) {
    const { code, message } = await refused(held, ['abort', '--reason', 'x', '--folder', folder]);
    expect(code).toBe('ceremony-file-missing');
    expect(message).toContain(`nothing is aborted: ${folder} is not the folder of a ceremony`);
  }
  expect(await readdir(place)).toEqual([]);
  // A plan that nobody can read is a reason to abort.
  await rm(join(held.folder, 'plan.yaml'));
  await symlink('/etc/hostname', join(held.folder, 'plan.yaml'));
  await ok(held, ['abort', '--reason', 'the plan was exchanged']);
});

test.each([['--online'], ['--everything']])('export %s makes no folder for a medium', async (what) => {
  const held = await heldCeremony(await tempDir());
  const media = await tempDir();
  const { code, message } = await refused(held, ['export', what, '--to', join(media, 'backup', 'trial')]);
  expect(code).toBe('file-unwritable');
  expect(message).toContain(`${join(media, 'backup')} is not there: put the medium in and mount it`);
  expect(await readdir(media)).toEqual([]);
});

test('two online keys in files of one name are both exported', async () => {
  const office = await holdCeremony(join(await tempDir(), 'first'), 'first', ['holder-1', 'holder-2'], {
    online: ['online-1', 'online-2'],
  });
  await mkdir(join(office.folder, 'new'));
  await cp(join(office.folder, 'online-2.pub.json'), join(office.folder, 'new/online-1.pub.json'));
  const plan = (await office.read('plan.yaml')).toString();
  await rm(join(office.folder, 'signatures'), { recursive: true });
  for (const name of ['one-time.json', 'payload.json', 'bundle.json']) await rm(join(office.folder, name));
  await office.write('plan.yaml', plan.replace('online-2.pub.json', 'new/online-1.pub.json'));
  await office.ask('one-time');
  const { phrase } = (await office.ask('build')) as { phrase: string };
  for (const name of ['holder-1', 'holder-2']) await office.ask('sign', '--key', name, '--code', phrase);
  await office.ask('bundle');
  const { files } = await office.ask('export', '--online', '--to', '../online');
  expect(files).toEqual(['bundle.json', 'online-1.pub.json', 'new-online-1.pub.json', 'SHA256SUMS']);
});

test('the bundle of another ceremony is neither recorded nor exported', async () => {
  const held = await heldCeremony(await tempDir());
  const other = await holdCeremony(join(await tempDir(), 'other'), 'other', ['holder-1', 'holder-2']);
  await rm(join(held.folder, 'bundle.json'));
  await writeFile(join(held.folder, 'bundle.json'), await other.read('bundle.json'));
  for (const args of [['status'], ['record'], ['export', '--online', '--to', '../online']]) {
    const { code, message } = await refused(held, args);
    expect(code, args[0]).toBe('ceremony-mismatch');
    expect(message).toContain('root 1 in bundle.json is not the one that this ceremony makes');
  }
  expect(await readdir(held.folder)).not.toContain('record.txt');
  await rm(join(held.folder, 'bundle.json'));
  await ok(held, ['bundle']);
  await ok(held, ['record']);

  // Of the same repository, from the year before: root, targets and bins of then.
  const renewal = await holdCeremony(
    join(await tempDir(), 'renewal'),
    'renewal',
    ['holder-1', 'holder-2'],
    { kind: 'update', day: 300 },
    await other.read('bundle.json'),
  );
  await renewal.write('bundle.json', await other.read('bundle.json'));
  expect(await renewal.refused('record')).toMatchObject({
    code: 'ceremony-mismatch',
    message: expect.stringContaining('targets in bundle.json is not the one') as string,
  });
});

test('transcripts are not taken over from a place that has none', async () => {
  const held = await heldCeremony(await tempDir());
  const { code, message } = await refused(held, ['transcript', 'merge', '../secnd']);
  expect(code).toBe('ceremony-file-missing');
  expect(message).toContain('secnd has no transcript: give the folder of the ceremony');
});

test('what file managers leave beside the signatures is not looked at', async () => {
  const held = await heldCeremony(await tempDir());
  const second = join(await tempDir(), 'second');
  await cp(held.folder, second, { recursive: true });
  await ok(held, ['transcript', 'sign', '--key', 'holder-1'], second);
  const [name = ''] = await readdir(join(second, 'attestations'));
  await writeFile(join(second, 'attestations', `._${name}`), Buffer.from('000516070002', 'hex'));
  expect(await ok(held, ['transcript', 'merge', second])).toContain(`added attestations/${name}\n`);
  const stick = await tempDir();
  await cp(join(held.folder, 'signatures'), join(stick, 'signatures'), { recursive: true });
  await writeFile(join(stick, 'signatures/._root.json'), Buffer.from('000516070002', 'hex'));
  expect((await held.run(['merge', stick])).status).toBe(0);
});

test('a transcript that was copied to the half can be signed under', async () => {
  const held = await heldCeremony(await tempDir());
  const file = join(held.folder, 'transcript.ndjson');
  // The power went out while the folder went to the stick, and what is on the stick is all there is.
  await writeFile(file, (await readFile(file)).subarray(0, -20));
  const back = join(await tempDir(), 'back');
  await cp(held.folder, back, { recursive: true });
  await ok(held, ['verify'], back);
  expect(await ok(held, ['transcript', 'sign', '--key', 'holder-1'], back)).toContain(
    'signed the transcripts',
  );
  expect(await ok(held, ['transcript', 'verify'], back)).toMatch(
    /bytes of a line that was cut off[\s\S]*signed by holder-1/,
  );
});

test('a record that could not be finished is made when the command is repeated', async () => {
  const held = await heldCeremony(await tempDir());
  // No room for the page: the refusal goes into the transcript, which the record names.
  await mkdir(join(held.folder, 'record.html'));
  expect((await held.run(['record'])).status).not.toBe(0);
  expect(await readdir(held.folder)).not.toContain('record.txt');
  await rm(join(held.folder, 'record.html'), { recursive: true });
  const written = await ok(held, ['record']);
  expect(written).toMatch(/^wrote record\.txt .*\nwrote record\.html /);

  // Killed before the line about it.
  const step = await lastStep(held.folder);
  expect(step).toMatchObject({ step: 'recorded' });
  await loseLine(held.folder);
  expect(await ok(held, ['record'])).toBe(written.replaceAll('wrote', 'same'));
  expect(await lastStep(held.folder)).toMatchObject({ step: 'recorded', text: step['text'] });
});

test('a line that is missing after merge or transcript sign is written by the repeated command', async () => {
  const held = await heldCeremony(await tempDir());
  const stick = join(await tempDir(), 'stick');
  await cp(join(held.folder, 'signatures'), stick, { recursive: true });
  // The signatures came by the copy of a folder, without its transcript.
  await rm(join(held.folder, 'transcript.ndjson'));
  expect(await ok(held, ['merge', stick])).toContain('had signatures/root.');
  expect(await lastStep(held.folder)).toMatchObject({ step: 'merged' });
  const lines = await readFile(join(held.folder, 'transcript.ndjson'), 'utf8');
  await ok(held, ['merge', stick]);
  expect(await readFile(join(held.folder, 'transcript.ndjson'), 'utf8')).toBe(lines);

  const sign = ['transcript', 'sign', '--key', 'holder-1'];
  await ok(held, sign);
  const step = await lastStep(held.folder);
  await loseLine(held.folder);
  expect(await ok(held, sign)).toContain('had signed');
  expect(await lastStep(held.folder)).toEqual(step);
});

test('the record is not compared with a repository that is not there', async () => {
  const held = await heldCeremony(await tempDir());
  await ok(held, ['record']);
  const { code, message } = await refused(held, ['record', 'verify', '.', '--repository', '../repositry']);
  expect(code).toBe('ceremony-file-missing');
  expect(message).toMatch(/^there is no folder .*repositry$/);
});

test.each(['scan of the board.jpg', 'a\u001b[2J', 'Prüfung.txt', 'a\nb'])(
  'a file in the folder that is called %j is named, with the way out',
  async (name) => {
    const held = await heldCeremony(await tempDir());
    await writeFile(join(held.folder, name), 'x');
    for (const args of [['record'], ['export', '--everything', '--to', '../all']]) {
      const { code, message } = await refused(held, args);
      expect(code).toBe('ceremony-file-invalid');
      expect(message).toContain('give it another one, or take it out of the folder');
    }
    await rm(join(held.folder, name));
    await ok(held, ['record']);
  },
);

test('a pipe in the place of a lock is named, and not waited for', async () => {
  const held = await heldCeremony(await tempDir());
  execFileSync('mkfifo', [join(held.folder, 'transcript.ndjson.lock')]);
  const { code, message } = await refused(held, ['plan', 'check']);
  expect(code).toBe('ceremony-file-invalid');
  expect(message).toContain('transcript.ndjson.lock is not a regular file');
});

test('a folder that cannot be read is no fault of the program', async () => {
  const held = await heldCeremony(await tempDir());
  const place = await tempDir();
  await symlink('loop', join(place, 'loop'));
  const { code, message } = await refused(held, ['transcript', 'merge', join(place, 'loop/trial')]);
  expect(code).toBe('ceremony-file-invalid');
  expect(message).toContain('cannot be read: ELOOP');
});

test('a stick that cannot keep a file private is found out before anybody writes a passphrase down', async () => {
  const stick = await tempDir();
  const ceremony = await tempDir();
  const handle = await open(stick, 'r');
  const files = Object.getPrototypeOf(handle) as { stat: () => Promise<{ mode: number }> };
  await handle.close();
  // As the FAT file system answers, whatever mode was asked for.
  const fat = vi.spyOn(files, 'stat').mockResolvedValue({ mode: 0o100755 });
  onTestFinished(() => {
    fat.mockRestore();
  });
  await expect(newKeyFile(stick, 'holder-1', ceremony)).rejects.toMatchObject({
    code: 'usage',
    message: expect.stringMatching(
      /open to other users \(mode 0755\).*mount it with "-o umask=077"/,
    ) as string,
  });
  fat.mockRestore();
  expect(await newKeyFile(stick, 'holder-1', ceremony)).toBe(join(stick, 'holder-1.key'));
  expect(await readdir(stick)).toEqual([]);
});

test('a key file without its public part says how to get it', async () => {
  const stick = await tempDir();
  const file = join(stick, 'holder-1.key');
  await writeFile(file, 'x');
  await expect(newKeyFile(stick, 'holder-1', await tempDir())).rejects.toMatchObject({
    code: 'file-exists',
    message: expect.stringContaining(`"key show ${file} --name holder-1" writes its public part`) as string,
  });
});

test('words of the program open their file as they were confirmed: with capitals, dashes and blanks', async () => {
  let draw = 0;
  const random = (bytes: number): Buffer => Buffer.from(Array.from({ length: bytes }, () => (draw += 1)));
  const words = makePassphrase(random);
  const key = await FileKey.generate('ed25519', random);
  const file = join(await tempDir(), 'holder-1.key');
  await writeKeyFile(file, key, words, 10);
  for (const typed of [words.toUpperCase(), words.replaceAll(' ', '-'), ` ${words.replaceAll(' ', '  ')} `]) {
    const terminal = new ScriptedTerminal([{ question: 'Passphrase of holder-1.key', answer: typed }]);
    expect((await openKeyFile(file, terminal)).keyid).toBe(key.keyid);
  }
  // One's own is what was typed, and nothing else.
  const own = join(await tempDir(), 'own.key');
  await writeKeyFile(own, key, words.replaceAll(' ', '-').toUpperCase(), 10);
  const three = Array.from({ length: 3 }, () => ({ question: 'Passphrase', answer: words }));
  await expect(openKeyFile(own, new ScriptedTerminal(three))).rejects.toMatchObject({
    code: 'secret-unreadable',
  });
});

test('everybody who is present has a place to sign the record', async () => {
  const holders = Array.from({ length: 30 }, (_, index) => `holder-${index + 1}`);
  const office = await holdCeremony(join(await tempDir(), 'large'), 'large', ['holder-7', 'holder-30'], {
    holders,
  });
  await office.ask('record');
  // Leader, second reader and witness besides.
  expect((await office.read('record.txt')).toString().match(/^name ___/gm)).toHaveLength(33);
  expect((await office.read('record.html')).toString().match(/class="present"/g)).toHaveLength(33);
});

test('a folder that is on the computer itself, and not on a medium, is said before anything is written', async () => {
  const held = await heldCeremony(await tempDir());
  const place = await tempDir();
  const exported = await held.run(['export', '--online', '--to', join(place, 'trial')]);
  expect(exported.status).toBe(0);
  expect(exported.stderr).toContain(`warning: ${place} is on this computer itself, not on a medium`);
  const generate = await held.run(
    ['key', 'generate', '--name', 'holder-9', '--out', place],
    [{ question: 'Number or name', answer: CTRL_C }],
  );
  expect(generate.stderr).toContain(`warning: ${place} is on this computer itself, not on a medium`);
  // A file system of its own.
  expect(await mediumWarning('/proc', held.folder)).toBeUndefined();
});

test('a key of another ceremony is refused with the digits on the right bags', async () => {
  const held = await heldCeremony(await tempDir());
  const bag = held.keys.get('holder-3')?.keyid.slice(0, 8) ?? '';
  for (const command of [
    ['sign', '--code', await phraseOf(held)],
    ['transcript', 'sign'],
  ]) {
    const { code, message } = await refused(held, [...command, '--key', 'online']);
    expect(code).toBe('key-mismatch');
    expect(message).toContain(bag);
  }
});

test('signatures are not taken over from a copy of the folder in which the ceremony was aborted', async () => {
  const dir = await tempDir();
  const office = await foundCeremony(join(dir, 'office'), 'genesis');
  await office.ask('one-time');
  const { phrase } = (await office.ask('build')) as { phrase: string };
  const elsewhere = await office.copyTo(join(dir, 'elsewhere'));
  await elsewhere.ask('sign', '--key', 'holder-1', '--code', phrase);
  await elsewhere.ask('abort', '--reason', 'somebody else had the stick over night');
  const { code, message } = await office.refused('merge', elsewhere.folder);
  expect(code).toBe('ceremony-aborted');
  expect(message).toContain('elsewhere was aborted: somebody else had the stick over night');
  expect(await readdir(office.folder)).not.toContain('signatures');
});
