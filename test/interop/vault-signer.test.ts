// Signers in a real OpenBao: every login, rotation, and everything that takes a key service away for a while.
import { generateKeyPairSync } from 'node:crypto';
import { createServer, type IncomingMessage } from 'node:http';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { readFile, writeFile } from 'node:fs/promises';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { utf8 } from '../../src/lib/bytes.ts';
import { systemClock } from '../../src/lib/clock.ts';
import { encryptPrivateKey } from '../../src/lib/passphrase-file.ts';
import { readSecretFile } from '../../src/secrets.ts';
import type { Signer } from '../../src/signing/signer.ts';
import { VaultClient } from '../../src/signing/vault/client.ts';
import { openKvSigner } from '../../src/signing/vault/kv-signer.ts';
import type { VaultLogin } from '../../src/signing/vault/settings.ts';
import { generateTransitKey } from '../../src/signing/vault/transit-key.ts';
import { openTransitSigner } from '../../src/signing/vault/transit-signer.ts';
import { parsePublicKey } from '../../src/tuf/keys.ts';
import { signerContract } from '../contracts/signer.contract.ts';
import { eventually } from '../support/publisher-process.ts';
import { OpenBao, openBao } from '../../scripts/interop/openbao.ts';

const ALGORITHMS = ['ed25519', 'ecdsa-p256'] as const;

describe.skipIf(openBao.program === undefined)(`${openBao.name} ${openBao.reason}`, () => {
  let bao: OpenBao;
  let policy: string;
  beforeAll(async () => {
    bao = await OpenBao.start();
    policy = await bao.documentedPolicy();
    for (const algorithm of ALGORITHMS) await makeKey(algorithm, algorithm);
    await makeKey('online', 'ed25519');
    await bao.ask('PUT', 'sys/policies/acl/contract', {
      policy:
        'path "transit/sign/*" { capabilities = ["update"] }\npath "transit/keys/*" { capabilities = ["read"] }',
    });
  });
  afterAll(() => bao.stop());

  const staticToken = (token: string): VaultLogin => ({
    method: 'token',
    token: () => Promise.resolve(token),
  });

  async function makeKey(key: string, algorithm: (typeof ALGORITHMS)[number]) {
    const token = await bao.token('root');
    const client = new VaultClient({ address: bao.address, login: staticToken(token) }, systemClock);
    try {
      return await generateTransitKey(client, { mount: 'transit', key }, algorithm);
    } finally {
      await client.close();
    }
  }

  const warnings: string[] = [];
  async function open(
    login: VaultLogin,
    options: { key?: string; trusted?: string[]; version?: number } = {},
  ) {
    warnings.length = 0;
    return openTransitSigner({
      settings: { address: bao.address, login },
      name: { mount: 'transit', key: options.key ?? 'online' },
      version: options.version,
      clock: systemClock,
      trusted: options.trusted ?? [],
      warn: (message) => warnings.push(message),
    });
  }

  async function expectSigns(signer: Signer): Promise<void> {
    const [signature] = await signer.sign([utf8('x')]);
    expect(await parsePublicKey(signer.publicKey).verify(utf8('x'), signature!)).toBe(true);
  }

  function closing<T extends { close(): Promise<void> }>(signer: T): T {
    onTestFinished(() => signer.close());
    return signer;
  }

  for (const algorithm of ALGORITHMS) {
    signerContract(`vault transit, ${algorithm}`, async () =>
      open(staticToken(await bao.token('contract')), { key: algorithm }),
    );
  }

  test('keys cannot be exported, and are not made twice', async () => {
    const { data } = (await bao.ask('GET', 'transit/keys/online')) as { data: Record<string, unknown> };
    expect(data).toMatchObject({ exportable: false, allow_plaintext_backup: false, type: 'ed25519' });
    await expect(makeKey('online', 'ed25519')).rejects.toMatchObject({ code: 'file-exists' });
  });

  test('messages go in bounded requests and come back in their order', async () => {
    const signer = closing(await open(staticToken(await bao.token(policy))));
    const messages = Array.from({ length: 40 }, (_, i) => new Uint8Array(223_000).fill(i));
    messages.splice(7, 0, new Uint8Array(541_000), new Uint8Array(0));
    const signatures = await signer.sign(messages);
    const key = parsePublicKey(signer.publicKey);
    for (const [i, message] of messages.entries())
      expect(await key.verify(message, signatures[i]!)).toBe(true);
  });

  test('the policy of the documentation allows signing and nothing else', async () => {
    const token = await bao.token(policy);
    await expectSigns(closing(await open(staticToken(token))));
    const client = new VaultClient({ address: bao.address, login: staticToken(token) }, systemClock);
    closing(client);
    for (const [name, body] of [
      ['transit/keys/online/rotate', {}],
      ['transit/keys/online/config', { exportable: true }],
      ['transit/keys/other', { type: 'ed25519' }],
      ['transit/sign/ed25519', { input: '' }],
    ] as const) {
      await expect(client.write(name, body)).rejects.toMatchObject({
        code: 'signer-unavailable',
        message: expect.stringContaining(`${name}: 403, permission denied`) as unknown,
      });
    }
    await expect(open(staticToken(token), { key: 'ed25519' })).rejects.toThrow('permission denied');
  });

  test('a wrong token is named by what failed and never shown', async () => {
    const error = await open(staticToken('s.notatoken123')).catch((reason: unknown) => reason);
    expect(error).toMatchObject({ code: 'signer-unavailable' });
    const { message, stack } = error as Error;
    expect(message).toContain(`vault ${bao.address}: auth/token/lookup-self: 403`);
    expect(`${message} ${stack ?? ''} ${JSON.stringify(error)}`).not.toContain('notatoken123');
  });

  test('a token is renewed before it ends, while nothing is signed', async () => {
    const token = await bao.token(policy, { ttl: '3s', renewable: true });
    const signer = closing(await open(staticToken(token)));
    const endsAt = systemClock.now() + 5000;
    await eventually('the first life of the token is over', () =>
      Promise.resolve(systemClock.now() > endsAt),
    );
    await expectSigns(signer);
  });

  test('AppRole: logs in, and again when a token has reached its greatest age', async () => {
    const { roleId, secretIdFile } = await bao.appRole(policy, { token_ttl: '2s', token_max_ttl: '3s' });
    const login: VaultLogin = {
      method: 'approle',
      mount: 'approle',
      roleId,
      secretId: () => readSecretFile(secretIdFile, 'secret id file'),
    };
    const signer = closing(await open(login));
    const endsAt = systemClock.now() + 6000;
    while (systemClock.now() < endsAt) await expectSigns(signer);
  });

  test('a revoked token is replaced by a new login at once', async () => {
    const { roleId, secretIdFile } = await bao.appRole(policy, { token_ttl: '1h', token_max_ttl: '0' });
    const secretId = (): Promise<string> => readSecretFile(secretIdFile, 'secret id file');
    const signer = closing(await open({ method: 'approle', mount: 'approle', roleId, secretId }));
    await bao.ask('POST', 'sys/leases/revoke-prefix/auth/approle/login', {});
    await expectSigns(signer);
    await writeFile(secretIdFile, 'another-secret-id', { mode: 0o600 });
    await bao.ask('POST', 'sys/leases/revoke-prefix/auth/approle/login', {});
    const error = await signer.sign([utf8('x')]).catch((reason: unknown) => reason);
    expect(error).toMatchObject({ code: 'signer-unavailable' });
    expect((error as Error).message).toContain('auth/approle/login');
    expect((error as Error).message).not.toContain('another-secret-id');
  });

  test('Kubernetes: the token of the service account is reviewed by the cluster', async () => {
    const cluster = await fakeCluster();
    await bao.ask('POST', 'auth/kubernetes/config', {
      kubernetes_host: cluster.address,
      // Not used: the cluster speaks plain HTTP.
      kubernetes_ca_cert: await readFile(bao.caFile, 'utf8'),
      token_reviewer_jwt: jwt('reviewer'),
      disable_local_ca_jwt: true,
    });
    await bao.ask('POST', 'auth/kubernetes/role/countersign', {
      bound_service_account_names: ['countersign'],
      bound_service_account_namespaces: ['index'],
      token_policies: [policy],
      token_ttl: '1h',
    });
    const login = (account: string): VaultLogin => ({
      method: 'kubernetes',
      mount: 'kubernetes',
      role: 'countersign',
      jwt: () => Promise.resolve(jwt(account)),
    });
    await expectSigns(closing(await open(login('countersign'))));
    expect(cluster.reviewed).toContain(jwt('countersign'));
    await expect(open(login('stranger'))).rejects.toMatchObject({
      code: 'signer-unavailable',
      message: expect.stringContaining('auth/kubernetes/login: 403') as unknown,
    });
  });

  test('a rotated key signs with the version that the repository trusts, and says so', async () => {
    const first = await makeKey('rotated', 'ecdsa-p256');
    await bao.ask('POST', 'transit/keys/rotated/rotate', {});
    const login = staticToken(await bao.token('contract'));
    const trusted = closing(await open(login, { key: 'rotated', trusted: [first.keyid] }));
    expect(trusted.keyid).toBe(first.keyid);
    expect(warnings).toEqual([
      expect.stringMatching(/rotated: signing with version 1 .*the latest, version 2 .*is not trusted yet/),
    ]);
    await expectSigns(trusted);
    const next = closing(await open(login, { key: 'rotated', trusted: [first.keyid], version: 2 }));
    expect(next.keyid).not.toBe(first.keyid);
    await expectSigns(next);
    expect(warnings).toEqual([]);
    await expect(open(login, { key: 'rotated', version: 3 })).rejects.toThrow(
      'has no version 3; it has 2, 1',
    );
    await bao.ask('POST', 'transit/keys/rotated/config', { min_encryption_version: 2 });
    await expect(trusted.sign([utf8('x')])).rejects.toMatchObject({ code: 'signer-unavailable' });
  });

  test('a key of another kind is refused', async () => {
    await bao.ask('POST', 'transit/keys/rsa', { type: 'rsa-2048' });
    const login = staticToken(await bao.token('contract'));
    await expect(open(login, { key: 'rsa' })).rejects.toMatchObject({
      code: 'config-invalid',
      message: expect.stringContaining('"rsa-2048", expected ed25519 or ecdsa-p256') as unknown,
    });
    await expect(open(login, { key: 'absent' })).rejects.toThrow('404, there is no such key');
  });

  test('TLS: the server must be known, by its own CA file if need be', async () => {
    const login = staticToken(await bao.token(policy));
    const openTls = (ca?: string) =>
      openTransitSigner({
        settings: { address: bao.tlsAddress, login, ...(ca === undefined ? {} : { ca }) },
        name: { mount: 'transit', key: 'online' },
        clock: systemClock,
        trusted: [],
        warn: () => undefined,
      });
    await expectSigns(closing(await openTls(await readFile(bao.caFile, 'utf8'))));
    await expect(openTls()).rejects.toMatchObject({
      code: 'signer-unavailable',
      message: expect.stringContaining('DEPTH_ZERO_SELF_SIGNED_CERT') as unknown,
    });
  });

  test('a key in the key-value engine: age, PEM, versions 1 and 2, and what is none', async () => {
    const { privateKey } = generateKeyPairSync('ed25519');
    const pem = privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
    const age = await encryptPrivateKey(privateKey, 'a passphrase', 10);
    await bao.ask('POST', 'secret/data/countersign', { data: { age, pem, bad: 'no key', number: 7 } });
    await bao.ask('POST', 'plain/countersign', { pem });
    const login = staticToken(await bao.token('root'));
    const openKv = (mount: string, engine: 1 | 2, field: string, passphrase = 'a passphrase') =>
      openKvSigner({
        settings: { address: bao.address, login },
        name: { mount, path: 'countersign', field, engine },
        clock: systemClock,
        passphrase: () => Promise.resolve(passphrase),
      });
    const signers = [
      await openKv('secret', 2, 'age'),
      await openKv('secret', 2, 'pem'),
      await openKv('plain', 1, 'pem'),
    ];
    expect(new Set(signers.map(({ keyid }) => keyid)).size).toBe(1);
    for (const signer of signers) await expectSigns(signer);
    for (const field of ['bad', 'number', 'absent']) {
      await expect(openKv('secret', 2, field)).rejects.toMatchObject({ code: 'secret-unreadable' });
    }
    await expect(openKv('secret', 2, 'age', 'wrong')).rejects.toThrow('does not open with this passphrase');
  });

  describe('when the server is', () => {
    test('sealed, then unsealed', async () => {
      const signer = closing(await open(staticToken(await bao.token(policy))));
      await bao.ask('PUT', 'sys/seal');
      await expect(signer.sign([utf8('x')])).rejects.toMatchObject({
        code: 'signer-unavailable',
        message: `vault ${bao.address}: transit/sign/online: it is sealed: unseal it`,
      });
      await bao.unseal();
      await expectSigns(signer);
    });

    test('killed, started, unsealed', async () => {
      const signer = closing(await open(staticToken(await bao.token(policy))));
      await bao.kill();
      await expect(signer.sign([utf8('x')])).rejects.toMatchObject({
        code: 'signer-unavailable',
        message: `vault ${bao.address}: transit/sign/online: nothing listens there (ECONNREFUSED)`,
      });
      await bao.run();
      await expect(signer.sign([utf8('x')])).rejects.toThrow('it is sealed');
      await bao.unseal();
      await expectSigns(signer);
    });
  });
});

/** An unsigned token of a service account: the cluster is asked whether it is good. */
function jwt(account: string): string {
  const part = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url');
  const claims = {
    iss: 'kubernetes/serviceaccount',
    sub: `system:serviceaccount:index:${account}`,
    'kubernetes.io/serviceaccount/namespace': 'index',
    'kubernetes.io/serviceaccount/service-account.name': account,
    'kubernetes.io/serviceaccount/service-account.uid': `uid-of-${account}`,
  };
  return `${part({ alg: 'RS256', typ: 'JWT' })}.${part(claims)}.${Buffer.from('signature').toString('base64url')}`;
}

/** The one call of a Kubernetes API server that the login makes: TokenReview. */
async function fakeCluster(): Promise<{ address: string; reviewed: string[] }> {
  const reviewed: string[] = [];
  const server = createServer((request, response) => {
    void review(request).then((answer) => {
      response.setHeader('content-type', 'application/json').end(JSON.stringify(answer));
    });
  }).listen(0, '127.0.0.1');
  onTestFinished(() => void server.close());
  await once(server, 'listening');
  return { address: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, reviewed };

  async function review(request: IncomingMessage): Promise<object> {
    const body = Buffer.concat(await request.toArray()).toString();
    const { spec } = JSON.parse(body) as { spec: { token: string } };
    reviewed.push(spec.token);
    const account = ['countersign', 'stranger'].find((name) => spec.token === jwt(name));
    const user = { username: `system:serviceaccount:index:${account ?? ''}`, uid: `uid-of-${account ?? ''}` };
    const status = { authenticated: account !== undefined, user };
    return { apiVersion: 'authentication.k8s.io/v1', kind: 'TokenReview', status };
  }
}
