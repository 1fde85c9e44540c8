// The whole service with its key in OpenBao: started while the server is sealed, published through it, sealed again in
// the middle, and judged by fsck.
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { loadConfig } from '../../src/config.ts';
import { sha256Hex } from '../../src/lib/bytes.ts';
import { systemClock } from '../../src/lib/clock.ts';
import { silentLogger } from '../../src/lib/log.ts';
import { openSigner } from '../../src/open-signer.ts';
import { bootstrap } from '../../src/publish/bootstrap.ts';
import { openLedger, openStore } from '../../src/open-ports.ts';
import { startService } from '../../src/service.ts';
import { BinLayout } from '../../src/tuf/bins.ts';
import { serializeBundle } from '../../src/tuf/bundle.ts';
import { envelopeFile } from '../../src/tuf/envelope.ts';
import { generateOnlineKey } from '../../src/cli/generate-key.ts';
import { expectSound } from '../support/oracle.ts';
import { eventually } from '../support/publisher-process.ts';
import { DAILY, makeOfflineKeys, testBundle } from '../support/repository.ts';
import { tempDir } from '../support/temp-dir.ts';
import { OpenBao, openBao } from '../../scripts/interop/openbao.ts';

const runtime = {
  clock: systemClock,
  log: silentLogger(),
  newId: () => 'interop',
  random: () => 0.5,
  holder: 'interop:1:1',
  isGone: () => true,
};

describe.skipIf(openBao.program === undefined)(`a service on ${openBao.name} ${openBao.reason}`, () => {
  let bao: OpenBao;
  beforeAll(async () => {
    bao = await OpenBao.start();
  });
  afterAll(() => bao.stop());

  test.each(['ed25519', 'ecdsa-p256'] as const)('%s', async (algorithm) => {
    const key = `service-${algorithm}`;
    const policy = (await readFile(new URL('../../docs/operations.md', import.meta.url), 'utf8'))
      .split('```hcl\n')
      .find((part) => part.startsWith('path "transit/sign/online"'))!
      .split('```')[0]!;
    await bao.ask('PUT', `sys/policies/acl/${key}`, { policy: policy.replaceAll('online', key) });
    const folder = await tempDir();
    await mkdir(path.join(folder, 'files'));
    const { roleId, secretIdFile } = await bao.appRole(key, { token_ttl: '4s', token_max_ttl: '8s' });
    const parameters = `address=${bao.tlsAddress}&ca=${bao.caFile}&auth=approle&role-id=${roleId}&secret-id-file=${secretIdFile}`;
    const file = path.join(folder, 'countersign.yaml');
    const text = `signer: "vault:transit/${key}?${parameters}"\nlisten: 127.0.0.1:0\ntargets: none\n`;
    await writeFile(file, text);
    await writeFile(path.join(folder, 'operator'), await bao.token('root'), { mode: 0o600 });
    const { config, secrets } = await loadConfig({ file, cwd: folder, env: {} });
    if (config.signer.kind !== 'vault') throw new Error('another signer');
    const login = { method: 'token', tokenFile: path.join(folder, 'operator') } as const;
    const operator = { ...config.signer, vault: { ...config.signer.vault, login } };
    const publicKey = await generateOnlineKey(operator, secrets, algorithm, systemClock);

    const offlineKeys = await makeOfflineKeys(1);
    const use = {
      clock: systemClock,
      trusted: () => Promise.resolve([]),
      unattended: true,
      warn: () => undefined,
    };
    const signer = await openSigner(config, secrets, use);
    expect(signer.publicKey).toEqual(publicKey);
    const layout = new BinLayout(16);
    const now = systemClock.now();
    const bundle = await testBundle({ offlineKeys, signer, layout, format: 'succinct', now });
    const ledger = await openLedger(config, secrets, runtime);
    const store = await openStore(config, runtime);
    const ports = { ...runtime, ledger, history: ledger, store, signer, lifetimes: DAILY };
    await bootstrap(serializeBundle(bundle), ports);
    await signer.close();

    await bao.ask('PUT', 'sys/seal');
    const service = await startService(config, secrets, runtime);
    onTestFinished(() => service.stop());
    const send = async (tag: string, wait: boolean): Promise<number> => {
      const events = Array.from({ length: 10 }, (_, index) => {
        const name = `packages/${tag}/demo-${index}.whl`;
        return {
          id: `${tag}-${index}`,
          changes: [{ op: 'add', path: name, length: 1, hashes: { sha256: sha256Hex(name) } }],
        };
      });
      const response = await fetch(`${service.address}/v1/events`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', ...(wait ? { prefer: 'wait=30' } : {}) },
        body: JSON.stringify({ events }),
      });
      return response.status;
    };
    const settled = async (tag: string): Promise<boolean> => {
      const response = await fetch(`${service.address}/v1/events/${tag}-9`);
      return ((await response.json()) as { state: string }).state === 'published';
    };
    expect(await send('before', false)).toBe(202);
    await eventually('the status names the seal', () =>
      Promise.resolve(service.publisherStatus().problem?.message.includes('sealed') === true),
    );
    expect(service.publisherStatus()).toMatchObject({
      role: 'held',
      problem: { code: 'signer-unavailable' },
    });
    await bao.unseal();
    await eventually('what was accepted is published', () => settled('before'));
    for (let round = 0; round < 3; round++) expect(await send(`round-${round}`, true)).toBe(200);
    await bao.ask('PUT', 'sys/seal');
    expect(await send('sealed', false)).toBe(202);
    await eventually('publication waits', () => Promise.resolve(service.publisherStatus().role === 'held'));
    await bao.unseal();
    await eventually('publication goes on', () => settled('sealed'));
    const [root] = bundle.roots;
    await expectSound({ store, clock: systemClock, rootBytes: envelopeFile(root!) });
    await ledger.close();
  });
});
