// Private keys at rest: PKCS#8 inside age's passphrase format, armored, so that `age -d` opens them too. Node's own
// encrypted PKCS#8 uses PBKDF2 with 2,048 iterations, which is too weak for a file that may be copied.
import { createDecipheriv, createPrivateKey, scrypt, type KeyObject } from 'node:crypto';
import type * as Age from 'age-encryption';
import { CountersignError } from './errors.ts';

/** log2 of scrypt's cost. 18 is age's own default: 256 MiB of memory and about a second. */
export const DEFAULT_WORK_FACTOR = 18;
/** A file that somebody else made may ask for more: at 20 it costs 1 GiB and about five seconds. */
export const MAX_WORK_FACTOR = 20;
/** Bytes; a P-256 key in this form has some 700. */
export const MAX_KEY_FILE_BYTES = 16_384;

/** Loaded when a key is at hand: most commands need none, and reading it costs more than they do. */
const age = (): Promise<typeof Age> => import('age-encryption');

/** The one stanza of a passphrase file: age specification, "The scrypt recipient type". */
const SCRYPT_STANZA = /^age-encryption\.org\/v1\n-> scrypt [A-Za-z0-9+/]{22} ([1-9][0-9]?)\n/;

/**
 * The text of a key file. The work factor is log2 of scrypt's cost, below 18 only for tests.
 * @throws CountersignError `secret-unreadable` when the passphrase is empty.
 */
export async function encryptPrivateKey(
  key: KeyObject,
  passphrase: string,
  workFactor = DEFAULT_WORK_FACTOR,
): Promise<string> {
  if (passphrase === '') throw unreadable('a private key is not encrypted under an empty passphrase');
  const { armor, Encrypter } = await age();
  const encrypter = new Encrypter();
  encrypter.setPassphrase(passphrase);
  encrypter.setScryptWorkFactor(workFactor);
  return armor.encode(await encrypter.encrypt(key.export({ type: 'pkcs8', format: 'pem' })));
}

/**
 * The private key in the text of a key file.
 * @throws CountersignError `secret-unreadable` when the text has another form, asks for a work factor above 20, does
 *   not open with the passphrase, or holds something else than a PKCS#8 private key. The message has neither the
 *   passphrase nor anything that was decrypted.
 */
export async function decryptPrivateKey(text: string, passphrase: string): Promise<KeyObject> {
  const { armor, Decrypter } = await age();
  const file = decodeArmor(armor, text);
  // Checked before the passphrase is stretched: the cost is what a hostile file would ask for.
  const stanza = SCRYPT_STANZA.exec(Buffer.from(file.subarray(0, 128)).toString('latin1'));
  if (stanza === null) throw unreadable('it is an age file, but not one that a passphrase opens');
  const workFactor = Number(stanza[1]);
  if (workFactor > MAX_WORK_FACTOR) {
    throw unreadable(`its scrypt work factor is ${workFactor}, at most ${MAX_WORK_FACTOR} is accepted`);
  }
  const decrypter = new Decrypter();
  decrypter.addIdentity(passphraseIdentity(passphrase));
  let pem: string;
  try {
    pem = await decrypter.decrypt(file, 'text');
  } catch (error) {
    throw new CountersignError(
      'secret-unreadable',
      'it does not open with this passphrase, or it is damaged',
      { cause: error, details: { passphraseRefused: true } },
    );
  }
  // No cause from here on: an error of the parser might quote what it read.
  if (!pem.startsWith('-----BEGIN PRIVATE KEY-----')) throw unreadable('it holds no PKCS#8 private key');
  try {
    return createPrivateKey(pem);
  } catch {
    throw unreadable('the PKCS#8 private key in it cannot be read');
  }
}

/** Of the key that wraps the file's: what age puts before the salt. */
const SCRYPT_LABEL = 'age-encryption.org/v1/scrypt';
const FILE_KEY_BYTES = 16;
const TAG_BYTES = 16;

/**
 * As age's own identity for a passphrase, with the scrypt of node:crypto: a third of the time, on the pool, and its
 * memory (256 MiB) is free again when it ends. The other one's would stay with a service until a full collection.
 */
function passphraseIdentity(passphrase: string): Age.Identity {
  return {
    unwrapFileKey: async (stanzas) => {
      const [stanza] = stanzas;
      if (stanza === undefined || stanzas.length > 1) throw new Error('a passphrase is not the only key');
      const [type, salt, workFactor] = stanza.args;
      const { body } = stanza;
      if (type !== 'scrypt' || salt === undefined || body.length !== FILE_KEY_BYTES + TAG_BYTES) {
        throw new Error('the stanza of the passphrase is malformed');
      }
      const cost = 2 ** Number(workFactor);
      const key = await stretch(
        passphrase,
        `${SCRYPT_LABEL}${Buffer.from(salt, 'base64').toString('latin1')}`,
        cost,
      );
      // The key is used once: age specification, "a nonce of 12 zero bytes".
      const options = { authTagLength: TAG_BYTES };
      const decipher = createDecipheriv('chacha20-poly1305', key, Buffer.alloc(12), options);
      decipher.setAuthTag(body.subarray(FILE_KEY_BYTES));
      const fileKey = decipher.update(body.subarray(0, FILE_KEY_BYTES));
      try {
        decipher.final();
      } catch {
        return null;
      }
      return fileKey;
    },
  };
}

/** `cost`: scrypt's N, of which each needs 1,024 bytes. `label`: one character a byte. */
function stretch(passphrase: string, label: string, cost: number): Promise<Buffer> {
  const options = { N: cost, r: 8, p: 1, maxmem: cost * 1024 + 1024 * 1024 };
  return new Promise((resolve, reject) => {
    scrypt(passphrase, Buffer.from(label, 'latin1'), 32, options, (error, key) => {
      if (error === null) resolve(key);
      else reject(error);
    });
  });
}

/** True when another passphrase may open the file. */
export function isPassphraseRefused(error: unknown): boolean {
  return error instanceof CountersignError && error.details['passphraseRefused'] === true;
}

function decodeArmor(armor: typeof Age.armor, text: string): Uint8Array {
  try {
    return armor.decode(text);
  } catch (error) {
    throw unreadable('it is not an armored age file', error);
  }
}

function unreadable(problem: string, cause?: unknown): CountersignError {
  return new CountersignError('secret-unreadable', problem, cause === undefined ? {} : { cause });
}
