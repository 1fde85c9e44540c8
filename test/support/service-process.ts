// The built program as an operator runs it, in processes of its own.
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { onTestFinished } from 'vitest';

const PROGRAM = new URL('../../dist/src/main.js', import.meta.url).pathname;
const CEREMONY = new URL('../../dist/keys-ceremony/main.js', import.meta.url).pathname;

interface Ended {
  /** Exit code, or the signal that ended it. */
  readonly how: number | string;
  readonly stdout: string;
  readonly stderr: string;
}

interface Running {
  readonly child: ChildProcess;
  readonly ended: Promise<Ended>;
}

function run(program: string, args: readonly string[], cwd: string): Running {
  const child = spawn(process.execPath, [program, ...args], {
    cwd,
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, COUNTERSIGN_LISTEN: '127.0.0.1:0' },
  });
  let stdout = '';
  let stderr = '';
  child.stdout.on('data', (chunk: Buffer) => (stdout += chunk.toString()));
  child.stderr.on('data', (chunk: Buffer) => (stderr = (stderr + chunk.toString()).slice(-2_000_000)));
  const ended = once(child, 'close').then(([code, signal]): Ended => {
    return { how: (code ?? signal) as number | string, stdout, stderr };
  });
  return { child, ended };
}

/** Rehearses a ceremony in `directory`, which must be new or empty. */
export async function rehearse(directory: string, bins: number): Promise<void> {
  const { how, stderr } = await run(CEREMONY, ['rehearse', '--out', directory, '--bins', String(bins)], '/')
    .ended;
  if (how !== 0) throw new Error(`rehearsal ended with ${how}: ${stderr}`);
}

/** Runs a command in `directory` to its end, or kills it as soon as `killWhen` resolves. */
export async function runCommand(
  directory: string,
  args: readonly string[],
  killWhen?: Promise<void>,
): Promise<Ended> {
  const { child, ended } = run(PROGRAM, args, directory);
  void killWhen?.then(() => child.kill('SIGKILL'));
  return ended;
}

export interface CommandProcess {
  readonly ended: Promise<Ended>;
  /** Resolves with what the pattern matched on standard error, past what was asked for before; rejects at the end. */
  says(pattern: RegExp): Promise<RegExpExecArray>;
  signal(name: 'SIGKILL' | 'SIGTERM'): void;
}

/** Starts a command that goes on; killed at the latest when the test ends. */
export function startCommand(directory: string, args: readonly string[]): CommandProcess {
  const { child, ended } = run(PROGRAM, args, directory);
  onTestFinished(async () => {
    child.kill('SIGKILL');
    await ended;
  });
  let heard = '';
  child.stderr?.on('data', (chunk: Buffer) => (heard += chunk.toString()));
  const says = async (pattern: RegExp): Promise<RegExpExecArray> => {
    for (;;) {
      const match = pattern.exec(heard);
      if (match !== null) {
        heard = heard.slice(match.index + match[0].length);
        return match;
      }
      if (child.exitCode !== null) throw new Error(`it ended, and never said ${pattern.source}: ${heard}`);
      await Promise.race([ended, child.stderr && once(child.stderr, 'data')]);
    }
  };
  return { ended, says, signal: (name) => child.kill(name) };
}

export interface ServiceProcess {
  /** `http://127.0.0.1:PORT`; rejects when the process ends before it listens. */
  readonly address: Promise<string>;
  readonly ended: Promise<Ended>;
  signal(name: 'SIGKILL' | 'SIGTERM' | 'SIGSTOP' | 'SIGCONT'): void;
}

/** Starts `countersign serve` in `directory`; killed at the latest when the test ends. */
export function startService(directory: string): ServiceProcess {
  const { child, ended } = run(PROGRAM, ['serve', '--json'], directory);
  onTestFinished(async () => {
    child.kill('SIGKILL');
    await ended;
  });
  const address = new Promise<string>((resolve, reject) => {
    let document = '';
    if (child.stdout === null) throw new Error('no standard output');
    createInterface({ input: child.stdout }).on('line', (line) => {
      document += line;
      const url = /"address":\s*"([^"]+)"/.exec(document)?.[1];
      if (url !== undefined) resolve(url);
    });
    void ended.then(({ how, stderr }) => {
      reject(new Error(`service ended with ${how} before it listened: ${stderr}`));
    });
  });
  // Whoever kills it before it listens need not wait for the address.
  address.catch(() => undefined);
  return { address, ended, signal: (name) => child.kill(name) };
}
