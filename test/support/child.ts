// Real processes, for tests in which one is killed or two race.
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { onTestFinished } from 'vitest';

const HOOKS = new URL('typescript-hooks.js', import.meta.url).href;
const REGISTER = `data:text/javascript,import{register}from"node:module";register(${JSON.stringify(HOOKS)})`;

export interface Child {
  readonly process: ChildProcess;
  /** Lines of standard output so far; grows. */
  readonly lines: readonly string[];
  /** Resolves when there are `count` lines, rejects when the child ends before. */
  untilLines(count: number): Promise<void>;
  /** Resolves with the exit code, or the signal that ended the child. */
  readonly ended: Promise<number | string>;
}

/**
 * Runs a TypeScript module of test/support in a process of its own, killed at the latest when the test ends.
 * `fileSizeLimitKiB`: no file of the child may grow beyond it, which makes its writes fail as on a full disk.
 */
export function runChild(module: string, args: string[], options: { fileSizeLimitKiB?: number } = {}): Child {
  const script = new URL(module, import.meta.url).pathname;
  const command = [process.execPath, '--import', REGISTER, script, ...args];
  const limit = options.fileSizeLimitKiB;
  const shell = ['-c', `ulimit -f ${limit ?? 'unlimited'}; exec "$@"`, 'bash', ...command];
  const child = spawn('bash', shell, { stdio: ['ignore', 'pipe', 'inherit'] });
  const lines: string[] = [];
  const reader = createInterface({ input: child.stdout });
  reader.on('line', (line) => lines.push(line));
  const ended = once(child, 'close').then(([code, signal]) => (code ?? signal) as number | string);
  onTestFinished(async () => {
    child.kill('SIGKILL');
    await ended;
  });
  return {
    process: child,
    lines,
    ended,
    untilLines: (count) =>
      new Promise((resolve, reject) => {
        const check = (): void => {
          if (lines.length >= count) resolve();
        };
        reader.on('line', check);
        void ended.then((how) => {
          check();
          reject(new Error(`child ended (${how}) after ${lines.length} of ${count} lines`));
        });
        check();
      }),
  };
}
