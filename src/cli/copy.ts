// countersign copy: a repository moves to another store, a ledger to another database.
import { readFile, stat } from 'node:fs/promises';
import path from 'node:path';
import type { Command } from 'commander';
import { parseLedger, parseStore, type LedgerSetting, type StoreSetting } from '../config/backends.ts';
import type { LoadedConfig } from '../config.ts';
import { counted } from '../lib/counted.ts';
import { CountersignError, messageOf } from '../lib/errors.ts';
import { copyLedger } from '../ledger/copy-ledger.ts';
import { copyStore, type CopyPorts, type CopyReport } from '../publish/copy-store.ts';
import { openLedger, openStore, postgresAccess } from '../open-ports.ts';
import { startProgress } from './progress.ts';
import type { Answer, Perform, Session } from './session.ts';

interface CopyOptions {
  readonly from?: string;
  readonly to?: string;
  readonly root?: string;
  readonly dryRun?: true;
  readonly live?: true;
  readonly ledgerFrom?: string;
  readonly ledgerTo?: string;
}

export function addCopyCommand(program: Command, perform: Perform): void {
  program
    .command('copy')
    .description('move house: copy the repository to another store, or the ledger to PostgreSQL')
    .option(
      '--from <store>',
      'the source: file:DIRECTORY or s3://BUCKET/PREFIX (default: the configured store)',
    )
    .option('--to <store>', 'the destination: empty, or an earlier copy of the same repository')
    .option('--root <file>', 'a root file that you trust; the source must lead on from it')
    .option('--dry-run', 'verify the source, compare the destination, write nothing')
    .option('--live', 'copy although the service runs, until the copy has caught up with it')
    .option('--ledger-from <ledger>', 'the ledger to copy: sqlite:FILE')
    .option('--ledger-to <ledger>', 'an empty database: postgres://USER@HOST/DATABASE')
    .addHelpText(
      'after',
      `
Everything is verified as a client would verify it before it is written, and read back afterwards;
timestamp.json comes last. Rendered pages of the simple index come along, other target files do not. Run it again after an interruption: what is there already is compared and
skipped, and a name with other content is refused. The configured store is compared with its ledger too,
and refused while a service publishes into it, unless --live is given.

Moving: copy with --live while the service runs, stop the service, copy once more without --live (only
what is new is sent), change the configuration, start the service, run "countersign fsck".

Examples:
  countersign copy --to s3://index/tuf?region=eu-central-1 --live
  countersign copy --from file:./repository --to file:/backup/repository --dry-run
  countersign copy --ledger-from sqlite:./ledger.db --ledger-to postgres://countersign@db/countersign`,
    )
    .action(
      perform(async (session, raw) => {
        const options = raw as CopyOptions;
        const forLedger = options.ledgerFrom !== undefined || options.ledgerTo !== undefined;
        if (forLedger) return moveLedger(session, options);
        return moveStore(session, options);
      }),
    );
}

async function moveStore(session: Session, options: CopyOptions): Promise<Answer> {
  const { context } = session;
  const { from, to } = options;
  if (to === undefined) throw new CountersignError('usage', 'give --to, or --ledger-from and --ledger-to');
  const given = (value: string, source: string): StoreSetting => parseStore({ value, source }, context.cwd);
  const destination = given(to, '--to');
  // Also when --from is given: whether it is the store of a service that runs, only the configuration tells.
  const loaded = await session.load();
  const source = from === undefined ? loaded.config.store : given(from, '--from');
  if (isSame(source, destination)) throw new CountersignError('usage', '--from and --to are the same store');
  if (source.kind === 'file' && !(await isDirectory(source.directory))) {
    throw new CountersignError('usage', `there is no store in ${source.directory}`);
  }
  const own = isSame(source, loaded.config.store) ? await ledgerView(session, loaded, options) : {};
  const root = options.root === undefined ? undefined : await readRoot(session, options.root);
  const dryRun = options.dryRun === true;
  const absent = dryRun && destination.kind === 'file' && !(await isDirectory(destination.directory));
  const progress = startProgress(session, 'copying objects');
  try {
    const report = await copyStore({
      ...own,
      ...(root === undefined ? {} : { trustedRoot: root }),
      from: await openStore({ store: source }, context, 'read'),
      to: absent ? undefined : await openStore({ store: destination }, context, dryRun ? 'read' : 'publish'),
      clock: context.clock,
      dryRun,
      live: options.live === true,
      progress: progress.report,
    });
    progress.end();
    return { json: { dryRun, ...report }, text: describe(report, dryRun) };
  } finally {
    progress.end();
  }
}

/** What the ledger knows of the source. @throws CountersignError `copy-refused` while a service publishes into it. */
async function ledgerView(
  session: Session,
  { config, secrets }: LoadedConfig,
  { live }: CopyOptions,
): Promise<Pick<CopyPorts, 'trustedRoot' | 'ledgerBins'>> {
  // Opening a ledger makes one.
  if (config.ledger.kind === 'sqlite' && !(await isFile(config.ledger.path))) return {};
  const ledger = await openLedger(config, secrets, session.context);
  try {
    const lease = await ledger.currentLease();
    const { clock } = session.context;
    if (
      lease !== undefined &&
      lease.until > clock.now() &&
      !session.leaseTaker.isGone(lease.holder) &&
      live !== true
    ) {
      throw new CountersignError(
        'copy-refused',
        `${lease.holder} publishes into the source: stop the service, or copy with --live`,
      );
    }
    const head = await ledger.head();
    if (head === undefined) return {};
    const trustedRoot = Buffer.from(head.unfinished?.replaces?.trustedRoot ?? head.trustedRoot);
    // Bins are known for the last publication that was finished; a service that runs is past it in a moment.
    const snapshot = head.unfinished === undefined ? head.snapshot : head.snapshot - 1;
    return {
      trustedRoot,
      ...(live === true
        ? {}
        : {
            ledgerBins: { snapshot, bins: new Map((await ledger.bins()).map((state) => [state.bin, state])) },
          }),
    };
  } finally {
    await ledger.close();
  }
}

async function moveLedger(session: Session, options: CopyOptions): Promise<Answer> {
  const { ledgerFrom, ledgerTo } = options;
  if (ledgerFrom === undefined || ledgerTo === undefined) {
    throw new CountersignError('usage', '--ledger-from and --ledger-to belong together');
  }
  for (const name of ['from', 'to', 'root', 'dryRun', 'live'] as const) {
    if (options[name] === undefined) continue;
    throw new CountersignError(
      'usage',
      'the ledger and the store are copied by two commands: --ledger-… stand alone',
    );
  }
  const { cwd } = session.context;
  const given = (value: string, source: string): LedgerSetting => parseLedger({ value, source }, cwd);
  const [from, to] = [given(ledgerFrom, '--ledger-from'), given(ledgerTo, '--ledger-to')];
  if (from.kind !== 'sqlite' || to.kind !== 'postgres') {
    throw new CountersignError('usage', 'a ledger moves from sqlite:FILE to postgres://USER@HOST/DATABASE');
  }
  if (!(await isFile(from.path))) throw new CountersignError('usage', `there is no ledger ${from.path}`);
  const { secrets } = await session.load();
  const access = postgresAccess(to, secrets, session.context);
  const progress = startProgress(session, 'copying rows');
  try {
    const { rows, digest } = await copyLedger(from.path, access, progress.report);
    progress.end();
    const counts = Object.entries(rows).map(([table, count]) => `${count} ${table}`);
    const text = `copied the ledger: ${counts.join(', ')}; sha256 ${digest} on both sides\nnext: set ledger in the configuration, and keep the old file until the service has run`;
    return { json: { rows, digest }, text };
  } finally {
    progress.end();
  }
}

function describe(report: CopyReport, dryRun: boolean): string {
  const { snapshot, timestamp, oldestSnapshot, copied, copiedBytes, present, caughtUp } = report;
  return [
    `${dryRun ? 'would copy' : 'copied'} ${counted(copied, 'object')} (${copiedBytes} bytes); ${present} were there already`,
    `the destination ${dryRun ? 'would show' : 'shows'} snapshot ${snapshot}, timestamp ${timestamp}; the oldest snapshot is ${oldestSnapshot}`,
    ...(caughtUp ? [] : ['the source has published more meanwhile: stop its service, and copy again']),
  ].join('\n');
}

function isSame(a: StoreSetting, b: StoreSetting): boolean {
  const place = (store: StoreSetting): string =>
    store.kind === 'file' ? store.directory : `${store.endpoint ?? ''} ${store.bucket} ${store.prefix}`;
  return a.kind === b.kind && place(a) === place(b);
}

async function readRoot(session: Session, file: string): Promise<Uint8Array> {
  try {
    return await readFile(path.resolve(session.context.cwd, file));
  } catch (cause) {
    throw new CountersignError('usage', `--root ${file} cannot be read: ${messageOf(cause)}`, { cause });
  }
}

function isDirectory(directory: string): Promise<boolean> {
  return stat(directory).then(
    (found) => found.isDirectory(),
    () => false,
  );
}

function isFile(file: string): Promise<boolean> {
  return stat(file).then(
    (found) => found.isFile(),
    () => false,
  );
}
