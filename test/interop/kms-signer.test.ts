// The KMS signer against moto: an emulator, which answers KMS's own protocol over HTTP with real signatures, after
// moto_kms.py has taught it to sign digests. Limits and refusals of Amazon's service that it does not have are answered by a server of the test's.
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import process from 'node:process';
import { fileURLToPath } from 'node:url';
import {
  CreateAliasCommand,
  CreateKeyCommand,
  KMSClient,
  UpdateAliasCommand,
  type KeySpec,
} from '@aws-sdk/client-kms';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { installMoto } from '../../scripts/interop/key-services.ts';
import { utf8 } from '../../src/lib/bytes.ts';
import { openKmsSigner } from '../../src/signing/kms-signer.ts';
import { parsePublicKey } from '../../src/tuf/keys.ts';
import { signerContract } from '../contracts/signer.contract.ts';
import {
  freePort,
  startProcess,
  untilReady,
  type ServerProcess,
} from '../../scripts/interop/server-process.ts';

const moto = await installMoto();
const EMULATOR = fileURLToPath(new URL('moto_kms.py', import.meta.url));
const region = 'eu-central-1';

describe.skipIf(moto.program === undefined)(`${moto.name} ${moto.reason}`, () => {
  let server: ServerProcess;
  let endpoint: string;
  let client: KMSClient;
  beforeAll(async () => {
    // Standard names, so that the signer finds them as it does in production.
    Object.assign(process.env, { AWS_ACCESS_KEY_ID: 'interop', AWS_SECRET_ACCESS_KEY: 'interop-secret' });
    const port = await freePort();
    endpoint = `http://127.0.0.1:${port}`;
    server = startProcess(moto.program!, [EMULATOR, '-H', '127.0.0.1', '-p', String(port)]);
    await untilReady(server, async () => (await fetch(`${endpoint}/moto-api/`)).ok);
    client = new KMSClient({ endpoint, region });
    await makeKey('alias/online', 'ECC_NIST_P256');
  });
  afterAll(async () => {
    client.destroy();
    await server.stop();
  });

  async function makeKey(alias: string, spec: KeySpec): Promise<string> {
    const made = await client.send(new CreateKeyCommand({ KeySpec: spec, KeyUsage: 'SIGN_VERIFY' }));
    const id = made.KeyMetadata?.KeyId ?? '';
    await client.send(new CreateAliasCommand({ AliasName: alias, TargetKeyId: id }));
    return id;
  }

  async function open(key = 'alias/online') {
    const signer = await openKmsSigner({ key, region, endpoint });
    onTestFinished(() => signer.close());
    return signer;
  }

  signerContract('AWS KMS (moto, an emulator), ecdsa-p256', () =>
    openKmsSigner({ key: 'alias/online', region, endpoint }),
  );

  test('an alias that is repointed does not change the key of a signer that is open', async () => {
    await makeKey('alias/moved', 'ECC_NIST_P256');
    const signer = await open('alias/moved');
    const other = await makeKey('alias/other', 'ECC_NIST_P256');
    await client.send(new UpdateAliasCommand({ AliasName: 'alias/moved', TargetKeyId: other }));
    const [signature] = await signer.sign([utf8('x')]);
    expect(await parsePublicKey(signer.publicKey).verify(utf8('x'), signature!)).toBe(true);
    expect((await open('alias/moved')).keyid).not.toBe(signer.keyid);
  });

  test.each(['RSA_2048', 'ECC_NIST_P384'] as const)('a key of kind %s is refused', async (spec) => {
    await makeKey(`alias/${spec}`, spec);
    await expect(open(`alias/${spec}`)).rejects.toMatchObject({
      code: 'config-invalid',
      message: expect.stringContaining('for SIGN_VERIFY, expected ECC_NIST_P256') as unknown,
    });
  });

  test('a key that is not there, and a server that is not', async () => {
    await expect(open('alias/absent')).rejects.toMatchObject({
      code: 'signer-unavailable',
      message: expect.stringContaining('NotFoundException: there is no such key') as unknown,
    });
    const nowhere = openKmsSigner({ key: 'alias/online', region, endpoint: 'http://127.0.0.1:1' });
    await expect(nowhere).rejects.toMatchObject({
      code: 'signer-unavailable',
      message: expect.stringContaining('ECONNREFUSED') as unknown,
    });
  });
});

describe('what KMS refuses is told without the request', () => {
  test.each([
    ['ThrottlingException', 'more requests than the quota'],
    ['AccessDeniedException', 'kms:GetPublicKey and kms:Sign'],
    ['DisabledException', 'the key is disabled'],
  ])('%s', async (name, words) => {
    Object.assign(process.env, { AWS_ACCESS_KEY_ID: 'interop', AWS_SECRET_ACCESS_KEY: 'interop-secret' });
    let requests = 0;
    const server = createServer((request, response) => {
      requests += 1;
      request.resume();
      response.writeHead(400, { 'content-type': 'application/x-amz-json-1.1' });
      response.end(JSON.stringify({ __type: name, message: 'because' }));
    }).listen(0, '127.0.0.1');
    await once(server, 'listening');
    onTestFinished(() => {
      server.closeAllConnections();
      server.close();
    });
    const endpoint = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    const error = await openKmsSigner({ key: 'alias/a', region, endpoint }).catch(
      (reason: unknown) => reason,
    );
    expect(error).toMatchObject({ code: 'signer-unavailable' });
    expect((error as Error).message).toContain(words);
    expect(JSON.stringify(error)).not.toContain('interop');
    expect(requests).toBe(name === 'ThrottlingException' ? 3 : 1);
  });
});
