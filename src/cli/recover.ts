// countersign recover: what somebody with the online key may have changed, and what a person decides about it (PEP 458
// "In the event of a key compromise").
import { lstat, open, readFile, rm } from 'node:fs/promises';
import path from 'node:path';
import type { Command } from 'commander';
import { CountersignError, messageOf } from '../lib/errors.ts';
import { compareWith, type Comparison } from '../publish/comparison.ts';
import { applyDecisions, readDecisions, writeDecisions } from '../publish/decisions.ts';
import { openLedger, openStore } from '../open-ports.ts';
import { startProgress } from './progress.ts';
import type { Answer, Perform, Session } from './session.ts';

/** Differences that the report for people lists. */
const LISTED = 50;

interface RecoverOptions {
  readonly lastGood?: string;
  readonly decisions?: string;
  readonly approveAccepted?: boolean;
  readonly apply?: string;
}

export function addRecoverCommand(program: Command, perform: Perform): void {
  program
    .command('recover')
    .description('compare every target with the last good snapshot; restore what nobody sent')
    .option('--last-good <snapshot>', 'the number of the last snapshot that is known to be good')
    .option('--decisions <file>', 'write a file in which each difference is to be decided; never overwrites')
    .option('--approve-accepted', 'in that file, approve beforehand what accepted events account for')
    .option('--apply <file>', 'carry out an edited decisions file')
    .addHelpText(
      'after',
      `
The comparison changes nothing. Each line of the decisions file is one target path: write "approve" or
"restore" for every "undecided". What is decided becomes events for the publisher; with a stolen key they
are part of the publication that "countersign import --compromised" makes.

Exit status 0: every difference is accounted for by accepted events. 1: some are not.

Examples:
  countersign recover --last-good 4711
  countersign recover --last-good 4711 --approve-accepted --decisions decisions.ndjson
  countersign recover --apply decisions.ndjson`,
    )
    .action(
      perform(async (session, raw) => {
        const options: RecoverOptions = raw;
        const lastGood = Number(options.lastGood);
        if (options.apply !== undefined && options.lastGood === undefined)
          return apply(session, options.apply);
        if (options.apply !== undefined || !Number.isSafeInteger(lastGood) || lastGood < 1) {
          throw new CountersignError(
            'usage',
            'give either --last-good SNAPSHOT, a number from 1, or --apply FILE',
          );
        }
        return compare(session, lastGood, options);
      }),
    );
}

async function compare(session: Session, lastGood: number, options: RecoverOptions): Promise<Answer> {
  const decisions =
    options.decisions === undefined ? undefined : path.resolve(session.context.cwd, options.decisions);
  // A comparison takes minutes: nobody waits for it only to hear that the file exists.
  if (decisions !== undefined) await refuseExisting(decisions);
  const { config, secrets } = await session.load();
  const progress = startProgress(session, 'comparing bins');
  const ledger = await openLedger(config, secrets, session.context);
  try {
    const store = await openStore(config, session.context, 'read');
    const comparison = await compareWith(lastGood, { history: ledger, store, progress: progress.report });
    progress.end();
    if (decisions !== undefined) {
      await writeNew(decisions, writeDecisions(comparison, options.approveAccepted === true));
    }
    const suspicious = comparison.differences.filter(({ accepted }) => accepted === undefined).length;
    const bad = suspicious + comparison.unreadable.length + comparison.foreign.length > 0;
    return {
      json: comparison,
      text: describe(comparison, suspicious, options.decisions),
      status: bad ? 1 : 0,
    };
  } finally {
    progress.end();
    await ledger.close();
  }
}

function describe(comparison: Comparison, suspicious: number, decisions: string | undefined): string {
  const { lastGood, current, ledger, differences, unreadable, foreign } = comparison;
  const accepted = differences.length - suspicious;
  const unaccounted = differences.filter((difference) => difference.accepted === undefined);
  const more = (count: number): string[] =>
    count > LISTED ? [`  … and ${count - LISTED} more (--json)`] : [];
  return [
    `snapshot ${lastGood} compared with snapshot ${current}, which clients are shown (ledger: ${ledger})`,
    `${differences.length} targets differ: ${accepted} by accepted events, ${suspicious} that nobody sent`,
    ...unaccounted.slice(0, LISTED).map(({ op, path: name }) => `  ${op.padEnd(8)} ${name}`),
    ...more(unaccounted.length),
    ...unreadable.slice(0, LISTED).map(({ name, reason }) => `  unreadable ${name}: ${reason}`),
    ...more(unreadable.length),
    ...foreign.slice(0, LISTED).map((name) => `  not published by this service: ${name}`),
    ...more(foreign.length),
    ...(decisions === undefined
      ? []
      : [`decide each line of ${decisions}, then: countersign recover --apply ${decisions}`]),
  ].join('\n');
}

async function apply(session: Session, name: string): Promise<Answer> {
  const file = path.resolve(session.context.cwd, name);
  const text = await readFile(file, 'utf8').catch((error: unknown) => {
    throw new CountersignError('usage', `cannot read ${file}: ${messageOf(error)}`, { cause: error });
  });
  const decided = readDecisions(text);
  const { config, secrets } = await session.load();
  const ledger = await openLedger(config, secrets, session.context);
  try {
    await applyDecisions(ledger, decided, session.context.clock.now());
  } finally {
    await ledger.close();
  }
  const { approved, restored, events } = decided;
  return {
    json: { approved, restored, events: events.map(({ id }) => id) },
    text: `${approved} approved, ${restored} to be restored: ${events.length} events wait for the publisher`,
  };
}

async function refuseExisting(file: string): Promise<void> {
  try {
    await lstat(file);
  } catch {
    // What else may be wrong with the place is said when the file is written.
    return;
  }
  throw exists(file);
}

/** The whole file or none: one that ends too early would read like fewer differences. */
async function writeNew(file: string, text: string): Promise<void> {
  let handle;
  try {
    handle = await open(file, 'wx', 0o600);
  } catch (error) {
    throw (error as NodeJS.ErrnoException).code === 'EEXIST' ? exists(file) : unwritable(file, error);
  }
  try {
    await handle.writeFile(text);
    await handle.sync();
  } catch (error) {
    await rm(file, { force: true });
    throw unwritable(file, error);
  } finally {
    await handle.close();
  }
}

function exists(file: string): CountersignError {
  return new CountersignError('file-exists', `${file} exists already and is left as it is`);
}

function unwritable(file: string, cause: unknown): CountersignError {
  return new CountersignError('file-unwritable', `${file} cannot be written: ${messageOf(cause)}`, { cause });
}
