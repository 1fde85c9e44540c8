// countersign watch: what cron and alerting ask, from outside and with no right but to read.
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import type { Command } from 'commander';
import { httpFetcher } from '../client/http-fetcher.ts';
import { Watch, type WatchedRole, type WatchReport, type WatchRules } from '../client/watch.ts';
import { formatDuration, parseDuration } from '../lib/duration.ts';
import { CountersignError, messageOf } from '../lib/errors.ts';
import { printable } from '../lib/printable.ts';
import { generationOf } from '../tuf/bins.ts';
import { failureOf } from './exit.ts';
import { relativeTime } from './relative-time.ts';
import type { Answer, Perform, Session } from './session.ts';

interface WatchCommandOptions {
  readonly metadataUrl: string;
  readonly root: string;
  readonly offline: string;
  readonly online: string;
  readonly bins: string;
  readonly every?: string;
}

/** The smallest time between two checks, in milliseconds: a typing error must not become an attack. */
const LEAST_EVERY_MS = 1000;

export function addWatchCommand(program: Command, perform: Perform): void {
  program
    .command('watch')
    .description(
      'which role of a published repository expires when, and whether that is soon: for cron and alerting',
    )
    .requiredOption('--metadata-url <url>', 'where timestamp.json is')
    .requiredOption('--root <file>', 'the root to trust')
    .option(
      '--offline <duration>',
      'root, targets and bins are due when they live no longer than this',
      '60d',
    )
    .option(
      '--online <duration>',
      'timestamp, snapshot and hashed bins are due when they live no longer than this',
      '8h',
    )
    .option('--bins <count>', 'how many hashed bins are read, drawn by chance; 0: none', '16')
    .option('--every <duration>', 'check again and again, one line each time, until it is stopped')
    .addHelpText(
      'after',
      `
Reads what any client can read, and verifies it as a client does, from the root that you trust. The service
renews what it signs when half of its life is over: with lifetimes of a day, less than 8 hours mean that it
has not done so for 4. 60 days are the time to hold a ceremony in.

Exit status 0: everything lives long enough. 1: something is due or has expired, or does not verify; the
reason is on standard error. 3: nobody answers. With --every: as the last check before it was stopped;
with --json one document a line.

Examples:
  countersign watch --metadata-url https://index.example/metadata --root root.json
  countersign watch --metadata-url https://mirror.example/metadata --root root.json --online 4h --bins 0 --json
  countersign watch --metadata-url https://index.example/metadata --root root.json --every 5m`,
    )
    .action(
      perform(async (session, raw) => {
        const options = raw as unknown as WatchCommandOptions;
        const { clock, random } = session.context;
        const rules = readRules(options);
        const every = options.every === undefined ? undefined : durationOf('--every', options.every);
        if (every !== undefined && every < LEAST_EVERY_MS) {
          throw new CountersignError('usage', `--every is ${formatDuration(every)}, expected 1s or more`);
        }
        const ports = { fetcher: httpFetcher(clock), clock, random };
        const watch = await Watch.start(options.metadataUrl, await readRoot(session, options.root), ports);
        if (every !== undefined) return watchOn(session, watch, rules, every);
        const report = await watch.check(rules);
        for (const reason of reasons(report, rules)) session.note(`countersign: ${reason}`);
        return answer(report, rules);
      }),
    );
}

function readRules({ offline, online, bins }: WatchCommandOptions): WatchRules {
  if (!/^\d{1,6}$/.test(bins)) throw new CountersignError('usage', `--bins is ${bins}, expected a number`);
  return {
    offlineMs: durationOf('--offline', offline),
    onlineMs: durationOf('--online', online),
    sample: Number(bins),
  };
}

function durationOf(option: string, text: string): number {
  try {
    return parseDuration(text);
  } catch (cause) {
    throw new CountersignError('usage', `${option}: ${messageOf(cause)}`, { cause });
  }
}

async function readRoot({ context }: Session, name: string): Promise<Uint8Array> {
  const file = path.resolve(context.cwd, name);
  try {
    return await readFile(file);
  } catch (cause) {
    throw new CountersignError('usage', `cannot read ${file}: ${messageOf(cause)}`, { cause });
  }
}

/** Until somebody stops it; a check that fails is told like any other, and is not the last one. */
async function watchOn(session: Session, watch: Watch, rules: WatchRules, everyMs: number): Promise<Answer> {
  const { clock, stdout, stopRequested } = session.context;
  const stop = new AbortController();
  void stopRequested().then(() => {
    stop.abort();
  });
  let status: Answer['status'] = 0;
  do {
    try {
      const report = await watch.check(rules);
      const due = reasons(report, rules);
      const { json } = answer(report, rules);
      const line = `${new Date(report.at).toISOString()} ${due.length === 0 ? 'good' : due.join('; ')}`;
      stdout.write(`${session.json ? JSON.stringify(json) : printable(line)}\n`);
      status = due.length === 0 ? 0 : 1;
    } catch (error) {
      const failure = failureOf(error);
      const { code, message, remedy } = failure;
      const at = new Date(clock.now()).toISOString();
      stdout.write(
        session.json
          ? `${JSON.stringify({ at, good: false, error: { code, message, remedy } })}\n`
          : `${at} ${printable(message)}\n`,
      );
      status = failure.status;
    }
    await clock.sleep(everyMs, stop.signal);
  } while (!stop.signal.aborted);
  return { text: '', status };
}

function answer(report: WatchReport, rules: WatchRules): Answer {
  const due = reasons(report, rules);
  return {
    json: {
      at: new Date(report.at).toISOString(),
      good: due.length === 0,
      reasons: due,
      bins: report.bins,
      roles: report.roles,
    },
    text: describe(report),
    status: due.length === 0 ? 0 : 1,
  };
}

/** What is to be done something about, one sentence each; of the hashed bins only the first one, and how many more. */
function reasons({ roles }: WatchReport, rules: WatchRules): string[] {
  const bad = roles.filter(({ state }) => state !== 'good');
  const single = bad.filter(({ role }) => !isHashedBin(role));
  const [bin, ...more] = bad.filter(({ role }) => isHashedBin(role));
  const sentence = (watched: WatchedRole): string => reason(watched, rules);
  return [
    ...single.map(sentence),
    ...(bin === undefined
      ? []
      : [`${sentence(bin)}${more.length === 0 ? '' : ` (and ${more.length} more of those that were read)`}`]),
  ];
}

function reason({ role, version, expires, remainingMs, state }: WatchedRole, rules: WatchRules): string {
  if (state === 'expired') return `${role} ${version} has expired at ${expires}: clients refuse it`;
  const offline = ['root', 'targets', 'bins'].includes(role);
  const least = formatDuration(offline ? rules.offlineMs : rules.onlineMs);
  const todo = offline ? 'hold a ceremony' : 'the service does not renew it, or this is an old copy';
  return `${role} ${version} expires ${relativeTime(remainingMs)}, at ${expires}, sooner than in ${least}: ${todo}`;
}

function describe({ roles, bins }: WatchReport): string {
  const lines = roles
    .filter(({ role }) => !isHashedBin(role))
    .map((watched) => `${watched.role.padEnd(13)}${standing(watched)}`);
  const [first] = roles.filter(({ role }) => isHashedBin(role));
  if (first !== undefined) {
    lines.push(
      `${'hashed bins'.padEnd(13)}${bins.read} of ${bins.count} read; first ${first.role}, ${standing(first)}`,
    );
  }
  return lines.join('\n');
}

function standing({ version, expires, remainingMs, state }: WatchedRole): string {
  const time =
    state === 'expired' ? `EXPIRED ${relativeTime(remainingMs)}` : `expires ${relativeTime(remainingMs)}`;
  return `version ${version}, ${time} (${expires})${state === 'due' ? ', DUE' : ''}`;
}

/** Also one of a later number of bins: `bin2-0000`. */
function isHashedBin(role: string): boolean {
  return generationOf(role) !== undefined;
}
