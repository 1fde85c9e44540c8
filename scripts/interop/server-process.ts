// Servers of the interop suite as processes on loopback, stopped by their own id.
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { createServer, type AddressInfo } from 'node:net';
import process from 'node:process';
import { systemClock } from '../../src/lib/clock.ts';

export interface ServerProcess {
  readonly child: ChildProcess;
  /** The end of what it said, for a failed start. */
  said(): string;
  stop(): Promise<void>;
}

export function startProcess(
  program: string,
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
): ServerProcess {
  const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, ...env } });
  let output = '';
  const listen = (chunk: Buffer): void => {
    output = (output + chunk.toString()).slice(-2000);
  };
  child.stdout.on('data', listen);
  child.stderr.on('data', listen);
  const ended = once(child, 'close');
  return {
    child,
    said: () => output,
    stop: async () => {
      child.kill('SIGKILL');
      await ended;
    },
  };
}

/** A port of loopback that was free a moment ago. */
export async function freePort(): Promise<number> {
  const [port = 0] = await freePorts(1);
  return port;
}

/** As `freePort`; all are held until the last is known, so that none is given twice. */
export async function freePorts(count: number): Promise<number[]> {
  const servers = Array.from({ length: count }, () => createServer().listen(0, '127.0.0.1'));
  await Promise.all(servers.map((server) => once(server, 'listening')));
  const ports = servers.map((server) => (server.address() as AddressInfo).port);
  await Promise.all(
    servers.map((server) => {
      server.close();
      return once(server, 'close');
    }),
  );
  return ports;
}

const START_MS = 60_000;

/** Polls until `ready` resolves with true. */
export async function untilReady(server: ServerProcess, ready: () => Promise<boolean>): Promise<void> {
  const end = systemClock.now() + START_MS;
  while (!(await ready().catch(() => false))) {
    if (systemClock.now() > end || server.child.exitCode !== null) {
      throw new Error(`${server.child.spawnfile} did not start: ${server.said()}`);
    }
    await systemClock.sleep(50);
  }
}
