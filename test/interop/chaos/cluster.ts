// Three nodes as processes of their own on one PostgreSQL, one bucket and one OpenBao, each node behind proxies of its own
// to all three servers.
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { createWriteStream } from 'node:fs';
import { mkdir, rename, writeFile } from 'node:fs/promises';
import path from 'node:path';
import process from 'node:process';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { onTestFinished } from 'vitest';
import { installFakeTime } from '../../../scripts/interop/fake-time.ts';
import { freePort } from '../../../scripts/interop/server-process.ts';
import { OpenBao } from '../../../scripts/interop/openbao.ts';
import { generateOnlineKey } from '../../../src/cli/generate-key.ts';
import { loadConfig } from '../../../src/config.ts';
import { systemClock } from '../../../src/lib/clock.ts';
import { silentLogger } from '../../../src/lib/log.ts';
import { openSigner } from '../../../src/open-signer.ts';
import { bootstrap } from '../../../src/publish/bootstrap.ts';
import { openLedger, openStore } from '../../../src/open-ports.ts';
import type { ObjectStore } from '../../../src/storage/store.ts';
import { BinLayout } from '../../../src/tuf/bins.ts';
import { serializeBundle } from '../../../src/tuf/bundle.ts';
import { envelopeFile } from '../../../src/tuf/envelope.ts';
import { eventually } from '../../support/publisher-process.ts';
import { DAILY, makeOfflineKeys, testBundle } from '../../support/repository.ts';
import { tempDir } from '../../support/temp-dir.ts';
import { faultyProxy, type FaultyProxy } from '../faulty-proxy.ts';
import { PASSWORD, startPostgres, type PostgresServer } from '../../../scripts/interop/postgres-server.ts';
import { BUCKET, CREDENTIALS, startS3Server, type S3Server } from '../../../scripts/interop/s3-server.ts';
import { smallDisk, type SmallDisk } from '../../support/small-disk.ts';
import { tcpProxy, type TcpProxy } from './tcp-proxy.ts';

const PROGRAM = fileURLToPath(new URL('../../../dist/src/main.js', import.meta.url));
const DATABASE = 'chaos';
const BINS = 32;
/** Milliseconds from SIGTERM until a node refuses connections: balancers look more often, on a busy machine too. */
const DRAIN_MS = 4000;
/** Megabytes: many times what a run writes. */
const DISK_MB = 768;

export interface Publisher {
  /** `host:pid:start` */
  readonly holder: string;
  readonly epoch: number;
  /** The newest snapshot that is public and settled. */
  readonly snapshot: number;
}

export interface ClusterNode {
  readonly number: number;
  readonly address: string;
  readonly store: FaultyProxy;
  readonly transit: FaultyProxy;
  readonly ledger: TcpProxy;
  /** Everything that its processes said. */
  readonly logFile: string;
  readonly pid: number | undefined;
  /** Resolves when it answers /readyz with 200. */
  start(): Promise<void>;
  signal(name: NodeJS.Signals): void;
  /** Sends the signal and resolves with the exit code once the process has ended. */
  end(name: 'SIGKILL' | 'SIGTERM'): Promise<number | null>;
  /** Seconds that its clock is ahead of the others; only for a node with a clock of its own. */
  readonly setClock?: (aheadSeconds: number) => Promise<void>;
}

export interface Cluster {
  readonly nodes: readonly ClusterNode[];
  readonly postgres: PostgresServer;
  readonly s3: S3Server;
  readonly bao: OpenBao;
  /** Where the two servers keep what they were given; undefined where this user cannot make them. */
  readonly disks: { readonly postgres: SmallDisk | undefined; readonly s3: SmallDisk | undefined };
  readonly rootBytes: Uint8Array;
  /** The bucket itself, past the proxies. */
  readonly store: ObjectStore;
  /** From the ledger itself, past the proxies. */
  publisher(): Promise<Publisher>;
  /** Runs `countersign fsck --json` past the proxies. */
  fsck(): Promise<string>;
}

export async function startCluster(): Promise<Cluster> {
  Object.assign(process.env, CREDENTIALS);
  const disks = { postgres: await smallDisk(DISK_MB), s3: await smallDisk(DISK_MB) };
  const postgres = await startPostgres(undefined, disks.postgres?.folder);
  onTestFinished(() => postgres.stop());
  const s3 = await startS3Server(disks.s3 === undefined ? {} : { parent: disks.s3.folder });
  onTestFinished(() => s3.stop());
  const bao = await OpenBao.start();
  onTestFinished(() => bao.stop());
  const folder = await tempDir();
  const location = await postgres.createDatabase(DATABASE);

  const { roleId, secretIdFile } = await bao.appRole(await bao.documentedPolicy(), {
    token_ttl: '20s',
    token_max_ttl: '60s',
  });
  const settings = (storeAt: string, transitAt: string, ledgerPort: number): Record<string, string> => ({
    COUNTERSIGN_STORE: `s3://${BUCKET}/chaos?endpoint=${storeAt}&path-style=true`,
    COUNTERSIGN_LEDGER: `postgres://${location.user}@127.0.0.1:${ledgerPort}/${DATABASE}`,
    COUNTERSIGN_LEDGER_PASSWORD: PASSWORD,
    COUNTERSIGN_SIGNER: `vault:transit/online?address=${transitAt}&auth=approle&role-id=${roleId}&secret-id-file=${secretIdFile}`,
    COUNTERSIGN_TARGETS: 'none',
    COUNTERSIGN_LIMITS_DRAIN_MS: String(DRAIN_MS),
  });
  const direct = settings(s3.endpoint, bao.address, postgres.port);
  const { rootBytes, store } = await found(folder, direct, bao);

  const { program: library } = await installFakeTime('libfaketimeMT.so.1');
  const nodes: ClusterNode[] = [];
  for (const number of [1, 2, 3]) {
    // The last one has a clock of its own.
    const clock = number === 3 && library !== undefined ? { library, folder } : undefined;
    const proxies = {
      store: await faultyProxy(s3.endpoint),
      transit: await faultyProxy(bao.address),
      ledger: await tcpProxy(postgres.port),
    };
    const env = settings(proxies.store.endpoint, proxies.transit.endpoint, proxies.ledger.port);
    nodes.push(await makeNode({ number, folder, env, proxies, clock }));
  }
  return {
    nodes,
    postgres,
    s3,
    bao,
    disks,
    rootBytes,
    store,
    publisher: async () => {
      const [row] = await postgres.sql<{ holder: string; epoch: string; snapshot: string }>(
        DATABASE,
        `SELECT holder, epoch,
           (SELECT max(snapshot) FROM countersign.publications WHERE finished IS NOT NULL) AS snapshot
         FROM countersign.lease`,
      );
      return { holder: row?.holder ?? '', epoch: Number(row?.epoch), snapshot: Number(row?.snapshot) };
    },
    fsck: async () => {
      const env = { ...process.env, ...direct };
      const child = spawn(process.execPath, [PROGRAM, 'fsck', '--json'], { cwd: folder, env, stdio: 'pipe' });
      const [said, complained] = await Promise.all([text(child.stdout), text(child.stderr)]);
      return said === '' ? complained : said;
    },
  };
}

/** The key in transit, the first root and the first snapshot. */
async function found(folder: string, env: Record<string, string>, bao: OpenBao) {
  const { config, secrets } = await loadConfig({ cwd: folder, env });
  if (config.signer.kind !== 'vault') throw new Error('another signer');
  const tokenFile = path.join(folder, 'operator');
  await writeFile(tokenFile, await bao.token('root'), { mode: 0o600 });
  const operator = {
    ...config.signer,
    vault: { ...config.signer.vault, login: { method: 'token', tokenFile } },
  };
  await generateOnlineKey(operator as typeof config.signer, secrets, 'ecdsa-p256', systemClock);
  const runtime = { clock: systemClock, log: silentLogger(), random: () => 0.5 };
  const signer = await openSigner(config, secrets, {
    clock: systemClock,
    trusted: () => Promise.resolve([]),
    unattended: true,
    warn: () => undefined,
  });
  const bundle = await testBundle({
    offlineKeys: await makeOfflineKeys(4),
    signer,
    layout: new BinLayout(BINS),
    format: 'succinct',
    now: systemClock.now(),
  });
  const ledger = await openLedger(config, secrets, runtime);
  const store = await openStore(config, runtime);
  const taker = { holder: 'founder:1:1', isGone: () => true };
  await bootstrap(serializeBundle(bundle), {
    ...runtime,
    ...taker,
    ledger,
    history: ledger,
    store,
    signer,
    lifetimes: DAILY,
  });
  await signer.close();
  await ledger.close();
  const [root] = bundle.roots;
  if (root === undefined) throw new Error('a bundle without a root');
  return { store, rootBytes: envelopeFile(root) };
}

interface NodePlan {
  readonly number: number;
  readonly folder: string;
  readonly env: Readonly<Record<string, string>>;
  readonly proxies: Pick<ClusterNode, 'store' | 'transit' | 'ledger'>;
  readonly clock: { readonly library: string; readonly folder: string } | undefined;
}

async function makeNode({ number, folder, env, proxies, clock }: NodePlan): Promise<ClusterNode> {
  const port = await freePort();
  const address = `http://127.0.0.1:${port}`;
  const logFile = path.join(folder, `node-${number}.log`);
  const log = createWriteStream(logFile);
  onTestFinished(() => {
    log.end();
  });
  const home = path.join(folder, `node-${number}`);
  await mkdir(home);
  const clockFile = path.join(folder, `clock-${number}`);
  const setClock = async (aheadSeconds: number): Promise<void> => {
    // A half-written file would be another time.
    await writeFile(`${clockFile}.new`, `${aheadSeconds < 0 ? '' : '+'}${aheadSeconds}\n`);
    await rename(`${clockFile}.new`, clockFile);
  };
  const preload =
    clock === undefined
      ? {}
      : {
          LD_PRELOAD: clock.library,
          FAKETIME_TIMESTAMP_FILE: clockFile,
          FAKETIME_CACHE_DURATION: '1',
          FAKETIME_DONT_FAKE_MONOTONIC: '1',
          DONT_FAKE_MONOTONIC: '1',
        };
  if (clock !== undefined) await setClock(0);
  let child: ChildProcess | undefined;
  const end = async (name: 'SIGKILL' | 'SIGTERM'): Promise<number | null> => {
    if (child?.exitCode !== null || child.signalCode !== null) return child?.exitCode ?? null;
    const ended = once(child, 'close') as Promise<[number | null]>;
    child.kill(name);
    return (await ended)[0];
  };
  onTestFinished(async () => {
    await end('SIGKILL');
  });
  return {
    number,
    address,
    ...proxies,
    logFile,
    get pid() {
      return child?.pid;
    },
    start: async () => {
      const started = spawn(process.execPath, [PROGRAM, 'serve', '--json'], {
        cwd: home,
        env: { ...process.env, ...env, ...preload, COUNTERSIGN_LISTEN: `127.0.0.1:${port}` },
        stdio: ['ignore', 'ignore', 'pipe'],
      });
      child = started;
      started.stderr.pipe(log, { end: false });
      await eventually(
        `node ${number} is ready`,
        async () => {
          if (started.exitCode !== null) throw new Error(`node ${number} ended with ${started.exitCode}`);
          return isReady(address);
        },
        60_000,
      );
    },
    signal: (name) => void child?.kill(name),
    end,
    ...(clock === undefined ? {} : { setClock }),
  };
}

/** Whether a balancer would send requests there. */
export function isReady(address: string): Promise<boolean> {
  return fetch(`${address}/readyz`, { signal: AbortSignal.timeout(1000) }).then(
    async (answer) => {
      await answer.arrayBuffer();
      return answer.ok;
    },
    () => false,
  );
}
