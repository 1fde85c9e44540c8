// A server in the place of Vault, and what is on the way to it: a request ends in time, whatever it answers, and the
// token goes nowhere else.
import { once } from 'node:events';
import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { expect, onTestFinished, test, vi } from 'vitest';
import { vaultUnavailable } from '../../src/signing/vault/failures.ts';
import { openTransport } from '../../src/signing/vault/transport.ts';

const TOKEN = 'hvs.a-token-that-is-secret';

async function serve(listener: RequestListener): Promise<string> {
  const server = createServer(listener).listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

async function ask(address: string, requestMs?: number): Promise<unknown> {
  const transport = openTransport({ address }, requestMs);
  try {
    return await transport.send({ method: 'POST', path: 'transit/sign/online', body: {}, token: TOKEN });
  } catch (error) {
    throw vaultUnavailable(address, 'transit/sign/online', error, [TOKEN]);
  } finally {
    transport.close();
  }
}

test('an answer that comes a byte at a time is given up', async () => {
  const address = await serve((_request, response) => {
    response.writeHead(200, { 'content-type': 'application/json' });
    const drip = setInterval(() => response.write(' '), 50);
    response.on('close', () => {
      clearInterval(drip);
    });
  });
  await expect(ask(address, 400)).rejects.toMatchObject({
    code: 'signer-unavailable',
    message: expect.stringContaining('no answer in time') as string,
  });
});

test('an answer without end is not taken', async () => {
  let sent = 0;
  const block = Buffer.alloc(1024 * 1024, ' ');
  const address = await serve((_request, response) => {
    response.writeHead(200);
    const more = (): void => {
      while (!response.destroyed && response.write(block)) sent += block.length;
      sent += block.length;
    };
    response.on('drain', more);
    more();
  });
  await expect(ask(address)).rejects.toThrow('its answer has no end');
  expect(sent).toBeLessThan(64 * 1024 * 1024);
});

test('a proxy that the environment names is not told the token', async () => {
  const seen: string[] = [];
  const proxy = await serve((request, response) => {
    seen.push(String(request.headers['x-vault-token']));
    response.writeHead(502).end();
  });
  const address = await serve((_request, response) => response.end('{"data":{}}'));
  for (const name of ['HTTP_PROXY', 'http_proxy', 'HTTPS_PROXY', 'ALL_PROXY']) vi.stubEnv(name, proxy);
  onTestFinished(() => {
    vi.unstubAllEnvs();
  });
  expect(await ask(address)).toEqual({ data: {} });
  expect(seen).toEqual([]);
});

test('a standby node that sends to the active one is followed, an address in the clear elsewhere is not', async () => {
  const seen: string[] = [];
  const elsewhere = await serve((request, response) => {
    seen.push(String(request.headers['x-vault-token']));
    response.end('{}');
  });
  const address = await serve((request, response) => {
    if (request.url === '/v1/active') response.end(JSON.stringify({ data: request.method }));
    else response.writeHead(307, { location: to }).end();
  });
  let to = '/v1/active';
  expect(await ask(address)).toEqual({ data: 'POST' });
  to = `${elsewhere}/v1/active`;
  await expect(ask(address)).rejects.toThrow('an address without TLS');
  expect(seen).toEqual([]);
  to = '/v1/again';
  await expect(ask(address)).rejects.toThrow('from one address to the next');
});
