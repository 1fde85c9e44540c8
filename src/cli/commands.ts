// Which commands there are, in the order of the help. Each is loaded when it is asked for: the modules of all of them
// together take longer to load than most commands take to run.
import type { Command } from 'commander';
import type { Perform } from './session.ts';

type AddCommand = (program: Command, perform: Perform) => void;

const COMMANDS: ReadonlyMap<string, () => Promise<AddCommand>> = new Map([
  ['init', async () => (await import('./init.ts')).addInitCommand],
  ['key', async () => (await import('./key.ts')).addKeyCommand],
  ['bootstrap', async () => (await import('./bootstrap.ts')).addBootstrapCommand],
  ['serve', async () => (await import('./serve.ts')).addServeCommand],
  ['import', async () => (await import('./import.ts')).addImportCommand],
  ['renew', async () => (await import('./renew.ts')).addRenewCommand],
  ['recover', async () => (await import('./recover.ts')).addRecoverCommand],
  ['backsign', async () => (await import('./backsign.ts')).addBacksignCommand],
  ['follow', async () => (await import('./follow.ts')).addFollowCommand],
  ['publish', async () => (await import('./publish.ts')).addPublishCommand],
  ['status', async () => (await import('./status.ts')).addStatusCommand],
  ['watch', async () => (await import('./watch.ts')).addWatchCommand],
  ['client', async () => (await import('./client.ts')).addClientCommand],
  ['proxy', async () => (await import('./proxy.ts')).addProxyCommand],
  ['mirror', async () => (await import('./mirror.ts')).addMirrorCommand],
  ['fsck', async () => (await import('./fsck.ts')).addFsckCommand],
  ['audit', async () => (await import('./audit.ts')).addAuditCommand],
  ['gc', async () => (await import('./gc.ts')).addGcCommand],
  ['copy', async () => (await import('./copy.ts')).addCopyCommand],
  ['reconcile', async () => (await import('./reconcile.ts')).addReconcileCommand],
  ['plan', async () => (await import('./plan.ts')).addPlanCommand],
  ['demo', async () => (await import('./demo.ts')).addDemoCommand],
]);

/** The command that `args` name; all of them when they name none that there is: for the help, and for what is misspelt. */
export async function commandsFor(args: readonly string[]): Promise<AddCommand[]> {
  if (/^(?:-V|--version)$/.test(args[0] ?? '')) return [];
  const asked = COMMANDS.get(commandOf(args) ?? '');
  return Promise.all(asked === undefined ? [...COMMANDS.values()].map((load) => load()) : [asked()]);
}

/** The first argument that is neither a global option nor the value of one. */
function commandOf(args: readonly string[]): string | undefined {
  for (let at = 0; at < args.length; at++) {
    const arg = args[at] ?? '';
    if (arg === '-c' || arg === '--config') at += 1;
    else if (!arg.startsWith('-')) return arg;
  }
  return undefined;
}
