// What a command may touch of the outside world, and how it answers. The rules of the command line:
//  - standard output carries the answer alone; with --json it is exactly one JSON document;
//  - messages go to standard error, errors as `countersign: MESSAGE` and a second line `  -> REMEDY`;
//  - progress is drawn on a terminal only, and never with --json;
//  - secrets come from files or the environment, never from arguments.
import type { Readable, Writable } from 'node:stream';
import type { LoadedConfig } from '../config.ts';
import type { Command } from 'commander';
import type { Clock } from '../lib/clock.ts';
import { formatHolder, isGone, type ProcessName } from '../lib/holder.ts';
import { printable } from '../lib/printable.ts';
import type { LeaseTaker } from '../publish/lease.ts';
import type { ExitStatus, Failure } from './exit.ts';

export interface Terminal extends Writable {
  readonly isTTY?: boolean;
}

/** The process, as src/main.ts hands it over. */
export interface CliContext {
  readonly cwd: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly stdin: Readable;
  readonly stdout: Terminal;
  readonly stderr: Terminal;
  readonly clock: Clock;
  /** Identifies this process among publishers. */
  readonly process: ProcessName;
  /** A number from 0 to 1, for jitter. */
  readonly random: () => number;
  /** An identifier that nobody else makes. */
  readonly newId: () => string;
  /** Resolves when the process is asked to stop (SIGINT, SIGTERM); a second request ends it at once. */
  readonly stopRequested: () => Promise<void>;
}

/** What a command answers. */
export interface Answer {
  /** The document of --json; absent when it was printed already. */
  readonly json?: unknown;
  /** The same for people: lines without the last newline; empty prints nothing. */
  readonly text: string;
  /** 0 unless the command did its work and the result is bad. */
  readonly status?: ExitStatus;
}

export interface GlobalOptions {
  readonly config?: string;
  readonly json?: true;
}

export class Session {
  readonly context: CliContext;
  readonly json: boolean;
  readonly #configFile: string | undefined;

  constructor(context: CliContext, options: GlobalOptions) {
    this.context = context;
    this.json = options.json ?? false;
    this.#configFile = options.config;
  }

  /** The same command in other surroundings. */
  with(context: CliContext): Session {
    const config = this.#configFile;
    return new Session(context, {
      ...(config === undefined ? {} : { config }),
      ...(this.json ? { json: true } : {}),
    });
  }

  /** @throws CountersignError `config-invalid`. */
  async load(): Promise<LoadedConfig> {
    const { cwd, env } = this.context;
    // Clients and mirrors need no configuration, and none of the libraries that read it.
    const { loadConfig } = await import('../config.ts');
    return loadConfig({ ...(this.#configFile === undefined ? {} : { file: this.#configFile }), cwd, env });
  }

  /** How this process takes the publisher lease. */
  get leaseTaker(): LeaseTaker {
    const own = this.context.process;
    return { holder: formatHolder(own), isGone: (holder) => isGone(holder, own) };
  }

  /** A message on standard error, for people. */
  note(message: string): void {
    this.context.stderr.write(`${printable(message)}\n`);
  }

  answer({ json, text }: Answer): void {
    if (this.json) {
      if (json !== undefined) this.context.stdout.write(`${JSON.stringify(json, null, 2)}\n`);
    } else if (text !== '') this.context.stdout.write(`${printable(text)}\n`);
  }

  fail({ code, message, remedy }: Failure): void {
    if (this.json) this.answer({ json: { error: { code, message, remedy } }, text: '' });
    this.note(`countersign: ${message}\n  -> ${remedy}`);
  }
}

/** Makes a command's action of `work`: its answer is printed, what it throws becomes the exit status. */
export type Perform = (
  work: (
    session: Session,
    options: Readonly<Record<string, unknown>>,
    args: readonly string[],
  ) => Promise<Answer>,
) => (this: Command) => Promise<void>;
