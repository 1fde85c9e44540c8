// countersign follow: signs an index that cannot send events itself, by reading its simple index again and again.
import { existsSync } from 'node:fs';
import path from 'node:path';
import { InvalidArgumentError, Option, type Command } from 'commander';
import { begunRun } from '../backsign/run.ts';
import { KeptPages } from '../backsign/sources/kept-pages.ts';
import { simpleIndexReader } from '../backsign/sources/simple-index-reader.ts';
import { WorkFolder } from '../backsign/work-folder.ts';
import type { Refusal } from '../follow/compare-page.ts';
import { deliver } from '../follow/deliver.ts';
import { FollowState } from '../follow/follow-state.ts';
import { followOnce, type IndexReader, type PassResult } from '../follow/pass.ts';
import { seedState } from '../follow/seed.ts';
import { counted } from '../lib/counted.ts';
import { formatDuration, parseDuration } from '../lib/duration.ts';
import type { Clock } from '../lib/clock.ts';
import { CountersignError, ERRORS } from '../lib/errors.ts';
import { REPORT_NAME } from './backsign-publish.ts';
import { startProgress } from './progress.ts';
import { sendBatch } from './send-events.ts';
import { openServiceClient } from './service-client.ts';
import type { Answer, Perform, Session } from './session.ts';

interface FollowOptions {
  readonly simpleIndex: string;
  readonly state: string;
  readonly every: number;
  readonly once?: true;
  readonly fetch?: true;
  readonly prefix: string;
  readonly replace?: true;
  readonly removeAfter: number;
  readonly maxRemovals: number;
  readonly backsigned?: string;
  readonly url?: string;
  readonly tokenFile?: string;
}

/** Refused files that are shown. */
const SHOWN = 20;

/** Milliseconds for one request of events to be published, before it counts as a failure. */
const SETTLE_MS = 300_000;

export function addFollowCommand(program: Command, perform: Perform): void {
  program
    .command('follow')
    .description('keep an index signed that sends no events: reads its simple index and sends what changed')
    .requiredOption(
      '--simple-index <url>',
      'the index (PEP 691, PEP 503): https://index.example/simple/',
      indexUrl,
    )
    .option('--state <file>', 'what was seen so far, in one file', 'follow.db')
    .addOption(durationOption('--every <duration>', 'from the end of one pass to the next', 60_000))
    .option('--once', 'one pass, then end')
    .option('--fetch', 'download every new file and check its length and hash before it is signed')
    .option('--prefix <path>', 'stands before every path, as when it was back-signed', '')
    .option('--replace', 'sign a file anew whose content changed, instead of refusing it')
    .addOption(
      durationOption(
        '--remove-after <duration>',
        'how long the index must not have named a file before it is removed',
        0,
      ),
    )
    .option(
      '--max-removals <n>',
      'more than this in one pass look like a broken index and are refused',
      count,
      100,
    )
    .option('--backsigned <dir>', 'begin with what "countersign backsign --simple-index" read: its --state')
    .option('--url <url>', 'the service (default: the address in "listen" of the configuration)')
    .option('--token-file <file>', 'a private file with the bearer token (default: COUNTERSIGN_TOKEN)')
    .addHelpText(
      'after',
      `
Pages are asked for only when the index names a newer serial for them, else with If-None-Match. A file that is
new becomes an event "add", one that the index no longer names a "remove". A file whose content changed is
refused unless --replace is given: what was published under a name does not change. Killed at any moment, it
goes on with the same --state; no change is lost or sent as two events.

Exit status with --once: 0 when everything that the index names is signed, 1 when something was refused.

Examples:
  countersign backsign --simple-index https://index.example/simple/ --state first
  countersign follow --simple-index https://index.example/simple/ --backsigned first
  countersign follow --simple-index http://127.0.0.1:8080/simple/ --once --fetch --json`,
    )
    .action(
      perform(async (session, raw) => {
        const options = raw as unknown as FollowOptions;
        const follower = await openFollower(session, options);
        try {
          return options.once === true ? await follower.once() : await follower.untilStopped(options.every);
        } finally {
          follower.close();
        }
      }),
    );
}

async function openFollower(session: Session, options: FollowOptions) {
  const { cwd, clock, newId, stopRequested } = session.context;
  const resolve = (name: string): string => path.resolve(cwd, name);
  const client = await openServiceClient(session, {
    ...(options.url === undefined ? {} : { url: options.url }),
    ...(options.tokenFile === undefined ? {} : { tokenFile: resolve(options.tokenFile) }),
  });
  // Before a state is made: it would belong to a prefix that was a slip.
  const seed =
    options.backsigned === undefined ? undefined : seedFile(resolve(options.backsigned), options.prefix);
  const state = await FollowState.open(
    resolve(options.state),
    { url: options.simpleIndex, prefix: options.prefix },
    newId,
  );
  if (seed !== undefined) {
    const seeded = seedFrom(state, seed, options.prefix, clock.now());
    if (seeded > 0) session.note(`countersign: began with ${seeded} pages that were read for back-signing`);
  }
  const stop = new AbortController();
  void stopRequested().then(() => {
    stop.abort();
  });
  const index = readerOf(options, clock);
  const totals = { published: 0, rejected: 0, passes: 0 };
  const pass = async (): Promise<PassResult> => {
    const progress = startProgress(session, 'pages');
    try {
      const result = await followOnce({
        state,
        clock,
        index,
        prefix: options.prefix,
        replace: options.replace === true,
        removeAfterMs: options.removeAfter,
        maxRemovals: options.maxRemovals,
        signal: stop.signal,
        progress: progress.report,
        deliver: () =>
          deliver({
            state,
            send: (events) =>
              sendBatch(
                session,
                client,
                events.map(({ id, line, path: label }) => ({ id, line, label })),
                SETTLE_MS,
              ),
            report: (published, refusals) => {
              totals.published += published;
              totals.rejected += refusals.length;
              for (const { path: target, reason } of refusals) session.note(`refused  ${target}: ${reason}`);
            },
          }),
      });
      totals.passes += 1;
      return result;
    } finally {
      progress.end();
    }
  };
  const summary = (): Answer => {
    const { count: refused, first } = state.refusals(SHOWN);
    const text = [
      `${counted(totals.published, 'change')} published, ${counted(refused, 'file')} refused`,
      ...first.map(refusalLine),
    ];
    if (refused > SHOWN) text.push('  …');
    const json = { ...totals, refused: { count: refused, first }, waiting: state.queued() };
    return { json, text: text.join('\n'), status: refused === 0 ? 0 : 1 };
  };
  return {
    close: () => {
      state.close();
    },
    once: async () => {
      const result = await pass();
      const answer = summary();
      return { ...answer, json: { ...result, ...(answer.json as object) } };
    },
    untilStopped: async (everyMs: number) => {
      while (!stop.signal.aborted) {
        const before = totals.published;
        try {
          const { projects, changed } = await pass();
          if (totals.published > before) {
            session.note(
              `${new Date(clock.now()).toISOString()} ${changed} of ${projects} projects changed, ` +
                `${totals.published - before} changes published`,
            );
          }
        } catch (error) {
          // The next pass begins where this one ended.
          if (!(error instanceof CountersignError) || ERRORS[error.code].kind === 'usage') throw error;
          session.note(`${new Date(clock.now()).toISOString()} ${error.code}: ${error.message}`);
        }
        await clock.sleep(everyMs, stop.signal);
      }
      return { ...summary(), status: 0 as const };
    },
  };
}

/** The pages of a back-signing that was published. */
function seedFile(directory: string, prefix: string): string {
  const folder = new WorkFolder(directory);
  if (!existsSync(folder.file('pages.ndjson'))) {
    throw new CountersignError('usage', `${directory} is no state of "countersign backsign --simple-index"`);
  }
  // What is remembered counts as signed, and is never sent.
  if (folder.read(REPORT_NAME) === undefined) {
    throw new CountersignError(
      'follow-state',
      `what was read in ${directory} is not signed yet: run "countersign backsign --resume --state ${directory}", or follow without --backsigned`,
    );
  }
  const { prefix: signed } = begunRun(folder);
  if (signed !== prefix) {
    throw new CountersignError(
      'follow-state',
      `${directory} was back-signed with --prefix ${JSON.stringify(signed)}, not ${JSON.stringify(prefix)}`,
    );
  }
  return folder.file('pages.ndjson');
}

function seedFrom(state: FollowState, file: string, prefix: string, now: number): number {
  const pages = new KeptPages(file);
  try {
    return seedState(state, pages.all(), prefix, now);
  } finally {
    pages.close();
  }
}

/** The index as a pass wants it: its paths are target paths. */
function readerOf({ simpleIndex: url, fetch, prefix }: FollowOptions, clock: Clock): IndexReader {
  const reader = simpleIndexReader({ url, fetch: fetch === true, clock });
  return {
    projects: () => reader.projects(),
    page: (project, known, files) =>
      reader.page(
        project,
        known,
        [...files.values()].map((file) => ({ ...file, path: file.path.slice(prefix.length), fetched: true })),
      ),
  };
}

function refusalLine({ path: target, reason }: Refusal): string {
  return `  ${target}: ${reason}`;
}

function indexUrl(text: string): string {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined || !/^https?:$/.test(url.protocol) || url.username !== '' || url.password !== '') {
    throw new InvalidArgumentError('expected an address such as https://index.example/simple/');
  }
  return url.href.endsWith('/') ? url.href : `${url.href}/`;
}

function durationOption(flags: string, description: string, ms: number): Option {
  return new Option(flags, description)
    .argParser(duration)
    .default(ms, ms === 0 ? 'at once' : formatDuration(ms));
}

function duration(text: string): number {
  try {
    return parseDuration(text);
  } catch {
    throw new InvalidArgumentError('expected a duration such as 90s, 5m or 1d');
  }
}

function count(text: string): number {
  if (!/^\d{1,9}$/.test(text)) throw new InvalidArgumentError('expected a number');
  return Number(text);
}
