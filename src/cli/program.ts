// The command line: what happens around each command. One file per command beside this one; ./commands.ts lists them.
import { Command, CommanderError } from 'commander';
import { DEFAULT_CONFIG_FILE } from '../config/default-file.ts';
import { VERSION } from '../lib/version.ts';
import { commandsFor } from './commands.ts';
import { failureOf, type ExitStatus } from './exit.ts';
import { Session, type CliContext, type GlobalOptions, type Perform } from './session.ts';

/** Runs one command; never rejects. */
export async function runCli(args: readonly string[], context: CliContext): Promise<ExitStatus> {
  let status: ExitStatus = 0;
  const perform: Perform = (work) =>
    async function (this: Command) {
      const options = this.optsWithGlobals<GlobalOptions & Record<string, unknown>>();
      const session = new Session(context, options);
      const answer = await work(session, options, this.args);
      session.answer(answer);
      status = answer.status ?? 0;
    };
  try {
    const program = buildProgram(context);
    for (const addCommand of await commandsFor(args)) addCommand(program, perform);
    await program.parseAsync([...args], { from: 'user' });
  } catch (error) {
    // Help and --version end the parse by throwing, with status 0.
    if (error instanceof CommanderError && error.exitCode === 0) return 0;
    const failure = failureOf(error);
    // The options may be what could not be parsed: the flag is looked up by hand.
    const session = new Session(context, args.includes('--json') ? { json: true } : {});
    // Without a command commander has printed the help already, which says more than an error.
    const helpShown = error instanceof CommanderError && error.code === 'commander.help';
    if (!helpShown || session.json) session.fail(failure);
    return failure.status;
  }
  return status;
}

function buildProgram(context: CliContext): Command {
  return new Command('countersign')
    .description('The signing service of a package index (PEP 458).')
    .version(VERSION, '-V, --version')
    .option(
      '-c, --config <file>',
      `configuration file (default: ${DEFAULT_CONFIG_FILE}, then built-in defaults)`,
    )
    .option('--json', 'answer with one JSON document on standard output')
    .configureHelp({ showGlobalOptions: true })
    .configureOutput({
      writeOut: (text) => context.stdout.write(text),
      writeErr: (text) => context.stderr.write(text),
      // Errors are reported once, by runCli.
      outputError: () => undefined,
    })
    .exitOverride()
    .addHelpText(
      'after',
      `
Exit status: 0 done, 1 refused or not verified, 2 wrong usage or configuration,
3 the other side is unavailable (try again), 4 internal fault.

Examples:
  countersign init                     # a commented countersign.yaml in this directory
  countersign key generate             # the online key
  countersign bootstrap bundle.json    # the ceremony's result becomes the repository
  countersign serve                    # takes upload events, publishes snapshots
  countersign COMMAND --help           # more examples`,
    );
}
