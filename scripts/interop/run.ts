// Child processes of the interop suite: run to their end, or kept until stopped by their own id.
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import process from 'node:process';
import { text } from 'node:stream/consumers';

export interface RunOptions {
  readonly cwd?: string;
  readonly env?: Readonly<Record<string, string>>;
  /** Milliseconds; the process is killed then. */
  readonly timeoutMs?: number;
  /** Lines of the output that say why it failed; the last ones by default. */
  readonly reasonLines?: RegExp;
}

/** What a process that ended with status 0 said on standard output. */
export async function run(
  command: string,
  args: readonly string[],
  options: RunOptions = {},
): Promise<string> {
  const child = start(command, args, options);
  const timer = setTimeout(() => child.kill('SIGKILL'), options.timeoutMs ?? 300_000);
  const [stdout, stderr, [code, signal]] = await Promise.all([
    text(child.stdout as NodeJS.ReadableStream),
    text(child.stderr as NodeJS.ReadableStream),
    closed(child),
  ]);
  clearTimeout(timer);
  if (code === 0) return stdout;
  const { reasonLines = /./ } = options;
  const lines = `${stderr}\n${stdout}`.split('\n').filter((line) => reasonLines.test(line));
  const last = lines.slice(-20).join('\n');
  throw new Error(`${command} ${args.slice(0, 3).join(' ')} ended with ${String(code ?? signal)}: ${last}`);
}

/** Exit code, or the signal that ended it. */
export async function closed(child: ChildProcess): Promise<[code: number | null, signal: string | null]> {
  return (await once(child, 'close')) as [number | null, string | null];
}

export function start(command: string, args: readonly string[], options: RunOptions = {}): ChildProcess {
  const env = { ...process.env, ...options.env };
  const { cwd } = options;
  return spawn(command, args, { stdio: 'pipe', env, ...(cwd === undefined ? {} : { cwd }) });
}
