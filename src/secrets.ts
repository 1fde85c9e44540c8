// Secrets, apart from the configuration: read from a private file or from the environment when they are first
// needed, and never printed. An object of this class shows itself as "[secrets]" wherever it ends up.
import { open } from 'node:fs/promises';
import { inspect } from 'node:util';
import { CountersignError, messageOf } from './lib/errors.ts';

/** Bytes; no passphrase or token comes near it. */
const MAX_SECRET_BYTES = 64 * 1024;

/** Environment variables that hold a secret itself. */
export const PASSPHRASE_VARIABLE = 'COUNTERSIGN_SIGNER_PASSPHRASE';
export const NEXT_PASSPHRASE_VARIABLE = 'COUNTERSIGN_NEXT_SIGNER_PASSPHRASE';
export const LEDGER_PASSWORD_VARIABLE = 'COUNTERSIGN_LEDGER_PASSWORD';
export const TOKEN_VARIABLE = 'COUNTERSIGN_TOKEN';
/** The name that Vault's own tools use. */
export const VAULT_TOKEN_VARIABLE = 'VAULT_TOKEN';

/** Where a secret is; `value` is the secret itself. */
export interface SecretSource {
  /** Absolute path. */
  readonly file?: string;
  readonly value?: string;
}

export interface SecretSources {
  /** Of the signer's key file. */
  readonly passphrase: SecretSource;
  /** Of the next signer's. */
  readonly nextPassphrase: SecretSource;
  /** Of the ledger's database. */
  readonly ledgerPassword?: SecretSource;
  /** Bearer token with which commands ask a running service. */
  readonly token?: string;
  /** For a signer in Vault whose URI says nothing else. */
  readonly vaultToken?: string;
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
  signerPassphrase(): Promise<string> {
    return readPassphrase(this.#sources.passphrase, 'signer', PASSPHRASE_VARIABLE);
  }

  /** The same for next-signer. */
  nextSignerPassphrase(): Promise<string> {
    return readPassphrase(this.#sources.nextPassphrase, 'next-signer', NEXT_PASSPHRASE_VARIABLE);
  }

  /**
   * Reads the password of the ledger's database, anew each time; undefined when none is configured here. It throws
   * `secret-unreadable` when its file is not private.
   */
  get ledgerPassword(): (() => Promise<string>) | undefined {
    const { value, file } = this.#sources.ledgerPassword ?? {};
    if (value !== undefined) return () => Promise.resolve(value);
    return file === undefined ? undefined : () => readSecretFile(file, 'password file');
  }

  /**
   * A token for Vault, from a file or from the environment.
   * @throws CountersignError `secret-unreadable`.
   */
  async vaultToken(file: string | undefined): Promise<string> {
    if (file !== undefined) return readSecretFile(file, 'token file');
    const { vaultToken } = this.#sources;
    if (vaultToken !== undefined) return vaultToken;
    throw unreadable(
      `no token for Vault is configured: add token-file= or auth= to the signer's URI, or set ${VAULT_TOKEN_VARIABLE}`,
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

async function readPassphrase(
  { value, file }: SecretSource,
  setting: string,
  variable: string,
): Promise<string> {
  if (value !== undefined) return value;
  if (file !== undefined) return readSecretFile(file, 'passphrase file');
  throw unreadable(
    `no passphrase for the ${setting} is configured: set ${setting}-passphrase to a file, or ${variable}`,
  );
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
