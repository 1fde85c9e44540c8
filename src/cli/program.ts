// The command line: which commands there are, and what happens around each. One file per command beside this one.
import { Command, CommanderError } from 'commander';
import { DEFAULT_CONFIG_FILE } from '../config.ts';
import { VERSION } from '../lib/version.ts';
import { addBacksignCommand } from './backsign.ts';
import { addAuditCommand } from './audit.ts';
import { addBootstrapCommand } from './bootstrap.ts';
import { addClientCommand } from './client.ts';
import { addCopyCommand } from './copy.ts';
import { addDemoCommand } from './demo.ts';
import { failureOf, type ExitStatus } from './exit.ts';
import { addFollowCommand } from './follow.ts';
import { addFsckCommand } from './fsck.ts';
import { addGcCommand } from './gc.ts';
import { addImportCommand } from './import.ts';
import { addInitCommand } from './init.ts';
import { addKeyCommand } from './key.ts';
import { addMirrorCommand } from './mirror.ts';
import { addPlanCommand } from './plan.ts';
import { addProxyCommand } from './proxy.ts';
import { addPublishCommand } from './publish.ts';
import { addRecoverCommand } from './recover.ts';
import { addRenewCommand } from './renew.ts';
import { addReconcileCommand } from './reconcile.ts';
import { addServeCommand } from './serve.ts';
import { Session, type CliContext, type GlobalOptions, type Perform } from './session.ts';
import { addStatusCommand } from './status.ts';
import { addWatchCommand } from './watch.ts';

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
    await buildProgram(context, perform).parseAsync([...args], { from: 'user' });
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

function buildProgram(context: CliContext, perform: Perform): Command {
  const program = new Command('countersign')
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
  const add = [
    addInitCommand,
    addKeyCommand,
    addBootstrapCommand,
    addServeCommand,
    addImportCommand,
    addRenewCommand,
    addRecoverCommand,
    addBacksignCommand,
    addFollowCommand,
    addPublishCommand,
    addStatusCommand,
    addWatchCommand,
    addClientCommand,
    addProxyCommand,
    addMirrorCommand,
    addFsckCommand,
    addAuditCommand,
    addGcCommand,
    addCopyCommand,
    addReconcileCommand,
    addPlanCommand,
    addDemoCommand,
  ];
  for (const addCommand of add) addCommand(program, perform);
  return program;
}
