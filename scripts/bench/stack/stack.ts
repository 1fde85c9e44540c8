// The servers of a production installation on loopback, holding the model index: PostgreSQL, an S3 server further off
// than it is, and OpenBao with the online key. The repository and its ledger get there as an operator moves them.
import { execFile } from 'node:child_process';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import process from 'node:process';
import { promisify } from 'node:util';
import { OpenBao } from '../../interop/openbao.ts';
import { PASSWORD, startPostgres } from '../../interop/postgres-server.ts';
import { BUCKET, CREDENTIALS, startS3Server } from '../../interop/s3-server.ts';
import { workingCopy, type ModelIndex } from '../model-index.ts';
import { delayProxy } from './delay-proxy.ts';

const COUNTERSIGN = join(import.meta.dirname, '../../../src/main.js');

/** Bytes of an entry of a bin, generously: what the S3 server is given room for. */
const BYTES_PER_TARGET = 260;

export interface Stack {
  /** `countersign.yaml`. */
  readonly configuration: string;
  readonly env: Readonly<Record<string, string>>;
  /** Seconds that moving the index took: read, verified, written and read back. */
  readonly copySeconds: number;
  stop(): Promise<void>;
}

/** `folder`: for the index and for the objects; `delayMs`: what is added to each request to the S3 server. */
export async function startStack(index: ModelIndex, folder: string, delayMs: number): Promise<Stack> {
  const running: { stop(): Promise<void> }[] = [];
  const keep = <T extends { stop(): Promise<void> }>(server: T): T => {
    running.unshift(server);
    return server;
  };
  const stop = async (): Promise<void> => {
    for (const server of running.splice(0)) await server.stop();
  };
  try {
    await workingCopy(index, folder);
    const megabytes = 1000 + Math.ceil((2 * index.bins * index.targetsPerBin * BYTES_PER_TARGET) / 1e6);
    const s3 = keep(await startS3Server({ parent: folder, megabytes }));
    const postgres = keep(await startPostgres());
    const bao = keep(await OpenBao.start());
    const proxy = keep(await delayProxy(Number(new URL(s3.endpoint).port), delayMs));
    const { host, port, user, database } = await postgres.createDatabase('bench');
    const ledger = `postgres://${user}@${host}:${port}/${database}`;
    const store = (endpoint: string): string => `s3://${BUCKET}/index?endpoint=${endpoint}&path-style=true`;
    const env = { ...CREDENTIALS, COUNTERSIGN_LEDGER_PASSWORD: PASSWORD };
    const copy = async (...args: string[]): Promise<void> => {
      const given = { cwd: folder, env: { ...process.env, ...env }, maxBuffer: 1e8 };
      await promisify(execFile)(process.execPath, [COUNTERSIGN, 'copy', ...args, '--json'], given);
    };
    const begun = performance.now();
    await copy('--from', 'file:./repository', '--root', 'root.json', '--to', store(s3.endpoint));
    const copySeconds = (performance.now() - begun) / 1000;
    await copy('--ledger-from', 'sqlite:./ledger.db', '--ledger-to', ledger);
    await writeFile(join(folder, 'ledger-password'), PASSWORD, { mode: 0o600 });
    const signer = await keyInOpenBao(bao, folder);
    const configuration = `store: ${store(`http://127.0.0.1:${proxy.port}`)}
ledger: ${ledger}
signer: ${signer}
signer-passphrase: ./online.passphrase
targets: none
listen: 127.0.0.1:0
lifetimes: { timestamp: 1d, snapshot: 1d, bin: 3650d }
log-level: info
`;
    return { configuration, env, copySeconds, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** Puts the online key where the service takes it from; answers the signer setting. */
async function keyInOpenBao(bao: OpenBao, folder: string): Promise<string> {
  await bao.ask('POST', 'secret/data/countersign', {
    data: { key: await readFile(join(folder, 'online.key'), 'utf8') },
  });
  const policy = 'path "secret/data/countersign" { capabilities = ["read"] }';
  await bao.ask('PUT', 'sys/policies/acl/countersign', { policy });
  const { roleId, secretIdFile } = await bao.appRole('countersign');
  const login = `auth=approle&role-id=${roleId}&secret-id-file=${secretIdFile}`;
  return `"vault-kv:secret/countersign?address=${bao.address}&${login}#key"`;
}
