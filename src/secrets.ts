// Secrets, apart from the configuration: read from a private file or from the environment when they are first
// needed, and never printed. An object of this class shows itself as "[secrets]" wherever it ends up.
import { open } from 'node:fs/promises';
import { inspect } from 'node:util';
import { CountersignError, messageOf } from './lib/errors.ts';

/** Bytes; no passphrase or token comes near it. */
const MAX_SECRET_BYTES = 64 * 1024;

/** Environment variables that hold a secret itself. */
export const PASSPHRASE_VARIABLE = 'COUNTERSIGN_SIGNER_PASSPHRASE';
export const TOKEN_VARIABLE = 'COUNTERSIGN_TOKEN';

export interface SecretSources {
  /** Absolute path of the file with the signer's passphrase. */
  readonly passphraseFile?: string;
  readonly passphrase?: string;
  /** Bearer token with which commands ask a running service. */
  readonly token?: string;
}

export class Secrets {
  readonly #sources: SecretSources;

  constructor(sources: SecretSources) {
    this.#sources = sources;
  }

  /**
   * The passphrase of the signer's key file.
   * @throws CountersignError `secret-unreadable` when none is configured or its file is not private.
   */
  async signerPassphrase(): Promise<string> {
    const { passphrase, passphraseFile } = this.#sources;
    if (passphrase !== undefined) return passphrase;
    if (passphraseFile !== undefined) return readSecretFile(passphraseFile, 'passphrase file');
    throw new CountersignError(
      'secret-unreadable',
      `no passphrase for the signer is configured: set signer-passphrase to a file, or ${PASSPHRASE_VARIABLE}`,
    );
  }

  /** The bearer token for a running service, when the environment has one. */
  get token(): string | undefined {
    return this.#sources.token;
  }

  toString(): string {
    return '[secrets]';
  }

  toJSON(): string {
    return '[secrets]';
  }

  [inspect.custom](): string {
    return '[secrets]';
  }
}

/**
 * The content of a file with a secret, without the newline at its end.
 * @param what Names the file in messages: "passphrase file".
 * @throws CountersignError `secret-unreadable` when it is missing, empty, or open to other users.
 */
export async function readSecretFile(path: string, what: string): Promise<string> {
  let file;
  try {
    file = await open(path, 'r');
  } catch (error) {
    throw new CountersignError('secret-unreadable', `cannot read ${what} ${path}: ${messageOf(error)}`, {
      cause: error,
    });
  }
  try {
    // The open file is asked, not its name: the two could differ by the time of reading.
    const stat = await file.stat();
    const mode = stat.mode & 0o777;
    if (stat.isFile() && (mode & 0o077) !== 0) {
      throw unreadable(
        `${what} ${path} is open to other users (mode ${mode.toString(8).padStart(4, '0')}): run chmod 600 ${quoted(path)}`,
      );
    }
    const buffer = Buffer.alloc(MAX_SECRET_BYTES + 1);
    let length = 0;
    for (;;) {
      const { bytesRead } = await file.read(buffer, length, buffer.length - length, null);
      length += bytesRead;
      if (bytesRead === 0 || length === buffer.length) break;
    }
    if (length > MAX_SECRET_BYTES)
      throw unreadable(`${what} ${path} has more than ${MAX_SECRET_BYTES} bytes`);
    const secret = buffer.toString('utf8', 0, length).replace(/\r?\n$/, '');
    buffer.fill(0);
    if (secret === '') throw unreadable(`${what} ${path} is empty`);
    return secret;
  } catch (error) {
    if (error instanceof CountersignError) throw error;
    throw new CountersignError('secret-unreadable', `cannot read ${what} ${path}: ${messageOf(error)}`, {
      cause: error,
    });
  } finally {
    await file.close();
  }
}

/** A path as a shell takes it. */
function quoted(path: string): string {
  return /^[A-Za-z0-9_./-]+$/.test(path) ? path : `'${path.replaceAll("'", `'\\''`)}'`;
}

function unreadable(message: string): CountersignError {
  return new CountersignError('secret-unreadable', message);
}
