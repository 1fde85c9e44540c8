// The signer with its key in this process, from an encrypted file (key-file.ts). Simple and fast; whoever can read
// this process's memory has the key, which a key service would not give away (docs/trust.md).
import { CountersignError, messageOf } from '../lib/errors.ts';
import { decryptPrivateKey } from '../lib/passphrase-file.ts';
import { readKeyFile } from '../lib/private-file.ts';
import { signerInMemory } from './memory-signer.ts';
import type { Signer } from './signer.ts';

/**
 * Opens an encrypted key file. Takes about a second of CPU: scrypt, on purpose.
 * @throws CountersignError `secret-unreadable` that names the file and why it cannot be used; never the passphrase.
 */
export async function openFileSigner(options: { path: string; passphrase: string }): Promise<Signer> {
  const text = await readKeyFile(options.path);
  try {
    const key = await decryptPrivateKey(text, options.passphrase);
    return signerInMemory(key);
  } catch (error) {
    throw new CountersignError(
      'secret-unreadable',
      `key file ${options.path} cannot be used: ${messageOf(error)}`,
      { cause: error },
    );
  }
}
