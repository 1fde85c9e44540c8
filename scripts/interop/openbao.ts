// A real OpenBao on loopback: raft storage on disk, so that it can be sealed and restarted, with a plain and a TLS listener.
import { execFileSync } from 'node:child_process';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { installOpenBao } from './key-services.ts';
import { freePort, startProcess, untilReady, type ServerProcess } from './server-process.ts';

export const openBao = await installOpenBao();

export class OpenBao {
  readonly address: string;
  readonly tlsAddress: string;
  readonly caFile: string;
  readonly folder: string;
  #process: ServerProcess | undefined;
  #unsealKey = '';
  #rootToken = '';

  private constructor(folder: string, port: number, tlsPort: number) {
    this.folder = folder;
    this.address = `http://127.0.0.1:${port}`;
    this.tlsAddress = `https://127.0.0.1:${tlsPort}`;
    this.caFile = path.join(folder, 'tls.crt');
  }

  /** An unsealed server with the transit engine, both login methods, a key-value engine, and no keys. */
  static async start(): Promise<OpenBao> {
    const folder = await mkdtemp(path.join(tmpdir(), 'countersign-openbao-'));
    const [port, tlsPort, clusterPort] = [await freePort(), await freePort(), await freePort()];
    const bao = new OpenBao(folder, port, tlsPort);
    const keyFile = path.join(folder, 'tls.key');
    execFileSync(
      'openssl',
      `req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=localhost -addext subjectAltName=IP:127.0.0.1 -keyout ${keyFile} -out ${bao.caFile}`.split(
        ' ',
      ),
      { stdio: 'ignore' },
    );
    const data = path.join(folder, 'data');
    await mkdir(data);
    const config = {
      storage: { raft: { path: data, node_id: 'interop' } },
      listener: [
        { tcp: { address: `127.0.0.1:${port}`, tls_disable: true } },
        { tcp: { address: `127.0.0.1:${tlsPort}`, tls_cert_file: bao.caFile, tls_key_file: keyFile } },
      ],
      api_addr: bao.address,
      cluster_addr: `http://127.0.0.1:${clusterPort}`,
    };
    await writeFile(path.join(folder, 'bao.json'), JSON.stringify(config));
    try {
      await bao.run();
      const init = await bao.ask('PUT', 'sys/init', { secret_shares: 1, secret_threshold: 1 });
      bao.#unsealKey = (init['keys'] as string[])[0]!;
      bao.#rootToken = init['root_token'] as string;
      await bao.unseal();
      await bao.ask('POST', 'sys/mounts/transit', { type: 'transit' });
      await bao.ask('POST', 'sys/mounts/secret', { type: 'kv', options: { version: '2' } });
      await bao.ask('POST', 'sys/mounts/plain', { type: 'kv', options: { version: '1' } });
      await bao.ask('POST', 'sys/auth/approle', { type: 'approle' });
      await bao.ask('POST', 'sys/auth/kubernetes', { type: 'kubernetes' });
      return bao;
    } catch (error) {
      await bao.stop();
      throw error;
    }
  }

  /** Starts the process; after a restart it is sealed. */
  async run(): Promise<void> {
    const { program = '' } = openBao;
    const server = startProcess(program, ['server', `-config=${path.join(this.folder, 'bao.json')}`]);
    this.#process = server;
    await untilReady(server, async () => (await fetch(`${this.address}/v1/sys/init`)).ok);
  }

  async kill(): Promise<void> {
    await this.#process?.stop();
    this.#process = undefined;
  }

  async stop(): Promise<void> {
    await this.kill();
    await rm(this.folder, { recursive: true, force: true });
  }

  async unseal(): Promise<void> {
    await this.ask('PUT', 'sys/unseal', { key: this.#unsealKey });
    await untilReady(this.#process!, async () => (await fetch(`${this.address}/v1/sys/health`)).ok);
  }

  /** A request of the operator, with the root token. */
  async ask(method: string, name: string, body?: object): Promise<Record<string, unknown>> {
    const response = await fetch(`${this.address}/v1/${name}`, {
      method,
      headers: { 'X-Vault-Token': this.#rootToken },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const text = await response.text();
    if (!response.ok) throw new Error(`${method} ${name}: ${response.status} ${text}`);
    return text === '' ? {} : (JSON.parse(text) as Record<string, unknown>);
  }

  /** A token with a policy, of the kind that an operator makes. */
  async token(policy: string, options: object = {}): Promise<string> {
    const answer = await this.ask('POST', 'auth/token/create', { policies: [policy], ...options });
    return (answer['auth'] as { client_token: string }).client_token;
  }

  /** A role id, and a file with the secret id. */
  async appRole(policy: string, options: object = {}): Promise<{ roleId: string; secretIdFile: string }> {
    await this.ask('POST', 'auth/approle/role/countersign', { token_policies: [policy], ...options });
    const role = await this.ask('GET', 'auth/approle/role/countersign/role-id');
    const secret = await this.ask('POST', 'auth/approle/role/countersign/secret-id', {});
    const secretIdFile = path.join(this.folder, 'secret-id');
    await writeFile(secretIdFile, (secret['data'] as { secret_id: string }).secret_id, { mode: 0o600 });
    return { roleId: (role['data'] as { role_id: string }).role_id, secretIdFile };
  }

  /** The policy that docs/operations.md tells operators to write: the tests use this one. */
  async documentedPolicy(): Promise<string> {
    const text = await readFile('docs/operations.md', 'utf8');
    const policy = /```hcl\n(path "transit\/sign[^`]+)```/.exec(text)?.[1];
    if (policy === undefined) throw new Error('docs/operations.md has no policy for transit');
    await this.ask('PUT', 'sys/policies/acl/countersign', { policy });
    return 'countersign';
  }
}
