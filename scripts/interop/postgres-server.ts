// A real PostgreSQL on loopback for the interop suite: a cluster of its own in a temporary folder, and a pooler in
// transaction mode before it. PostgreSQL refuses to be run by root: as root it is run by the least user there is.
import { execFile, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { createWriteStream } from 'node:fs';
import { access, chmod, chown, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import process from 'node:process';
import { promisify } from 'node:util';
import pg from 'pg';
import { systemClock } from '../../src/lib/clock.ts';
import { openPostgresLedger, type PostgresLedger } from '../../src/ledger/postgres-ledger.ts';
import type { PostgresAccess, PostgresLocation } from '../../src/ledger/postgres-location.ts';
import { freePorts } from './server-process.ts';

const run = promisify(execFile);
const START_MS = 60_000;
export const PASSWORD = 'interop "secret" \\ ü';

export interface PostgresServer {
  readonly port: number;
  readonly folder: string;
  /** An empty database, as its owner, who is no superuser, sees it. */
  createDatabase(name: string): Promise<PostgresLocation>;
  access(location: PostgresLocation, more?: Partial<PostgresAccess>): PostgresAccess;
  open(location: PostgresLocation): Promise<PostgresLedger>;
  /** As the superuser. */
  sql<R extends pg.QueryResultRow>(database: string, text: string, values?: unknown[]): Promise<R[]>;
  /** Takes the lock; resolves when it is held, with what releases it. */
  hold(database: string, lock: string): Promise<() => Promise<void>>;
  /** Ends all server processes at once, as a power cut would, and starts again. */
  crash(): Promise<void>;
  /** Goes on as a standby, which only reads, or as a primary again. */
  restart(as: 'standby' | 'primary'): Promise<void>;
  /** A pooler in transaction mode with two connections to the server; answers its port. */
  startPooler(): Promise<number>;
  stop(): Promise<void>;
}

/** Starts an empty server, its files in `parent`; with `tls` (PEM) it takes encrypted connections too. */
export async function startPostgres(
  tls?: { readonly certificate: string; readonly key: string },
  parent = tmpdir(),
): Promise<PostgresServer> {
  const programs = await programFolder();
  const who = await unprivileged();
  const folder = await mkdtemp(path.join(parent, 'countersign-pg-'));
  await chmod(folder, 0o700);
  if (who.uid !== undefined) await chown(folder, who.uid, who.gid);
  const data = path.join(folder, 'data');
  const passwordFile = path.join(folder, 'password');
  await writeFile(passwordFile, `${PASSWORD}\n`);
  if (who.uid !== undefined) await chown(passwordFile, who.uid, who.gid);
  await run(
    path.join(programs, 'initdb'),
    [
      '-D',
      data,
      '-U',
      'postgres',
      '-A',
      'scram-sha-256',
      '-E',
      'UTF8',
      '--locale=C',
      `--pwfile=${passwordFile}`,
    ],
    { cwd: folder, ...who },
  );
  const settings: Record<string, string> = { max_connections: '60', listen_addresses: '127.0.0.1' };
  for (const [name, text] of [
    ['ssl_cert_file', tls?.certificate],
    ['ssl_key_file', tls?.key],
  ] as const) {
    if (text === undefined) continue;
    const file = path.join(folder, `${name}.pem`);
    await writeFile(file, text, { mode: 0o600 });
    if (who.uid !== undefined) await chown(file, who.uid, who.gid);
    settings[name] = file;
    settings['ssl'] = 'on';
  }
  const [port = 0] = await freePorts(1);
  const children: ChildProcess[] = [];
  // Elsewhere: the disk of the server may be full.
  const logFolder = await mkdtemp(path.join(tmpdir(), 'countersign-pg-log-'));
  const log = createWriteStream(path.join(logFolder, 'server.log'));

  const start = async (): Promise<ChildProcess> => {
    const given = Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
    const child = spawn(
      path.join(programs, 'postgres'),
      ['-D', data, '-p', String(port), '-k', folder, ...given],
      { cwd: folder, stdio: ['ignore', 'pipe', 'pipe'], ...who },
    );
    child.stdout.pipe(log, { end: false });
    child.stderr.pipe(log, { end: false });
    children.push(child);
    const end = systemClock.now() + START_MS;
    for (;;) {
      try {
        await sql('postgres', 'SELECT 1');
        return child;
      } catch (error) {
        if (systemClock.now() > end || child.exitCode !== null) {
          throw new Error(
            `PostgreSQL did not start: ${(await readFile(log.path, 'utf8')).split('\n').slice(-8).join('\n')}`,
            { cause: error },
          );
        }
        await systemClock.sleep(50);
      }
    }
  };

  const connect = async (database: string): Promise<pg.Client> => {
    const client = new pg.Client({
      host: '127.0.0.1',
      port,
      user: 'postgres',
      password: PASSWORD,
      database,
      ssl: false,
    });
    // A server that goes away is what some tests are about.
    client.on('error', () => undefined);
    await client.connect();
    return client;
  };

  const sql = async <R extends pg.QueryResultRow>(
    database: string,
    text: string,
    values: unknown[] = [],
  ): Promise<R[]> => {
    const client = await connect(database);
    try {
      return (await client.query<R>(text, values)).rows;
    } finally {
      await client.end();
    }
  };

  const kill = async (child: ChildProcess, signal: NodeJS.Signals): Promise<void> => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    const ended = once(child, 'close');
    child.kill(signal);
    await ended;
  };

  let child = await start();
  const createRole = `CREATE ROLE countersign LOGIN PASSWORD '${PASSWORD.replaceAll("'", "''")}'`;
  await sql('postgres', `SET standard_conforming_strings = on; ${createRole}`);

  return {
    port,
    folder,
    sql,
    createDatabase: async (name) => {
      await sql('postgres', `CREATE DATABASE ${name} OWNER countersign`);
      return { host: '127.0.0.1', port, user: 'countersign', database: name, tls: 'disable' };
    },
    access: accessTo,
    hold: async (database, lock) => {
      const client = await connect(database);
      await client.query(`BEGIN; ${lock}`);
      return () => client.end();
    },
    open: (location) => openPostgresLedger(accessTo(location)),
    crash: async () => {
      // The children of a server that is gone end by themselves; the next one waits for them.
      await kill(child, 'SIGKILL');
      child = await start();
    },
    restart: async (as) => {
      await kill(child, 'SIGINT');
      const signal = path.join(data, 'standby.signal');
      if (as === 'standby') await writeFile(signal, '');
      else await rm(signal);
      child = await start();
    },
    startPooler: async () => {
      const [poolPort = 0] = await freePorts(1);
      const users = path.join(folder, 'users.txt');
      await writeFile(users, `"countersign" "${PASSWORD.replaceAll('"', '""')}"\n`);
      const config = path.join(folder, 'pgbouncer.ini');
      await writeFile(
        config,
        `[databases]
* = host=127.0.0.1 port=${port}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = ${poolPort}
unix_socket_dir =
auth_type = plain
auth_file = ${users}
pool_mode = transaction
default_pool_size = 2
max_client_conn = 200
`,
      );
      for (const file of [users, config]) if (who.uid !== undefined) await chown(file, who.uid, who.gid);
      const pooler = spawn(await poolerProgram(), [config], {
        cwd: folder,
        stdio: ['ignore', 'pipe', 'pipe'],
        ...who,
      });
      pooler.stdout.pipe(log, { end: false });
      pooler.stderr.pipe(log, { end: false });
      children.push(pooler);
      await untilOpen(poolPort, pooler);
      return poolPort;
    },
    stop: async () => {
      for (const each of children) await kill(each, 'SIGINT');
      log.end();
      for (const made of [folder, logFolder]) await rm(made, { recursive: true, force: true });
    },
  };
}

function accessTo(location: PostgresLocation, more: Partial<PostgresAccess> = {}): PostgresAccess {
  return {
    location,
    password: () => Promise.resolve(PASSWORD),
    clock: systemClock,
    random: () => Math.random(),
    ...more,
  };
}

/** The folder of `initdb` and `postgres`: asked of pg_config, or where Debian keeps the newest. */
async function programFolder(): Promise<string> {
  const told = await run('pg_config', ['--bindir']).then(
    ({ stdout }) => stdout.trim(),
    () => undefined,
  );
  const folders = told === undefined ? [] : [told];
  const debian = path.join(path.parse(process.execPath).root, 'usr', 'lib', 'postgresql');
  const versions = await readdir(debian).catch((): string[] => []);
  for (const version of versions.sort((a, b) => Number(b) - Number(a))) {
    folders.push(path.join(debian, version, 'bin'));
  }
  for (const folder of folders) {
    const complete = await access(path.join(folder, 'initdb')).then(
      () => true,
      () => false,
    );
    if (complete) return folder;
  }
  throw new Error('PostgreSQL is not installed: npm run test:interop installs it');
}

async function poolerProgram(): Promise<string> {
  const { stdout } = await run('sh', ['-c', 'PATH="$PATH:/usr/sbin" command -v pgbouncer']);
  return stdout.trim();
}

/** As root: the user and group `nobody`. */
async function unprivileged(): Promise<{ uid: number; gid: number } | { uid?: never; gid?: never }> {
  if (process.getuid?.() !== 0) return {};
  const [uid, gid] = await Promise.all(
    ['-u', '-g'].map(async (what) => Number((await run('id', [what, 'nobody'])).stdout)),
  );
  return { uid: uid ?? 0, gid: gid ?? 0 };
}

async function untilOpen(port: number, child: ChildProcess): Promise<void> {
  const end = systemClock.now() + START_MS;
  for (;;) {
    const client = new pg.Client({
      host: '127.0.0.1',
      port,
      user: 'countersign',
      password: PASSWORD,
      database: 'postgres',
      ssl: false,
    });
    client.on('error', () => undefined);
    try {
      await client.connect();
      await client.end();
      return;
    } catch (error) {
      if (systemClock.now() > end || child.exitCode !== null) throw error;
      await systemClock.sleep(50);
    }
  }
}
