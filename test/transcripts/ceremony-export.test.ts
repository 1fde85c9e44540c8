// What leaves a ceremony: one encrypted archive with everything, and a folder with what the service needs.
import { mkdir, readdir, readFile, stat, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Decrypter, Encrypter } from 'age-encryption';
import { expect, onTestFinished, test, vi } from 'vitest';
import { encryptArchive } from '../../keys-ceremony/export.ts';
import { tarOf } from '../../keys-ceremony/tar.ts';
import { sha256Hex } from '../../src/lib/bytes.ts';
import { heldCeremony } from '../support/held-ceremony.ts';
import { tempDir } from '../support/temp-dir.ts';

const PASSPHRASE = 'umbrella kettle harbour violet sixteen Mondays in June 4711';
const TWICE = [
  { question: 'Number or name', answer: 'own' },
  { question: 'New passphrase of the archive', answer: PASSPHRASE },
  { question: 'The same once more', answer: PASSPHRASE },
];

/** Names and contents of a ustar archive; the interop suite opens one with tar itself. */
function untar(archive: Buffer): Map<string, Buffer> {
  const text = (block: Buffer, from: number, to: number): string =>
    block.subarray(from, to).toString('latin1').split('\0')[0] ?? '';
  const files = new Map<string, Buffer>();
  for (let at = 0; archive[at] !== 0;) {
    const block = archive.subarray(at, at + 512);
    const sum = block.reduce((total, byte, i) => total + (i >= 148 && i < 156 ? 32 : byte), 0);
    expect(Number.parseInt(text(block, 148, 156), 8)).toBe(sum);
    const size = Number.parseInt(text(block, 124, 136), 8);
    const prefix = text(block, 345, 500);
    files.set(
      (prefix === '' ? '' : `${prefix}/`) + text(block, 0, 100),
      archive.subarray(at + 512, at + 512 + size),
    );
    at += 512 + Math.ceil(size / 512) * 512;
  }
  return files;
}

test('everything: one encrypted file that holds every file of the folder, and the keys', async () => {
  const held = await heldCeremony(await tempDir());
  const place = await tempDir();
  await writeFile(join(place, 'root.key'), 'an encrypted key');
  const before = (await readdir(held.folder, { recursive: true, withFileTypes: true }))
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(held.folder.length + 1));
  const to = join(place, 'all.tar.age');
  const args = ['export', '--everything', '--to', to, '--with', join(place, 'root.key')];
  const { status, stdout, stderr } = await held.run(args, [
    { question: 'Number or name', answer: 'own' },
    { question: 'New passphrase of the archive', answer: 'short' },
    ...TWICE.slice(1),
  ]);
  expect(stderr).toContain('this passphrase is refused');
  expect(status).toBe(0);
  const encrypted = await readFile(to);
  expect(stdout).toContain(`sha256 ${sha256Hex(encrypted)}: ${before.length + 1} files`);
  expect(encrypted.subarray(0, 30).toString()).toMatch(/^age-encryption\.org\/v1\n-> scry/);

  const decrypter = new Decrypter();
  decrypter.addPassphrase(PASSPHRASE);
  const files = untar(Buffer.from(await decrypter.decrypt(encrypted)));
  expect([...files.keys()].sort()).toEqual(
    [...before, 'keys/root.key'].map((name) => `trial/${name}`).sort(),
  );
  for (const name of before.filter((file) => file !== 'transcript.ndjson')) {
    expect(files.get(`trial/${name}`)?.equals(await readFile(join(held.folder, name))), name).toBe(true);
  }
  expect(files.get('trial/keys/root.key')?.toString()).toBe('an encrypted key');
  // Written once, and nobody is asked for a passphrase in vain.
  expect((await held.run(args)).stderr).toContain('exists already');
  expect(await readFile(join(held.folder, 'transcript.ndjson'), 'utf8')).not.toContain('umbrella');
  // Three times scrypt at full cost, in JavaScript.
}, 240_000);

test('the archive is the same for the same files, whatever their order', () => {
  const content = Buffer.from('x');
  const long = `${'trial'.repeat(20)}/${'a'.repeat(64)}.json`;
  const files = [
    { name: 'b', content: Buffer.alloc(1024, 1) },
    { name: 'a/b', content },
    { name: long, content },
  ];
  const archive = tarOf(files, 1_800_000_000_000);
  expect(tarOf(files.toReversed(), 1_800_000_000_000).equals(archive)).toBe(true);
  expect([...untar(archive).keys()]).toEqual(['a/b', 'b', long]);
  expect(untar(archive).get('b')?.equals(Buffer.alloc(1024, 1))).toBe(true);
  for (const name of ['../b', '/b', 'a/../b', 'a b', 'c'.repeat(101)]) {
    expect(() => tarOf([{ name, content }], 0), name).toThrow(/archive/);
  }
  expect(() => tarOf([...files, { name: 'b', content }], 0)).toThrow('two files are named b');
});

test('online: the bundle, the public key and checksums, and nothing else', async () => {
  const held = await heldCeremony(await tempDir());
  const to = join(await tempDir(), 'for-the-service');
  const { status, stdout } = await held.run(['export', '--online', '--to', to]);
  expect(status).toBe(0);
  expect(stdout).toBe(
    ['bundle.json', 'online.pub.json', 'SHA256SUMS'].map((name) => `wrote ${join(to, name)}\n`).join(''),
  );
  expect((await readdir(to)).sort()).toEqual(['SHA256SUMS', 'bundle.json', 'online.pub.json']);
  expect((await stat(to)).mode & 0o777).toBe(0o700);
  const sums = await readFile(join(to, 'SHA256SUMS'), 'utf8');
  for (const name of ['bundle.json', 'online.pub.json']) {
    const bytes = await readFile(join(to, name));
    expect(bytes.equals(await readFile(join(held.folder, name)))).toBe(true);
    expect(sums).toContain(`${sha256Hex(bytes)}  ${name}\n`);
  }
  expect((await held.run(['export', '--online', '--to', to])).stderr).toContain('holds SHA256SUMS already');
});

test.each([
  [['--to', 'x'], 'say one of --everything and --online'],
  [['--online', '--everything', '--to', 'x'], 'say one of --everything and --online'],
  [['--online', '--to', 'x', '--with', 'root.key'], 'the service gets no private key'],
  [['--everything', '--to', 'x', '--with', 'absent.key'], 'absent.key is not there'],
])('export %j is refused', async (args, message) => {
  const held = await heldCeremony(await tempDir());
  const { status, stderr } = await held.run(['export', ...args], TWICE);
  expect(stderr).toContain(message);
  expect(status).not.toBe(0);
  expect(await readdir(held.folder)).not.toContain('x');
});

test('a symbolic link in the folder is refused, not followed', async () => {
  const held = await heldCeremony(await tempDir());
  await mkdir(join(held.folder, 'extra'));

  await symlink('/etc/hostname', join(held.folder, 'extra', 'link'));
  const { status, stderr } = await held.run(['export', '--everything', '--to', 'x'], TWICE);
  expect(stderr).toContain('is a symbolic link');
  expect(status).toBe(1);
});

test('everything: the passphrase costs what it costs in age itself', async () => {
  const { prototype } = Encrypter;
  const asked: number[] = [];
  // Asked for by the program, carried out at a cost that a test can pay.
  const quick = vi.spyOn(prototype, 'setScryptWorkFactor').mockImplementation(function (
    this: Encrypter,
    cost,
  ) {
    asked.push(cost);
    Object.assign(this, { scryptWorkFactor: 10 });
  });
  onTestFinished(() => {
    quick.mockRestore();
  });
  await encryptArchive(tarOf([], 0), PASSPHRASE);
  expect(asked).toEqual([18]);
});
