// The real programs, run as a user would run them: child processes with arguments, an environment and exit statuses.
// Every child is stopped by its own process id, whatever becomes of the demo.
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { open } from 'node:fs/promises';
import process from 'node:process';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import type { Clock } from '../lib/clock.ts';
import { messageOf } from '../lib/errors.ts';
import { demoFailed } from './failure.ts';

/** The built programs, beside this module in dist/ (package.json "bin"). */
const SCRIPTS = {
  countersign: new URL('../main.js', import.meta.url),
  'countersign-ceremony': new URL('../../keys-ceremony/main.js', import.meta.url),
} as const;

/** Longer than any command of the demo takes on a slow machine; only a program that hangs is ended by it. */
const COMMAND_TIMEOUT_MS = 60_000;

/** How long the service may take to say its address, or to finish its work after SIGTERM. */
const SERVICE_TIMEOUT_MS = 30_000;

/** As much of a program's last words goes into an error. */
const LAST_MESSAGE_CHARACTERS = 400;

export interface CommandLine {
  readonly program: keyof typeof SCRIPTS;
  readonly args: readonly string[];
  readonly cwd: string;
}

export interface Surroundings {
  readonly clock: Clock;
  /** Without countersign's own variables: the demo uses its own installation and no other. */
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly signal: AbortSignal;
}

export interface RunningService {
  /** `http://127.0.0.1:41234`. */
  readonly address: string;
  readonly pid: number;
  /** Asks it to stop and waits; throws `demo-failed` when it does not end with status 0. */
  stop(): Promise<void>;
}

export class Programs {
  readonly #surroundings: Surroundings;
  readonly #children = new Set<ChildProcess>();

  constructor(surroundings: Surroundings) {
    this.#surroundings = surroundings;
  }

  /**
   * Runs a command with --json; its document.
   * @throws CountersignError `demo-failed` when it ends with another status than 0.
   */
  async run(command: CommandLine): Promise<unknown> {
    const child = this.#spawn(command, 'pipe');
    const timer = setTimeout(() => child.kill('SIGKILL'), COMMAND_TIMEOUT_MS);
    try {
      const { stdout, stderr } = child;
      if (stdout === null || stderr === null) throw new Error('no pipes');
      const [answer, messages, how] = await Promise.all([text(stdout), text(stderr), ended(child)]);
      const document = parse(answer);
      if (how !== 0) throw demoFailed(`${name(command)} ended with ${how}: ${reason(document, messages)}`);
      if (document === undefined) throw demoFailed(`${name(command)} answered without a JSON document`);
      return document;
    } finally {
      clearTimeout(timer);
    }
  }

  /**
   * Starts `countersign serve`, waits for its address; its log goes to a file.
   * @param listen Where it listens, the setting of that name.
   * @throws CountersignError `demo-failed`.
   */
  async serve(cwd: string, listen: string, logFile: string): Promise<RunningService> {
    const command: CommandLine = { program: 'countersign', args: ['serve'], cwd };
    const log = await open(logFile, 'a', 0o600);
    try {
      const child = this.#spawn(command, log.fd, { COUNTERSIGN_LISTEN: listen });
      const over = ended(child);
      const address = await this.#within(
        Promise.race([
          addressOf(child),
          over.then((how) => {
            throw demoFailed(`${name(command)} ended with ${how}; its log is ${logFile}`);
          }),
        ]),
        `${name(command)} did not say its address`,
      );
      return {
        address,
        pid: child.pid ?? 0,
        stop: async () => {
          child.kill('SIGTERM');
          const how = await this.#within(over, `${name(command)} did not stop`);
          if (how !== 0) throw demoFailed(`${name(command)} ended with ${how}; its log is ${logFile}`);
        },
      };
    } finally {
      await log.close();
    }
  }

  /** Ends what still runs; for a demo that failed. */
  async stopAll(): Promise<void> {
    await Promise.all(
      [...this.#children].map(async (child) => {
        const over = ended(child);
        child.kill('SIGTERM');
        const timer = setTimeout(() => child.kill('SIGKILL'), SERVICE_TIMEOUT_MS);
        await over;
        clearTimeout(timer);
      }),
    );
  }

  #spawn({ program, args, cwd }: CommandLine, stderr: 'pipe' | number, env = {}): ChildProcess {
    this.#surroundings.signal.throwIfAborted();
    const child = spawn(process.execPath, [fileURLToPath(SCRIPTS[program]), ...args, '--json'], {
      cwd,
      env: { ...this.#surroundings.env, ...env },
      stdio: ['ignore', 'pipe', stderr],
    });
    this.#children.add(child);
    // A child that cannot be started has no exit; its error arrives through ended().
    const forget = (): void => void this.#children.delete(child);
    child.once('close', forget).once('error', forget);
    return child;
  }

  async #within<T>(work: Promise<T>, late: string): Promise<T> {
    const { clock, signal } = this.#surroundings;
    const done = new AbortController();
    const stop = AbortSignal.any([signal, done.signal]);
    try {
      return await Promise.race([
        work,
        clock.sleep(SERVICE_TIMEOUT_MS, stop).then(() => {
          signal.throwIfAborted();
          throw demoFailed(`${late} within ${SERVICE_TIMEOUT_MS / 1000} s`);
        }),
      ]);
    } finally {
      done.abort();
    }
  }
}

function name({ program, args }: CommandLine): string {
  return `"${program} ${args[0] ?? ''}"`;
}

/** The exit status, or the signal that ended it. */
async function ended(child: ChildProcess): Promise<number | string> {
  if (child.exitCode !== null) return child.exitCode;
  if (child.signalCode !== null) return child.signalCode;
  try {
    const [code, signal] = (await once(child, 'close')) as [number | null, string | null];
    return code ?? signal ?? 'an unknown end';
  } catch (error) {
    return messageOf(error);
  }
}

/** `serve --json` prints {"address": URL} once it listens. */
async function addressOf(child: ChildProcess): Promise<string> {
  let printed = '';
  for await (const chunk of child.stdout ?? []) {
    printed += String(chunk);
    const { address } = Object(parse(printed)) as { address?: unknown };
    if (typeof address === 'string') return address;
  }
  // The end of the child says more.
  return new Promise(() => undefined);
}

function parse(answer: string): unknown {
  try {
    return JSON.parse(answer);
  } catch {
    return undefined;
  }
}

function reason(document: unknown, messages: string): string {
  const { error } = Object(document) as { error?: { message?: unknown } };
  if (typeof error?.message === 'string') return error.message;
  // A check that found something answers with it instead of an error.
  const said = messages.trim() === '' ? JSON.stringify(document ?? 'no message') : messages.trim();
  return said.slice(-LAST_MESSAGE_CHARACTERS);
}
