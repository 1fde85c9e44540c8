// A server in the place of AWS KMS whose answers never come to their end.
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { expect, onTestFinished, test, vi } from 'vitest';
import { openKmsSigner } from '../../src/signing/kms-signer.ts';

test('an answer that comes a byte at a time is given up', async () => {
  const server = createServer((_request, response) => {
    response.writeHead(200, { 'content-type': 'application/x-amz-json-1.1' });
    const drip = setInterval(() => response.write(' '), 50);
    response.on('close', () => {
      clearInterval(drip);
    });
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  vi.stubEnv('AWS_ACCESS_KEY_ID', 'x');
  vi.stubEnv('AWS_SECRET_ACCESS_KEY', 'x');
  onTestFinished(() => {
    vi.unstubAllEnvs();
    server.closeAllConnections();
    server.close();
  });
  const endpoint = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  await expect(
    openKmsSigner({ key: 'alias/online', region: 'eu-central-1', endpoint }, 400),
  ).rejects.toMatchObject({
    code: 'signer-unavailable',
    message: expect.stringMatching(/KMS key alias\/online: .*no answer in time/) as string,
  });
});
