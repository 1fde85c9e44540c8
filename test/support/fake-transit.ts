// A key service that speaks Vault's protocol and lies as a test tells it to. Its key is a throwaway one, so that a test
// repository trusts it.
import { createPublicKey, sign } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import { onTestFinished } from 'vitest';
import { throwawayKey } from './throwaway-signer.ts';

export type Lie =
  | 'none'
  /** Version 2 signs, and the answer says so. */
  | 'next version'
  /** Version 2 signs, and the answer says version 1. */
  | 'other key'
  | 'truncated'
  | 'swapped'
  | 'one too few'
  | 'no signature'
  | 'an error among them'
  | 'not JSON'
  | 'sealed';

export interface FakeTransit {
  readonly port: number;
  readonly address: string;
  lie: Lie;
  /** How many messages were to be signed so far. */
  asked: number;
}

/** @param seed of the throwaway key that is version 1; version 2 is that of the next seed. */
export async function fakeTransit(seed: number, port = 0): Promise<FakeTransit> {
  const server = createServer((request, response) => {
    void answer(request).then(([status, body]) => {
      response.writeHead(status, { 'content-type': 'application/json' }).end(body);
    });
  }).listen(port, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(async () => {
    server.closeAllConnections();
    server.close();
    await once(server, 'close');
  });
  const bound = (server.address() as AddressInfo).port;
  const service: FakeTransit = { port: bound, address: `http://127.0.0.1:${bound}`, lie: 'none', asked: 0 };

  async function answer(request: IncomingMessage): Promise<[status: number, body: string]> {
    const body = Buffer.concat(await request.toArray()).toString();
    if (service.lie === 'sealed') return [503, '{"errors":["Vault is sealed"]}'];
    if (request.url?.endsWith('lookup-self') === true) return [200, '{"data":{"ttl":0,"renewable":false}}'];
    if (request.method === 'GET') {
      const keys = { 1: { public_key: publicKey(seed) }, 2: { public_key: publicKey(seed + 1) } };
      return [200, JSON.stringify({ data: { type: 'ed25519', keys } })];
    }
    const { batch_input: batch } = JSON.parse(body) as { batch_input: { input: string }[] };
    service.asked += batch.length;
    if (service.lie === 'not JSON') return [200, '<html>'];
    return [200, JSON.stringify({ data: { batch_results: results(batch.map(({ input }) => input)) } })];
  }

  function results(inputs: readonly string[]): object[] {
    const { lie } = service;
    const key = throwawayKey(lie === 'next version' || lie === 'other key' ? seed + 1 : seed);
    const version = lie === 'next version' ? 2 : 1;
    const honest = inputs.map((input): { signature?: string; error?: string } => {
      const signature = sign(null, Buffer.from(input, 'base64'), key);
      const bytes = lie === 'truncated' ? signature.subarray(0, 63) : signature;
      return { signature: `vault:v${version}:${bytes.toString('base64')}` };
    });
    if (lie === 'swapped') honest.reverse();
    if (lie === 'one too few') honest.pop();
    if (lie === 'no signature') honest[0] = {};
    if (lie === 'an error among them') honest[0] = { error: 'requested version is not available' };
    return honest;
  }

  return service;
}

function publicKey(seed: number): string {
  const der = createPublicKey(throwawayKey(seed)).export({ type: 'spki', format: 'der' });
  return der.subarray(-32).toString('base64');
}
