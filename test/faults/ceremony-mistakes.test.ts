// What tired people and worn-out sticks do to a ceremony: a mistyped name, a medium that is not mounted, a file of another
// ceremony, a copy that ended too early. Each makes no difference, or is refused with what to do about it.
import { cp, mkdir, readdir, rm, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
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

test('a folder that cannot be read is no fault of the program', async () => {
  const held = await heldCeremony(await tempDir());
  const place = await tempDir();
  await symlink('loop', join(place, 'loop'));
  const { code, message } = await refused(held, ['transcript', 'merge', join(place, 'loop/trial')]);
  expect(code).toBe('ceremony-file-invalid');
  expect(message).toContain('cannot be read: ELOOP');
});
