// The file signer and the throwaway signer pass the contract; key files that must be refused are.
import { createPrivateKey, generateKeyPairSync } from 'node:crypto';
import { chmod, readFile, stat, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { armor, Decrypter, Encrypter, generateX25519Identity, identityToRecipient } from 'age-encryption';
import { describe, expect, test } from 'vitest';
import { encryptPrivateKey } from '../../src/lib/passphrase-file.ts';
import { openFileSigner } from '../../src/signing/file-signer.ts';
import { signerInMemory } from '../../src/signing/memory-signer.ts';
import { generateKeyFile } from '../../src/signing/key-file.ts';
import { tempDir } from '../support/temp-dir.ts';
import { throwawayKey, throwawaySigner } from '../support/throwaway-signer.ts';
import { signerContract } from './signer.contract.ts';

const PASSPHRASE = 'correct horse battery staple';
/** Little enough to open many files; the product's default is 18. */
const workFactor = 10;

for (const algorithm of ['ed25519', 'ecdsa-p256'] as const) {
  signerContract(`file, ${algorithm}`, async () => {
    const path = join(await tempDir(), 'online.key');
    await generateKeyFile({ path, passphrase: PASSPHRASE, algorithm, workFactor });
    return openFileSigner({ path, passphrase: PASSPHRASE });
  });
  signerContract(`in memory, on this thread, ${algorithm}`, () =>
    Promise.resolve(signerInMemory(throwawayKey(7, algorithm), 'this thread')),
  );
  signerContract(`throwaway, ${algorithm}`, () => Promise.resolve(throwawaySigner(7, algorithm)));
}

async function keyFile(text: string | Uint8Array, mode = 0o600): Promise<string> {
  const path = join(await tempDir(), 'online.key');
  await writeFile(path, text, { mode });
  await chmod(path, mode);
  return path;
}

async function refusal(path: string, passphrase = PASSPHRASE): Promise<string> {
  const error: unknown = await openFileSigner({ path, passphrase }).catch((reason: unknown) => reason);
  expect(error).toMatchObject({ code: 'secret-unreadable' });
  const { message, stack } = error as Error;
  expect(`${message} ${stack ?? ''}`).not.toContain(passphrase);
  expect(message).toContain(path);
  return message.replaceAll(path, 'PATH');
}

describe('a new key file', () => {
  test("opens with the passphrase, also with age's own code, and belongs to its owner alone", async () => {
    const path = join(await tempDir(), 'online.key');
    const publicKey = await generateKeyFile({
      path,
      passphrase: PASSPHRASE,
      algorithm: 'ed25519',
      workFactor,
    });
    expect((await stat(path)).mode & 0o777).toBe(0o600);
    const signer = await openFileSigner({ path, passphrase: PASSPHRASE });
    expect(signer.publicKey).toEqual(publicKey);
    const age = new Decrypter();
    age.addPassphrase(PASSPHRASE);
    const pem = await age.decrypt(armor.decode(await readFile(path, 'utf8')), 'text');
    expect(createPrivateKey(pem).asymmetricKeyType).toBe('ed25519');
  });

  test('never replaces a file, and leaves none when it cannot be made', async () => {
    const path = await keyFile('precious');
    const options = { path, passphrase: PASSPHRASE, algorithm: 'ed25519', workFactor } as const;
    await expect(generateKeyFile(options)).rejects.toMatchObject({ code: 'file-exists' });
    expect(await readFile(path, 'utf8')).toBe('precious');
    const other = join(await tempDir(), 'online.key');
    const refused = generateKeyFile({ ...options, path: other, passphrase: '' });
    await expect(refused).rejects.toMatchObject({ code: 'secret-unreadable' });
    await expect(stat(other)).rejects.toThrow('ENOENT');
    const nowhere = generateKeyFile({ ...options, path: `${other}/none/key` });
    await expect(nowhere).rejects.toMatchObject({ code: 'secret-unreadable' });
  });

  test('uses the work factor that age itself uses', async () => {
    const path = join(await tempDir(), 'online.key');
    await generateKeyFile({ path, passphrase: PASSPHRASE, algorithm: 'ecdsa-p256' });
    const header = Buffer.from(armor.decode(await readFile(path, 'utf8')).subarray(0, 80)).toString('latin1');
    expect(header).toMatch(/\n-> scrypt \S+ 18\n/);
    const signer = await openFileSigner({ path, passphrase: PASSPHRASE });
    expect(signer.publicKey.scheme).toBe('ecdsa-sha2-nistp256');
  });
});

describe('a key file is refused when', () => {
  test.each([0o640, 0o604, 0o660, 0o620, 0o644])('its mode is %o', async (mode) => {
    const path = await keyFile(await encryptPrivateKey(throwawayKey(1), PASSPHRASE, workFactor), mode);
    const octal = mode.toString(8);
    expect(await refusal(path)).toBe(
      `key file PATH is open to other users (mode 0${octal}); run "chmod 600 PATH"`,
    );
    await chmod(path, 0o400);
    await openFileSigner({ path, passphrase: PASSPHRASE });
  });

  test('the passphrase is another one', async () => {
    const path = await keyFile(await encryptPrivateKey(throwawayKey(1), PASSPHRASE, workFactor));
    const wrong = 'a passphrase nobody set';
    expect(await refusal(path, wrong)).toContain('does not open with this passphrase, or it is damaged');
  });

  test('a byte of it was changed', async () => {
    const text = await encryptPrivateKey(throwawayKey(1), PASSPHRASE, workFactor);
    const file = armor.decode(text);
    file[file.length - 1]! ^= 1;
    expect(await refusal(await keyFile(armor.encode(file)))).toContain('it is damaged');
  });

  test('it asks for too much work', async () => {
    const file = Buffer.from(armor.decode(await encryptPrivateKey(throwawayKey(1), PASSPHRASE, workFactor)));
    const hostile = file.toString('latin1').replace(/ 10\n/, ' 30\n');
    const path = await keyFile(armor.encode(Buffer.from(hostile, 'latin1')));
    expect(await refusal(path)).toContain('scrypt work factor is 30, at most 20 is accepted');
  });

  test('it is not what it should be', async () => {
    const dir = await tempDir();
    expect(await refusal(join(dir, 'absent'))).toContain('cannot be opened: ENOENT');
    expect(await refusal(dir)).toMatch(/is not a regular file/);
    expect(await refusal(await keyFile(''))).toContain('not an armored age file');
    expect(await refusal(await keyFile('x'.repeat(20_000)))).toContain('has 20000 bytes, at most 16384');
    const { privateKey } = generateKeyPairSync('ed25519');
    const plain = privateKey.export({ type: 'pkcs8', format: 'pem' });
    expect(await refusal(await keyFile(plain))).toContain('not an armored age file');
    const p384 = generateKeyPairSync('ec', { namedCurve: 'secp384r1' }).privateKey;
    expect(await refusal(await keyFile(await encryptPrivateKey(p384, PASSPHRASE, workFactor)))).toContain(
      'key type secp384r1 is not Ed25519 or ECDSA P-256',
    );
    expect(await refusal(await keyFile(await encrypted('not a key')))).toContain(
      'holds no PKCS#8 private key',
    );
    const broken = '-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n';
    expect(await refusal(await keyFile(await encrypted(broken)))).toContain('cannot be read');
    const toIdentity = new Encrypter();
    toIdentity.addRecipient(await identityToRecipient(await generateX25519Identity()));
    const text = armor.encode(await toIdentity.encrypt('x'));
    expect(await refusal(await keyFile(text))).toContain('not one that a passphrase opens');
  });
});

test('a key file may be reached by a link, as secrets often are', async () => {
  const path = await keyFile(await encryptPrivateKey(throwawayKey(1), PASSPHRASE, workFactor));
  await symlink(path, `${path}.link`);
  const signer = await openFileSigner({ path: `${path}.link`, passphrase: PASSPHRASE });
  expect(signer.keyid).toBe(throwawaySigner(1).keyid);
});

async function encrypted(plain: string): Promise<string> {
  const encrypter = new Encrypter();
  encrypter.setPassphrase(PASSPHRASE);
  encrypter.setScryptWorkFactor(workFactor);
  return armor.encode(await encrypter.encrypt(plain));
}
