// Requests to one Vault server, through node-vault. That library reads the environment, switches TLS checks off when a
// variable says so, and can log what it sends: all of this is shut off here, and requests go their own way (./http.ts).
import nodeVault from 'node-vault';
import { VaultHttp, type HttpRequest } from './http.ts';
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

/** Milliseconds for one request with its whole answer. */
const REQUEST_MS = 15_000;

export function openTransport(
  { address, namespace, ca }: Pick<VaultSettings, 'address' | 'namespace' | 'ca'>,
  requestMs = REQUEST_MS,
): VaultTransport {
  const http = new VaultHttp({ requestMs, ...(ca === undefined ? {} : { ca }) });
  const client = nodeVault({
    endpoint: address,
    debug: () => undefined,
    'request-promise': { defaults: () => (request: HttpRequest) => http.send(request) },
  });
  // Otherwise from VAULT_TOKEN, VAULT_NAMESPACE and VAULT_PREFIX.
  Object.assign(client, { endpoint: address, token: '', namespace: namespace ?? '', pathPrefix: '' });
  return {
    send: ({ method, path, body, token }) =>
      client.request({
        method,
        path: `/${path}`,
        ...(body === undefined ? {} : { json: body }),
        headers: token === undefined ? {} : { 'X-Vault-Token': token },
      }) as Promise<unknown>,
    close: () => {
      http.close();
    },
  };
}
