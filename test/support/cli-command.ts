// A command as an operator types it, run in this process.
import { PassThrough } from 'node:stream';
import { runCli } from '../../src/cli/program.ts';
import { systemClock, type Clock } from '../../src/lib/clock.ts';

export interface CommandOutcome {
  readonly status: number;
  readonly out: string;
  readonly err: string;
}

/** Runs a command in `cwd` with nothing in the environment but `env`; `isTTY`: standard error is a terminal. */
export async function runInProcess(
  cwd: string,
  env: Readonly<Record<string, string>>,
  args: readonly string[],
  { clock = systemClock, isTTY = false }: { readonly clock?: Clock; readonly isTTY?: boolean } = {},
): Promise<CommandOutcome> {
  const [stdin, stdout, stderr] = [new PassThrough(), new PassThrough(), new PassThrough()];
  const status = await runCli(args, {
    cwd,
    env,
    stdin,
    stdout,
    stderr: Object.assign(stderr, { isTTY }),
    clock,
    process: { host: 'test', pid: process.pid, startedAt: 1 },
    random: () => 0.5,
    newId: () => 'id',
    stopRequested: () => new Promise(() => undefined),
  });
  return { status, out: text(stdout), err: text(stderr) };
}

/** Everything that was written; a newer Node's read() gives one chunk at a time. */
function text(stream: PassThrough): string {
  let all = '';
  for (let chunk: unknown; (chunk = stream.read()) !== null;) all += (chunk as Buffer).toString();
  return all;
}
