// The command line of countersign-ceremony. Standard output carries the answer alone; with --json it is one document;
// messages go to standard error. Exit status: 0 done, 1 refused, 2 wrong usage, 3 try again, 4 internal fault.
import type { Writable } from 'node:stream';
import path from 'node:path';
import { Command, CommanderError, InvalidArgumentError, Option } from 'commander';
import type { Clock } from '../src/lib/clock.ts';
import { CountersignError, ERRORS, messageOf, type ErrorKind } from '../src/lib/errors.ts';
import { VERSION } from '../src/lib/version.ts';
import { DELEGATION_FORMATS } from '../src/tuf/delegations.ts';
import type { RandomSource } from './ceremony-key.ts';
import { CEREMONY_DEFAULTS } from './defaults.ts';
import { rehearse, type Rehearsal, type RehearsalResult } from './rehearse.ts';

/** The process, as main.ts hands it over. */
export interface CeremonyContext {
  readonly cwd: string;
  readonly stdout: Writable;
  readonly stderr: Writable;
  readonly clock: Clock;
  readonly random: RandomSource;
}

const STATUS: Readonly<Record<ErrorKind, number>> = { refused: 1, usage: 2, unavailable: 3, internal: 4 };

/** Runs one command line; the exit status. Never rejects. */
export async function runCeremony(args: readonly string[], context: CeremonyContext): Promise<number> {
  try {
    await ceremonyProgram(context).parseAsync([...args], { from: 'user' });
    return 0;
  } catch (error) {
    // --help and --version end the same way as an error does.
    if (error instanceof CommanderError && error.exitCode === 0) return 0;
    const failure = asFailure(error);
    const { remedy, kind } = ERRORS[failure.code];
    if (args.includes('--json')) {
      answer(context, { error: { code: failure.code, message: failure.message, remedy } });
    }
    context.stderr.write(`countersign-ceremony: ${failure.message}\n  -> ${remedy}\n`);
    return STATUS[kind];
  }
}

function asFailure(error: unknown): CountersignError {
  if (error instanceof CountersignError) return error;
  if (error instanceof CommanderError) {
    const message =
      error.code === 'commander.help' ? 'no command was given' : error.message.replace(/^error: /, '');
    return new CountersignError('usage', message);
  }
  return new CountersignError('internal', `unexpected fault: ${messageOf(error)}`);
}

function answer({ stdout }: CeremonyContext, document: unknown): void {
  stdout.write(`${JSON.stringify(document, null, 2)}\n`);
}

function ceremonyProgram(context: CeremonyContext): Command {
  const program = new Command('countersign-ceremony')
    .description('makes and rotates the offline keys of a countersign repository; never touches a network')
    .version(VERSION)
    .option('--json', 'answer with one JSON document on standard output')
    .exitOverride()
    .configureOutput({
      writeOut: (text) => context.stdout.write(text),
      // Errors are reported once, by runCeremony.
      writeErr: () => undefined,
    });
  const { holders, threshold, bins, format } = CEREMONY_DEFAULTS;
  program
    .command('rehearse')
    .description('hold a whole first ceremony with throwaway keys, to try countersign out or to practise')
    .requiredOption('--out <dir>', 'where everything goes: a new or an empty folder')
    .option('--holders <n>', 'people who hold a root key', wholeNumber, holders)
    .option('--threshold <n>', 'how many of them must sign', wholeNumber, threshold)
    .option('--bins <n>', 'hashed bins, a power of two', wholeNumber, bins)
    .addOption(
      new Option('--format <form>', 'how bins are delegated: TAP 15, or hash prefixes for older clients')
        .choices(DELEGATION_FORMATS)
        .default(format),
    )
    .addHelpText(
      'after',
      `
Examples:
  countersign-ceremony rehearse --out ./trial
  countersign-ceremony rehearse --out ./trial --holders 5 --threshold 3 --bins 16384
  countersign-ceremony rehearse --out ./trial --format prefixes --json`,
    )
    .option('--json', 'answer with one JSON document on standard output')
    .action(async (options: Rehearsal, command: Command) => {
      const json = command.optsWithGlobals<{ json?: true }>().json ?? false;
      const result = await rehearse(
        { ...options, out: path.resolve(context.cwd, options.out) },
        {
          now: context.clock.now(),
          random: context.random,
          say: (line) => context.stderr.write(`${line}\n`),
        },
      );
      if (json) answer(context, result);
      else context.stdout.write(nextSteps(result));
    });
  return program;
}

function nextSteps({ out, next }: RehearsalResult): string {
  return `next, in ${out}:\n${next.map((command) => `  ${command}\n`).join('')}`;
}

function wholeNumber(text: string): number {
  if (/^\d{1,6}$/.test(text)) return Number(text);
  throw new InvalidArgumentError('Expected a whole number.');
}
