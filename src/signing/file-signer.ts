// The signer with its key in this process, from an encrypted file (key-file.ts). Simple and fast; whoever can read
// this process's memory has the key, which a key service would not give away (docs/trust.md).
import { createPublicKey, sign as nodeSign, type KeyObject } from 'node:crypto';
import { mapConcurrent } from '../lib/concurrency.ts';
import { CountersignError, messageOf } from '../lib/errors.ts';
import { decryptPrivateKey } from '../lib/passphrase-file.ts';
import { keyId, publicKeyOf } from '../tuf/keys.ts';
import type { PublicKey } from '../tuf/metadata.ts';
import { readKeyFile } from '../lib/private-file.ts';
import type { Signer } from './signer.ts';

/** Signatures at once: the number of threads in libuv's pool. More would only queue up in front of file access. */
const PARALLEL_SIGNATURES = 4;

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

/**
 * Signs with a key that is in this process already.
 * @throws CountersignError `metadata-invalid` for a key that is neither Ed25519 nor P-256.
 */
export function signerInMemory(key: KeyObject): Signer {
  return new FileSigner(key, publicKeyOf(createPublicKey(key)));
}

class FileSigner implements Signer {
  readonly publicKey: PublicKey;
  readonly keyid: string;
  #key: KeyObject | undefined;

  constructor(key: KeyObject, publicKey: PublicKey) {
    this.#key = key;
    this.publicKey = publicKey;
    this.keyid = keyId(publicKey);
  }

  get ownKey(): KeyObject | undefined {
    return this.#key;
  }

  async sign(messages: readonly Uint8Array[]): Promise<Uint8Array[]> {
    const key = this.#key;
    if (key === undefined) {
      throw new CountersignError('signer-unavailable', `signer with key ${this.keyid} is closed`);
    }
    return mapConcurrent(messages, PARALLEL_SIGNATURES, (message) => this.#signOne(key, message));
  }

  close(): Promise<void> {
    this.#key = undefined;
    return Promise.resolve();
  }

  #signOne(key: KeyObject, message: Uint8Array): Promise<Uint8Array> {
    const digest = this.publicKey.keytype === 'ed25519' ? null : 'sha256';
    return new Promise((resolve, reject) => {
      // With a callback the work leaves the event loop: 1.6 times the signatures on two cores.
      nodeSign(digest, message, key, (error, signature) => {
        if (error === null) resolve(signature);
        else reject(new CountersignError('signer-unavailable', `key ${this.keyid}: ${error.message}`));
      });
    });
  }
}
