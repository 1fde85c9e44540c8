// Requests to one Vault server, through node-vault. That library reads the environment, switches TLS checks off when a
// variable says so, and can log what it sends: all of this is shut off here.
import { Agent as HttpAgent } from 'node:http';
import { Agent as HttpsAgent } from 'node:https';
import nodeVault from 'node-vault';
import type { VaultSettings } from './settings.ts';

export interface VaultRequest {
  readonly method: 'GET' | 'POST';
  /** Without the version: `transit/sign/online`. */
  readonly path: string;
  readonly body?: object;
  /** Absent for a login. */
  readonly token?: string;
}

export interface VaultTransport {
  /** The body of a 2xx answer. @throws what node-vault throws (./failures.ts reads it). */
  send(request: VaultRequest): Promise<unknown>;
  /** Closes the connections that are kept. */
  close(): void;
}

/** Milliseconds for one request with its answer. */
export const REQUEST_MS = 15_000;

export function openTransport({ address, namespace, ca }: VaultSettings): VaultTransport {
  const secure = address.startsWith('https:');
  const httpsAgent = new HttpsAgent({
    keepAlive: true,
    rejectUnauthorized: true,
    ...(ca === undefined ? {} : { ca }),
  });
  const httpAgent = new HttpAgent({ keepAlive: true });
  if (secure) {
    // A redirect would be followed with the token: never out of TLS.
    httpAgent.createConnection = () => {
      throw Object.assign(new Error('no plain HTTP'), { code: 'REDIRECT_TO_PLAIN_HTTP' });
    };
  }
  // Its types lack what switches TLS checks on for good.
  const options = { endpoint: address, debug: () => undefined, rpDefaults: { strictSSL: true } };
  const client = nodeVault(options);
  // Otherwise from VAULT_TOKEN, VAULT_NAMESPACE and VAULT_PREFIX.
  Object.assign(client, { endpoint: address, token: '', namespace: namespace ?? '', pathPrefix: '' });
  return {
    send: ({ method, path, body, token }) =>
      client.request({
        method,
        path: `/${path}`,
        timeout: REQUEST_MS,
        httpAgent,
        httpsAgent,
        ...(body === undefined ? {} : { json: body }),
        headers: token === undefined ? {} : { 'X-Vault-Token': token },
      }) as Promise<unknown>,
    close: () => {
      httpAgent.destroy();
      httpsAgent.destroy();
    },
  };
}
