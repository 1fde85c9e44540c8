// The file of an online key: made once, readable by its owner only, never overwritten.
import { generateKeyPairSync } from 'node:crypto';
import { open, rm, type FileHandle } from 'node:fs/promises';
import { constants } from 'node:fs';
import { dirname } from 'node:path';
import { CountersignError, messageOf } from '../lib/errors.ts';
import { encryptPrivateKey } from '../lib/passphrase-file.ts';
import { publicKeyOf } from '../tuf/keys.ts';
import type { PublicKey } from '../tuf/metadata.ts';

export type KeyAlgorithm = 'ed25519' | 'ecdsa-p256';

export interface KeyFileOptions {
  readonly path: string;
  readonly passphrase: string;
  readonly algorithm: KeyAlgorithm;
  /** log2 of scrypt's cost; age's own default when absent. */
  readonly workFactor?: number;
}

/**
 * Makes a key and its file (mode 0600), durable when it resolves.
 * @throws CountersignError `file-exists` when there is something at the path, `secret-unreadable` when the file
 *   cannot be written or the passphrase is empty.
 */
export async function generateKeyFile({
  path,
  passphrase,
  algorithm,
  workFactor,
}: KeyFileOptions): Promise<PublicKey> {
  const { privateKey, publicKey } =
    algorithm === 'ed25519'
      ? generateKeyPairSync('ed25519')
      : generateKeyPairSync('ec', { namedCurve: 'prime256v1' });
  await writeNewFile(path, () => encryptPrivateKey(privateKey, passphrase, workFactor));
  return publicKeyOf(publicKey);
}

/** Takes the name first: nobody waits for scrypt only to hear that the file exists. */
async function writeNewFile(path: string, content: () => Promise<string>): Promise<void> {
  let file: FileHandle;
  try {
    file = await open(path, 'wx', 0o600);
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'EEXIST') {
      throw new CountersignError('file-exists', `key file ${path} exists already`, { cause: error });
    }
    throw unusable(path, 'cannot be created', error);
  }
  try {
    await file.writeFile(await content());
    await file.sync();
    await syncDirectory(dirname(path));
  } catch (error) {
    await rm(path, { force: true });
    if (error instanceof CountersignError) throw error;
    throw unusable(path, 'cannot be written', error);
  } finally {
    await file.close();
  }
}

async function syncDirectory(path: string): Promise<void> {
  const directory = await open(path, constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    await directory.sync();
  } finally {
    await directory.close();
  }
}

function unusable(path: string, problem: string, cause?: unknown): CountersignError {
  const reason = cause === undefined ? '' : `: ${messageOf(cause)}`;
  return new CountersignError('secret-unreadable', `key file ${path} ${problem}${reason}`, { cause });
}
