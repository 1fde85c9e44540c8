// The command line of countersign-ceremony: which commands there are, and what happens around each. Standard output
// carries the answer alone; with --json it is one document; messages go to standard error. Exit status: 0 done,
// 1 refused, 2 wrong usage, 3 try again, 4 internal fault. One file per command in commands/.
import { Command, CommanderError } from 'commander';
import { CountersignError, ERRORS, messageOf, type ErrorKind } from '../src/lib/errors.ts';
import { printable } from '../src/lib/printable.ts';
import { VERSION } from '../src/lib/version.ts';
import { addBuildCommand } from './commands/build.ts';
import { addExportCommand } from './commands/export.ts';
import { addKeyCommand } from './commands/key.ts';
import { addMergeCommand } from './commands/merge.ts';
import { addOneTimeCommand } from './commands/one-time.ts';
import { addPlanCommand } from './commands/plan.ts';
import { addPlanNewCommand } from './commands/plan-new.ts';
import { addRecordCommand } from './commands/record.ts';
import { addRehearseCommand } from './commands/rehearse.ts';
import { addSelfCheckCommand } from './commands/self-check.ts';
import { addSignCommand } from './commands/sign.ts';
import { addAbortCommand, addStatusCommand } from './commands/status.ts';
import { addTranscriptCommand } from './commands/transcript.ts';
import { addBundleCommand, addVerifyCommand } from './commands/verify.ts';
import { AnsweredWithStatus, type CeremonyContext } from './context.ts';

const STATUS: Readonly<Record<ErrorKind, number>> = { refused: 1, usage: 2, unavailable: 3, internal: 4 };

/** Runs one command line; the exit status. Never rejects. */
export async function runCeremony(args: readonly string[], context: CeremonyContext): Promise<number> {
  try {
    await ceremonyProgram(context).parseAsync([...args], { from: 'user' });
    return 0;
  } catch (error) {
    if (error instanceof AnsweredWithStatus) return error.status;
    // --help and --version end the same way as an error does.
    if (error instanceof CommanderError && error.exitCode === 0) return 0;
    const failure = asFailure(error);
    const { remedy, kind } = ERRORS[failure.code];
    if (args.includes('--json')) {
      const document = { error: { code: failure.code, message: failure.message, remedy } };
      context.stdout.write(`${JSON.stringify(document, null, 2)}\n`);
    }
    context.stderr.write(`countersign-ceremony: ${printable(failure.message)}\n  -> ${remedy}\n`);
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

/** Every command, not yet run: for runCeremony, and for whoever compares documents with it. */
export function ceremonyProgram(context: CeremonyContext): Command {
  const program = new Command('countersign-ceremony')
    .description('makes and rotates the offline keys of a countersign repository; never touches a network')
    .version(versionText(context))
    .option('--json', 'answer with one JSON document on standard output')
    .exitOverride()
    .configureOutput({
      writeOut: (text) => context.stdout.write(text),
      // Errors are reported once, by runCeremony.
      writeErr: () => undefined,
    });
  const add = [
    addPlanNewCommand,
    addPlanCommand,
    addKeyCommand,
    addSelfCheckCommand,
    addOneTimeCommand,
    addBuildCommand,
    addSignCommand,
    addMergeCommand,
    addVerifyCommand,
    addBundleCommand,
    addRecordCommand,
    addExportCommand,
    addTranscriptCommand,
    addStatusCommand,
    addAbortCommand,
    addRehearseCommand,
  ];
  for (const addCommand of add) addCommand(program, context);
  return program;
}

/** The version, and of a program that is one file the SHA-256 that its paper must show. */
function versionText({ tool }: CeremonyContext): string {
  return tool?.complete === true ? `${VERSION}\nsha256 ${tool.sha256}` : VERSION;
}
