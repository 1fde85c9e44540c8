// A Vault server as the signers ask it: with a valid token, and with a fresh one when the server has forgotten it.
import type { Clock } from '../../lib/clock.ts';
import { answerOf, vaultUnavailable } from './failures.ts';
import type { VaultSettings } from './settings.ts';
import { VaultToken } from './token.ts';
import { openTransport, type VaultTransport } from './transport.ts';

export class VaultClient {
  readonly address: string;
  readonly #transport: VaultTransport;
  readonly #token: VaultToken;

  constructor(settings: VaultSettings, clock: Clock) {
    this.address = settings.address;
    this.#transport = openTransport(settings);
    this.#token = new VaultToken(this.#transport, settings.address, settings.login, clock);
  }

  /** @throws CountersignError `signer-unavailable` that names address, path and reason. */
  read(path: string): Promise<unknown> {
    return this.#request('GET', path);
  }

  /** The same, or undefined when the server answers 404. */
  async find(path: string): Promise<unknown> {
    return this.#request('GET', path, undefined, true);
  }

  /** @throws CountersignError `signer-unavailable`. */
  write(path: string, body: object): Promise<unknown> {
    return this.#request('POST', path, body);
  }

  async close(): Promise<void> {
    await this.#token.close();
    this.#transport.close();
  }

  async #request(method: 'GET' | 'POST', path: string, body?: object, mayBeAbsent = false): Promise<unknown> {
    const token = await this.#token.get();
    const request = { method, path, ...(body === undefined ? {} : { body }) };
    try {
      return await this.#transport.send({ ...request, token });
    } catch (error) {
      const status = answerOf(error)?.status;
      if (status === 404 && mayBeAbsent) return undefined;
      if (status !== 403) throw vaultUnavailable(this.address, path, error, [token]);
    }
    // 403 is the answer to an ended or revoked token, and to a policy that does not allow the request: one fresh
    // login tells which.
    this.#token.reject(token);
    const fresh = await this.#token.get();
    try {
      return await this.#transport.send({ ...request, token: fresh });
    } catch (error) {
      if (answerOf(error)?.status === 404 && mayBeAbsent) return undefined;
      throw vaultUnavailable(this.address, path, error, [fresh]);
    }
  }
}
