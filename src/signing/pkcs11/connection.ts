// A login to one token, with a few sessions that sign at the same time. It lives until something fails: then all of it
// is given up, and the next signature begins with a new one (./token-key.ts).
import type { Handle } from 'pkcs11js';
import { CountersignError } from '../../lib/errors.ts';
import type { KeyUri } from '../../lib/pkcs11-uri.ts';
import type { TokenAlgorithm } from './der.ts';
import { tokenCode, tokenUnavailable } from './failures.ts';
import { login, loginForSignature } from './login.ts';
import { acquireModule, type TokenModule } from './module.ts';
import { findPrivateKey, readKey, type KeyOnToken } from './objects.ts';
import { findToken, type TokenInfo } from './tokens.ts';

/** Half of libuv's threads: a token that hangs must leave the others to the file system. */
const MAX_SESSIONS = 2;

const CKF_SERIAL_SESSION = 4;

/** CKM_EDDSA and CKM_ECDSA (PKCS#11 3.0, 2.3). */
export const SIGN_MECHANISM: Readonly<Record<TokenAlgorithm, number>> = {
  ed25519: 0x1057,
  'ecdsa-p256': 0x1041,
};

/** Bytes; a signature of either kind has 64. */
const SIGNATURE_BYTES = 144;

interface Session {
  readonly handle: Handle;
  readonly key: Handle;
}

export interface Login {
  readonly uri: KeyUri;
  readonly pin: string;
  readonly unattended: boolean;
}

export class TokenConnection {
  readonly token: TokenInfo;
  readonly key: KeyOnToken;
  readonly #module: TokenModule;
  readonly #slot: Handle;
  readonly #login: Login;
  readonly #idle: Session[];
  readonly #waiting: ((session: Session | undefined) => void)[] = [];
  /** What the token is working on: the native worker itself does not keep these buffers alive. */
  readonly #atWork = new Set<Buffer>();
  #sessions = 1;
  #limit = MAX_SESSIONS;
  #abandoned = false;

  private constructor(
    module: TokenModule,
    slot: Handle,
    token: TokenInfo,
    key: KeyOnToken,
    options: Login,
    first: Session,
  ) {
    this.#module = module;
    this.#slot = slot;
    this.token = token;
    this.key = key;
    this.#login = options;
    this.#idle = [first];
  }

  /** @throws CountersignError `config-invalid`, `secret-unreadable`, `signer-unavailable`. */
  static async open(options: Login): Promise<TokenConnection> {
    const { uri, pin, unattended } = options;
    const module = await acquireModule(uri.modulePath);
    try {
      const token = findToken(module, uri);
      const { api } = module;
      const handle = api.C_OpenSession(token.slot, CKF_SERIAL_SESSION);
      try {
        login(module, handle, token, pin, unattended);
        const privateKey = findPrivateKey(api, handle, uri);
        const key = readKey(api, handle, uri, privateKey);
        const first = { handle, key: privateKey };
        return new TokenConnection(module, token.slot, token.info, key, options, first);
      } catch (error) {
        closeSession(module, handle);
        throw error;
      }
    } catch (error) {
      module.release();
      throw tokenUnavailable(`the token of ${uri.modulePath} cannot be used`, error);
    }
  }

  /** The signature as the token gives it. @throws the token's own error. */
  async sign(data: Uint8Array): Promise<Buffer> {
    const session = await this.#take();
    // Own memory: the caller's could change while another thread reads it. One byte longer than the message: an empty
    // one must have an address too (CKR_ARGUMENTS_BAD).
    const input = Buffer.alloc(data.length + 1).subarray(0, data.length);
    input.set(data);
    const output = Buffer.alloc(SIGNATURE_BYTES);
    this.#atWork.add(input);
    try {
      const { api } = this.#module;
      api.C_SignInit(session.handle, { mechanism: SIGN_MECHANISM[this.key.algorithm] }, session.key);
      if (this.key.alwaysAuthenticate) loginForSignature(this.#module, session.handle, this.#login.pin);
      return Buffer.from(await api.C_SignAsync(session.handle, input, output));
    } finally {
      this.#atWork.delete(input);
      this.#giveBack(session);
    }
  }

  /** No new signature begins; the sessions are closed when those in hand have ended. */
  abandon(): void {
    if (this.#abandoned) return;
    this.#abandoned = true;
    for (const wake of this.#waiting.splice(0)) wake(undefined);
    for (const session of this.#idle.splice(0)) this.#close(session);
  }

  async #take(): Promise<Session> {
    const idle = this.#idle.pop();
    if (idle !== undefined) return idle;
    const session = this.#abandoned ? undefined : (this.#another() ?? (await this.#nextGivenBack()));
    if (session === undefined) {
      throw new CountersignError(
        'signer-unavailable',
        `token "${this.token.label}": the connection was given up`,
      );
    }
    return session;
  }

  #nextGivenBack(): Promise<Session | undefined> {
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  /** One more session, or undefined when there are as many as there may be. */
  #another(): Session | undefined {
    if (this.#sessions >= this.#limit) return undefined;
    try {
      const handle = this.#module.api.C_OpenSession(this.#slot, CKF_SERIAL_SESSION);
      const key = findPrivateKey(this.#module.api, handle, this.#login.uri);
      this.#sessions += 1;
      return { handle, key };
    } catch (error) {
      if (tokenCode(error) !== 'CKR_SESSION_COUNT') throw error;
      // The token has no more: those that are open must do.
      this.#limit = this.#sessions;
      return undefined;
    }
  }

  #giveBack(session: Session): void {
    if (this.#abandoned) {
      this.#close(session);
      return;
    }
    const next = this.#waiting.shift();
    if (next === undefined) this.#idle.push(session);
    else next(session);
  }

  #close({ handle }: Session): void {
    closeSession(this.#module, handle);
    this.#sessions -= 1;
    if (this.#sessions === 0) this.#module.release();
  }
}

/** A session that the token has lost cannot be closed, and need not be. */
export function closeSession({ api }: TokenModule, handle: Handle): void {
  try {
    api.C_CloseSession(handle);
  } catch {
    // Gone already.
  }
}
