// The file of an online key: made once, readable by its owner only, never overwritten.
import { generateKeyPairSync } from 'node:crypto';
import { open, rm, type FileHandle } from 'node:fs/promises';
import { constants } from 'node:fs';
import { dirname } from 'node:path';
import { CountersignError, messageOf } from '../lib/errors.ts';
import { encryptPrivateKey, MAX_KEY_FILE_BYTES } from '../lib/passphrase-file.ts';
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

/**
 * The text of a key file that no other user can read or change.
 * @throws CountersignError `secret-unreadable` that names the path and the reason.
 */
export async function readKeyFile(path: string): Promise<string> {
  let file: FileHandle;
  try {
    // A link is followed (secrets are often mounted that way); what counts is the file itself. O_NONBLOCK: a FIFO
    // must not stop the start.
    file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
  } catch (error) {
    throw unusable(path, 'cannot be opened', error);
  }
  try {
    const stat = await file.stat();
    if (!stat.isFile()) throw unusable(path, 'is not a regular file');
    const mode = stat.mode & 0o777;
    if ((mode & 0o077) !== 0) {
      const octal = `0${mode.toString(8).padStart(3, '0')}`;
      throw unusable(path, `is open to other users (mode ${octal}); run "chmod 600 ${path}"`);
    }
    if (stat.size > MAX_KEY_FILE_BYTES) {
      throw unusable(path, `has ${stat.size} bytes, at most ${MAX_KEY_FILE_BYTES} are read`);
    }
    const { buffer, bytesRead } = await file.read(Buffer.alloc(MAX_KEY_FILE_BYTES));
    return buffer.toString('latin1', 0, bytesRead);
  } catch (error) {
    if (error instanceof CountersignError) throw error;
    throw unusable(path, 'cannot be read', error);
  } finally {
    await file.close();
  }
}

function unusable(path: string, problem: string, cause?: unknown): CountersignError {
  const reason = cause === undefined ? '' : `: ${messageOf(cause)}`;
  return new CountersignError('secret-unreadable', `key file ${path} ${problem}${reason}`, { cause });
}
