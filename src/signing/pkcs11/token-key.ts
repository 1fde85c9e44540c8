// A private key that stays on its token. The offline ceremony uses this module too: nothing here may reach the network.
import { createHash } from 'node:crypto';
import { CountersignError } from '../../lib/errors.ts';
import { parseKeyUri } from '../../lib/pkcs11-uri.ts';
import { keyId } from '../../tuf/keys.ts';
import type { PublicKey } from '../../tuf/metadata.ts';
import { TokenConnection, type Login } from './connection.ts';
import { derSignature } from './der.ts';
import { isPinRefused, tokenUnavailable } from './failures.ts';

/** Milliseconds for one signature. Some tokens wait for a touch, which people give within seconds. */
const ANSWER_MS = 60_000;

export interface TokenKey {
  readonly keyid: string;
  readonly publicKey: PublicKey;
  /** Serial number of the token. */
  readonly serial: string;
  /** Label of the token. */
  readonly tokenLabel: string;
  /** Label of the key (CKA_LABEL). */
  readonly label: string;
  readonly mechanism: 'CKM_EDDSA' | 'CKM_ECDSA';
  /**
   * The signature as TUF wants it: Ed25519 64 bytes, ECDSA in DER. Not verified here: whoever uses it does that.
   * @throws CountersignError `signer-unavailable`; the next call opens the token again.
   */
  sign(message: Uint8Array): Promise<Uint8Array>;
  /** Ends the login; `sign` fails afterwards. */
  close(): Promise<void>;
}

export interface OpenOptions {
  /** True for a service: a token that heard a wrong PIN last is left alone (./login.ts). */
  readonly unattended?: boolean;
}

/**
 * Opens the key that a PKCS#11 URI names. The PIN stays in memory, to log in again when the token was gone.
 * @param pin Empty for a token that asks for none.
 * @throws CountersignError `config-invalid` for the URI, the module or an absent key, `secret-unreadable` when the PIN
 *   is refused (it is never tried again), `signer-unavailable` when the token is not there.
 */
export async function openToken(uri: string, pin: string, options: OpenOptions = {}): Promise<TokenKey> {
  const login = { uri: parseKeyUri(uri), pin, unattended: options.unattended ?? false };
  return new Pkcs11TokenKey(login, await TokenConnection.open(login));
}

class Pkcs11TokenKey implements TokenKey {
  readonly keyid: string;
  readonly publicKey: PublicKey;
  readonly serial: string;
  readonly tokenLabel: string;
  readonly label: string;
  readonly mechanism: TokenKey['mechanism'];
  readonly #login: Login;
  #connection: Promise<TokenConnection> | undefined;
  /** Why no further login is tried. */
  #refused: CountersignError | undefined;
  /** Signatures that the token has not answered in time: each holds a thread. */
  #hanging = 0;
  #closed = false;

  constructor(login: Login, connection: TokenConnection) {
    const { key, token } = connection;
    this.#login = login;
    this.#connection = Promise.resolve(connection);
    this.publicKey = key.publicKey;
    this.keyid = keyId(key.publicKey);
    this.serial = token.serial;
    this.tokenLabel = token.label;
    this.label = key.label;
    this.mechanism = key.algorithm === 'ed25519' ? 'CKM_EDDSA' : 'CKM_ECDSA';
  }

  async sign(message: Uint8Array): Promise<Uint8Array> {
    const what = `token "${this.tokenLabel}" (serial ${this.serial})`;
    if (this.#closed) throw new CountersignError('signer-unavailable', `${what} is closed`);
    if (this.#hanging > 0) {
      throw new CountersignError('signer-unavailable', `${what} has not answered for ${ANSWER_MS / 1000} s`);
    }
    const opening = (this.#connection ??= this.#reopen());
    try {
      const connection = await opening;
      if (this.mechanism === 'CKM_EDDSA') return await this.#answered(connection.sign(message));
      const digest = createHash('sha256').update(message).digest();
      return derSignature(await this.#answered(connection.sign(digest)));
    } catch (error) {
      if (this.#connection === opening) this.#connection = undefined;
      opening.then(
        (connection) => {
          connection.abandon();
        },
        () => undefined,
      );
      if (isPinRefused(error)) this.#refused = tokenUnavailable(what, error);
      throw tokenUnavailable(`${what} does not sign`, error);
    }
  }

  async close(): Promise<void> {
    this.#closed = true;
    const connection = await this.#connection?.catch(() => undefined);
    this.#connection = undefined;
    connection?.abandon();
  }

  async #reopen(): Promise<TokenConnection> {
    if (this.#refused !== undefined) throw this.#refused;
    let connection: TokenConnection;
    try {
      connection = await TokenConnection.open(this.#login);
    } catch (error) {
      if (!(error instanceof CountersignError) || error.code === 'signer-unavailable') throw error;
      const wrapped = new CountersignError('signer-unavailable', error.message, { cause: error });
      // The PIN was refused, now or before: it will be next time, and the token counts.
      if (error.code === 'secret-unreadable') this.#refused = wrapped;
      throw wrapped;
    }
    const found = keyId(connection.key.publicKey);
    if (!this.#closed && found === this.keyid) return connection;
    connection.abandon();
    throw new CountersignError(
      'signer-unavailable',
      this.#closed
        ? 'the signer is closed'
        : `the token that came back has key ${found} in the place of ${this.keyid}`,
    );
  }

  /** What the token answers, or `signer-unavailable` when it takes too long. */
  async #answered(signature: Promise<Buffer>): Promise<Buffer> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(() => {
        this.#hanging += 1;
        const settled = (): void => {
          this.#hanging -= 1;
        };
        signature.then(settled, settled);
        reject(new CountersignError('signer-unavailable', `no answer in ${ANSWER_MS / 1000} s`));
      }, ANSWER_MS);
    });
    try {
      return await Promise.race([signature, late]);
    } finally {
      clearTimeout(timer);
    }
  }
}
