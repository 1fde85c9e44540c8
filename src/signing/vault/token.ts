// The token with which Vault is asked: taken by a login, renewed when half of its life is over, replaced by a new login
// when it can no longer be renewed. A token from a file is renewed too, and the file is read again when it has ended.
import { setMaxListeners } from 'node:events';
import type { Clock } from '../../lib/clock.ts';
import { CountersignError } from '../../lib/errors.ts';
import { field, vaultUnavailable } from './failures.ts';
import type { VaultLogin } from './settings.ts';
import type { VaultTransport } from './transport.ts';

/** Milliseconds between two tries to renew, when one failed. */
const RETRY_MS = 5000;

/** The longest sleep of a timer in Node: 2^31 - 1 milliseconds. */
const LONGEST_MS = 2_147_483_647;

interface Held {
  readonly token: string;
  /** Milliseconds of life when it was taken or renewed; 0: it does not end. */
  readonly ttlMs: number;
  readonly since: number;
  readonly renewable: boolean;
}

export class VaultToken {
  readonly #transport: VaultTransport;
  readonly #address: string;
  readonly #login: VaultLogin;
  readonly #clock: Clock;
  readonly #closing = new AbortController();
  #held: Held | undefined;
  #taking: Promise<Held> | undefined;
  #keeper: Promise<void> | undefined;

  constructor(transport: VaultTransport, address: string, login: VaultLogin, clock: Clock) {
    this.#transport = transport;
    this.#address = address;
    this.#login = login;
    this.#clock = clock;
    setMaxListeners(0, this.#closing.signal);
  }

  /**
   * A token that has not ended by our clock.
   * @throws CountersignError `signer-unavailable`, `secret-unreadable` when the login's own secret cannot be read.
   */
  async get(): Promise<string> {
    const held = this.#held;
    if (held !== undefined && (held.ttlMs === 0 || this.#clock.now() < held.since + held.ttlMs))
      return held.token;
    return (await this.#take()).token;
  }

  /** The server did not accept this token: the next `get` begins with a login. */
  reject(token: string): void {
    if (this.#held?.token === token) this.#held = undefined;
  }

  async close(): Promise<void> {
    this.#closing.abort();
    this.#held = undefined;
    await this.#keeper;
  }

  #take(): Promise<Held> {
    this.#taking ??= this.#logIn().finally(() => {
      this.#taking = undefined;
    });
    return this.#taking;
  }

  async #logIn(): Promise<Held> {
    if (this.#closing.signal.aborted)
      throw new CountersignError('signer-unavailable', 'the signer is closed');
    const login = this.#login;
    let held: Held;
    if (login.method === 'token') {
      const token = await login.token();
      const answer = await this.#send('GET', 'auth/token/lookup-self', undefined, [token], token);
      const data = field(answer, 'data');
      held = this.#holding(token, field(data, 'ttl'), field(data, 'renewable'));
    } else {
      const [path, body, secret] = await loginRequest(login);
      const auth = field(await this.#send('POST', path, body, [secret]), 'auth');
      const token = field(auth, 'client_token');
      if (typeof token !== 'string' || token === '') {
        throw new CountersignError('signer-unavailable', `vault ${this.#address}: ${path} gave no token`);
      }
      held = this.#holding(token, field(auth, 'lease_duration'), field(auth, 'renewable'));
    }
    this.#held = held;
    this.#keeper ??= this.#keep();
    return held;
  }

  #holding(token: string, seconds: unknown, renewable: unknown): Held {
    const ttlMs = typeof seconds === 'number' && seconds > 0 ? seconds * 1000 : 0;
    return { token, ttlMs, since: this.#clock.now(), renewable: renewable === true };
  }

  async #send(
    method: 'GET' | 'POST',
    path: string,
    body: object | undefined,
    secrets: readonly string[],
    token?: string,
  ): Promise<unknown> {
    try {
      return await this.#transport.send({
        method,
        path,
        ...(body === undefined ? {} : { body }),
        ...(token === undefined ? {} : { token }),
      });
    } catch (error) {
      throw vaultUnavailable(this.#address, path, error, secrets);
    }
  }

  /** Renews for as long as the signer is open, also when nothing is signed for days. */
  async #keep(): Promise<void> {
    const { signal } = this.#closing;
    while (!signal.aborted) {
      const held = this.#held;
      if (held === undefined || held.ttlMs === 0) {
        await this.#clock.sleep(RETRY_MS, signal);
        continue;
      }
      // Never more than that, and not asked anew afterwards: a clock that was put back must not make a token end.
      const left = Math.min(held.since + held.ttlMs / 2 - this.#clock.now(), held.ttlMs / 2);
      if (left > 0) {
        await this.#clock.sleep(Math.min(left, LONGEST_MS), signal);
        if (left > LONGEST_MS || this.#held !== held) continue;
      }
      try {
        await this.#renew(held);
      } catch {
        // The next signature says what is wrong; until the token ends there is time to try again.
        const hasEnded = this.#clock.now() >= held.since + held.ttlMs;
        await this.#clock.sleep(hasEnded ? RETRY_MS : Math.min(RETRY_MS, held.ttlMs / 10), signal);
      }
    }
  }

  async #renew(held: Held): Promise<void> {
    if (held.renewable) {
      const path = 'auth/token/renew-self';
      const answer = await this.#send('POST', path, {}, [held.token], held.token).catch((error: unknown) => {
        if (this.#login.method === 'token') throw error;
        return undefined;
      });
      const auth = field(answer, 'auth');
      const renewed = this.#holding(held.token, field(auth, 'lease_duration'), field(auth, 'renewable'));
      // Near its greatest age a token is given ever less: then a login is due, where one is possible.
      if (renewed.ttlMs > held.ttlMs / 2 || (this.#login.method === 'token' && renewed.ttlMs > 0)) {
        if (this.#held === held) this.#held = renewed;
        return;
      }
    }
    await this.#take();
  }
}

type Login = Exclude<VaultLogin, { method: 'token' }>;

async function loginRequest(login: Login): Promise<[path: string, body: object, secret: string]> {
  if (login.method === 'approle') {
    const secret = await login.secretId();
    return [`auth/${login.mount}/login`, { role_id: login.roleId, secret_id: secret }, secret];
  }
  const jwt = await login.jwt();
  return [`auth/${login.mount}/login`, { role: login.role, jwt }, jwt];
}
