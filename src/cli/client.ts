// countersign client: the verifying client, in the command form of the TUF conformance suite.
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { Argument, type Command } from 'commander';
import { httpFetcher } from '../client/http-fetcher.ts';
import { downloadTarget } from '../client/target-download.ts';
import { Updater, type TrustedVersions } from '../client/updater.ts';
import { CountersignError, hasCode, messageOf } from '../lib/errors.ts';
import { MetadataDirectory } from '../storage/metadata-directory.ts';
import type { Answer, Perform, Session } from './session.ts';

interface ClientCommandOptions {
  readonly metadataDir?: string;
  readonly metadataUrl?: string;
  readonly targetName?: readonly string[];
  readonly targetBaseUrl?: string;
  readonly targetDir?: string;
}

export function addClientCommand(program: Command, perform: Perform): void {
  program
    .command('client')
    .description('the verifying client: what it accepts is signed, consistent and fresh')
    .addArgument(new Argument('<action>', 'what to do').choices(['init', 'refresh', 'download']))
    .argument('[root]', 'init: the root to trust from now on')
    .requiredOption('--metadata-dir <dir>', 'where the client keeps what it trusts')
    .option('--metadata-url <url>', 'where timestamp.json is')
    .option('--target-name <path>', 'download: a target path; may be repeated', collect, [])
    .option('--target-base-url <url>', 'download: where target files are')
    .option('--target-dir <dir>', 'download: where verified files are put')
    .addHelpText(
      'after',
      `
init takes a root into the metadata directory, without a request. refresh updates root, timestamp, snapshot
and targets. download refreshes, then downloads each target in order and stops at the first that fails;
a file that is there already is not downloaded again. A file is named by its path in percent-encoding.
Exit status 1: not verified, not there, or no answer; what was trusted before stays trusted.

Examples:
  countersign client --metadata-dir ./trusted init root.json
  countersign client --metadata-dir ./trusted --metadata-url https://index.example/metadata refresh
  countersign client --metadata-dir ./trusted --metadata-url https://index.example/metadata \\
    --target-name packages/demo-1.0.tar.gz --target-base-url https://index.example/targets \\
    --target-dir ./files download`,
    )
    .action(
      perform((session, raw, [action = '', root]) => {
        const options: ClientCommandOptions = raw;
        const store = MetadataDirectory.open(
          path.resolve(session.context.cwd, need(options.metadataDir, '--metadata-dir')),
        );
        if (action === 'init') return initClient(session, store, need(root, 'a root file'));
        if (root !== undefined) throw new CountersignError('usage', `${action} takes no file: ${root}`);
        const work = action === 'refresh' ? refreshClient : downloadFiles;
        return work(session, store, options).catch(asFailedUpdate);
      }),
    );
}

function collect(value: string, previous: readonly string[]): readonly string[] {
  return [...previous, value];
}

async function initClient(session: Session, store: MetadataDirectory, name: string): Promise<Answer> {
  const file = path.resolve(session.context.cwd, name);
  let bytes;
  try {
    bytes = await readFile(file);
  } catch (error) {
    throw new CountersignError('usage', `cannot read ${file}: ${messageOf(error)}`, { cause: error });
  }
  const versions = await Updater.init(store, bytes);
  return { json: { trusted: versions }, text: `root ${versions.root} is trusted from now on` };
}

async function refreshClient(
  session: Session,
  store: MetadataDirectory,
  options: ClientCommandOptions,
): Promise<Answer> {
  const trusted = await openUpdater(session, store, options).refresh();
  return { json: { trusted }, text: describe(trusted) };
}

async function downloadFiles(
  session: Session,
  store: MetadataDirectory,
  options: ClientCommandOptions,
): Promise<Answer> {
  const { clock, cwd } = session.context;
  const baseUrl = need(options.targetBaseUrl, '--target-base-url');
  const directory = path.resolve(cwd, need(options.targetDir, '--target-dir'));
  const names = options.targetName ?? [];
  if (names.length === 0) throw new CountersignError('usage', 'download needs --target-name');
  const updater = openUpdater(session, store, options);
  const trusted = await updater.refresh();
  const { consistentSnapshot } = updater;
  const files = [];
  for (const name of names) {
    const target = await updater.find(name);
    if (target === undefined) {
      throw new CountersignError('target-absent', `no role knows the target path ${JSON.stringify(name)}`);
    }
    const fetcher = httpFetcher(clock);
    const plan = { fetcher, baseUrl, consistentSnapshot, directory };
    files.push({ path: name, ...(await downloadTarget(target, plan)) });
  }
  const lines = files.map(({ file, cached }) => `${cached ? 'already there' : 'downloaded'}: ${file}`);
  return { json: { trusted, files }, text: [describe(trusted), ...lines].join('\n') };
}

/** In this command form every update that fails has status 1, also one that no mirror answered. */
function asFailedUpdate(error: unknown): never {
  if (!hasCode(error, 'store-unavailable', 'store-conflict')) throw error;
  throw new CountersignError('update-failed', error.message, { cause: error });
}

function openUpdater(session: Session, store: MetadataDirectory, options: ClientCommandOptions): Updater {
  const { clock } = session.context;
  const metadataUrl = need(options.metadataUrl, '--metadata-url');
  return new Updater({ store, fetcher: httpFetcher(clock), clock, metadataUrl });
}

function describe({ root, timestamp, snapshot, targets }: TrustedVersions): string {
  return `up to date: root ${root}, timestamp ${timestamp}, snapshot ${snapshot}, targets ${targets}`;
}

function need(value: string | undefined, option: string): string {
  if (value !== undefined) return value;
  throw new CountersignError('usage', `${option} is missing`);
}
