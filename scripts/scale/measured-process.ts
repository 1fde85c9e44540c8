// A command in a process of its own, with what it took: time, processor, memory of all its threads.
import { spawn } from 'node:child_process';
import * as fs from 'node:fs';
import process from 'node:process';

export interface Taken {
  readonly seconds: number;
  /** Of all threads together, user and system; undefined where the kernel does not tell. */
  readonly cpuSeconds?: number;
  /** The most that was ever resident, in MB of a million bytes. */
  readonly peakMb?: number;
}

export interface Measured extends Taken {
  readonly stdout: string;
}

const LOOK_MS = 50;
/** Of a clock tick in /proc: 100 a second on every Linux of today. */
const TICK_SECONDS = 0.01;

/** Runs a program of this installation. @throws Error with what it said when it does not end with status 0. */
export async function measured(program: string, args: readonly string[], cwd: string): Promise<Measured> {
  const begun = performance.now();
  const child = spawn(process.execPath, [program, ...args], { cwd, stdio: ['ignore', 'pipe', 'pipe'] });
  let stdout = '';
  let stderr = '';
  child.stdout.on('data', (chunk: Buffer) => (stdout += chunk.toString()));
  child.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString()));
  const ended = new Promise<number | null>((resolve) => child.once('close', resolve));
  let taken: Omit<Taken, 'seconds'> = {};
  const looking = setInterval(() => {
    taken = { ...taken, ...processFigures(child.pid ?? 0) };
  }, LOOK_MS);
  const status = await ended;
  clearInterval(looking);
  if (status !== 0)
    throw new Error(`${args.join(' ')} ended with ${status ?? 'a signal'}: ${stderr.slice(-2000)}`);
  return { seconds: (performance.now() - begun) / 1000, ...taken, stdout };
}

/** What the kernel says of a process that runs. */
export function processFigures(pid: number): Omit<Taken, 'seconds'> {
  try {
    const kib = /^VmHWM:\s*(\d+) kB/m.exec(fs.readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];
    // The second field, a name in brackets, may hold spaces.
    const [, fields = ''] = fs.readFileSync(`/proc/${pid}/stat`, 'utf8').split(/\) (?!.*\) )/);
    const [user = 0, system = 0] = fields.split(' ').slice(11, 13).map(Number);
    if (kib === undefined) return {};
    return { peakMb: (Number(kib) * 1024) / 1e6, cpuSeconds: (user + system) * TICK_SECONDS };
  } catch {
    return {};
  }
}
