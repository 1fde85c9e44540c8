// A holder's private key in a file: encrypted in age's passphrase format (src/lib/passphrase-file.ts), so that the tool
// `age` opens it as well, readable by its owner only.
import type { KeyObject } from 'node:crypto';
import { unlink } from 'node:fs/promises';
import path from 'node:path';
import { CountersignError, messageOf } from '../src/lib/errors.ts';
import { decryptPrivateKey, encryptPrivateKey, isPassphraseRefused } from '../src/lib/passphrase-file.ts';
import { readKeyFile, writePrivateFile } from '../src/lib/private-file.ts';
import type { PublicKey, Signature } from '../src/tuf/metadata.ts';
import { CeremonyKey, type RandomSource } from './ceremony-key.ts';
import type { HolderKey } from './holder-key.ts';
import { curveOf, EcdsaKey } from './ecdsa-key.ts';
import { wordsAsMade } from './passphrase-choice.ts';
import { askUntil } from './terminal-questions.ts';
import type { Terminal } from './terminal.ts';

export const KEY_ALGORITHMS = ['ed25519', 'p256', 'p384'] as const;
export type KeyAlgorithm = (typeof KEY_ALGORITHMS)[number];

export class FileKey implements HolderKey {
  readonly origin = 'file';
  readonly #key: CeremonyKey | EcdsaKey;

  private constructor(key: CeremonyKey | EcdsaKey) {
    this.#key = key;
  }

  /** Makes a key in memory. */
  static async generate(algorithm: KeyAlgorithm, random: RandomSource): Promise<FileKey> {
    return new FileKey(
      algorithm === 'ed25519' ? await CeremonyKey.generate(random) : EcdsaKey.generate(algorithm, random),
    );
  }

  /**
   * A key that was read.
   * @throws CountersignError `secret-unreadable` for a kind of key that no ceremony uses.
   */
  static async of(key: KeyObject): Promise<FileKey> {
    if (key.asymmetricKeyType === 'ed25519') return new FileKey(await CeremonyKey.fromPrivateKey(key));
    const curve = curveOf(key);
    if (curve !== undefined) return new FileKey(new EcdsaKey(key, curve));
    const kind = key.asymmetricKeyDetails?.namedCurve ?? key.asymmetricKeyType ?? key.type;
    throw new CountersignError(
      'secret-unreadable',
      `it holds a key of type ${kind}, not Ed25519, P-256 or P-384`,
    );
  }

  get keyid(): string {
    return this.#key.keyid;
  }

  get publicKey(): PublicKey {
    return this.#key.publicKey;
  }

  get algorithm(): KeyAlgorithm {
    return this.#key instanceof EcdsaKey ? this.#key.curve : 'ed25519';
  }

  sign(message: Uint8Array): Promise<Signature> {
    return this.#key.sign(message);
  }

  /** The private key. It must not reach a disk unencrypted. */
  privateKey(): KeyObject {
    return this.#key.privateKey();
  }

  forget(): void {
    this.#key.forget();
  }
}

/**
 * Opens a key file; asks for its passphrase, three times at most.
 * @throws CountersignError `secret-unreadable` that names the file; `interrupted`.
 */
export async function openKeyFile(file: string, terminal: Terminal): Promise<FileKey> {
  // Before the question: nobody types a passphrase for a file that cannot be used.
  const text = await readKeyFile(file);
  return askUntil(
    terminal,
    () => terminal.secret(`Passphrase of ${path.basename(file)}`),
    async (passphrase) => {
      try {
        return await FileKey.of(await decryptTyped(text, passphrase));
      } catch (error) {
        // Only another passphrase is worth another question.
        throw isPassphraseRefused(error) ? named(file, error) : new NotTheAnswer(named(file, error));
      }
    },
  ).catch((error: unknown) => {
    throw error instanceof NotTheAnswer ? error.problem : error;
  });
}

/** With what was typed; words that the program made open their file in whichever way they were taken from the paper. */
async function decryptTyped(text: string, typed: string): Promise<KeyObject> {
  try {
    return await decryptPrivateKey(text, typed);
  } catch (error) {
    const words = wordsAsMade(typed);
    if (words === undefined || words === typed || !isPassphraseRefused(error)) throw error;
    return decryptPrivateKey(text, words);
  }
}

/**
 * Writes the file of a key, then opens it again: a file that its passphrase does not open must not be the only copy.
 * @param workFactor log2 of scrypt's cost, below 18 only for tests and rehearsals.
 * @throws CountersignError `file-exists`, `file-unwritable`; `secret-unreadable` when it cannot be read back.
 */
export async function writeKeyFile(
  file: string,
  key: FileKey,
  passphrase: string,
  workFactor?: number,
): Promise<void> {
  const text = await encryptPrivateKey(key.privateKey(), passphrase, workFactor);
  const again = await FileKey.of(await decryptPrivateKey(text, passphrase));
  const { keyid } = again;
  again.forget();
  if (keyid !== key.keyid) {
    throw new CountersignError('internal', `the encrypted key is ${keyid}, expected ${key.keyid}`);
  }
  await writePrivateFile(file, text);
  try {
    if ((await readKeyFile(file)) === text) return;
    throw new CountersignError('secret-unreadable', `key file ${file} does not hold what was written to it`);
  } catch (error) {
    // A stick whose file system knows no owners, mounted so that everybody reads it, or one that is worn out.
    await unlink(file);
    throw error;
  }
}

/** Carries an error past the loop of questions. */
class NotTheAnswer extends Error {
  readonly problem: CountersignError;

  constructor(problem: CountersignError) {
    super(problem.message);
    this.problem = problem;
  }
}

function named(file: string, error: unknown): CountersignError {
  if (!(error instanceof CountersignError)) throw error;
  return new CountersignError(error.code, `key file ${file}: ${messageOf(error)}`, { cause: error });
}
