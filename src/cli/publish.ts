// countersign publish: sends events to a running service and waits until each is in a public snapshot, or refused.
import { createReadStream } from 'node:fs';
import path from 'node:path';
import type { Command } from 'commander';
import { parseDuration } from '../lib/duration.ts';
import { CountersignError } from '../lib/errors.ts';
import { batchEvents, eventsOfLines, eventsOfOptions, type OutgoingEvent } from './outgoing-events.ts';
import { startProgress } from './progress.ts';
import { sendBatch, type Outcome } from './send-events.ts';
import { openServiceClient, type ServiceClient } from './service-client.ts';
import type { Perform, Session } from './session.ts';

/** Published events that are listed one by one for people; rejected ones always are. */
const LISTED = 20;

interface PublishOptions {
  readonly add?: readonly string[];
  readonly put?: readonly string[];
  readonly remove?: readonly string[];
  readonly separate?: true;
  readonly from?: string;
  readonly url?: string;
  readonly tokenFile?: string;
  readonly timeout: string;
}

export function addPublishCommand(program: Command, perform: Perform): void {
  const collect = (value: string, previous: readonly string[] = []): string[] => [...previous, value];
  program
    .command('publish')
    .description('send events to a running service and wait for their snapshot')
    .option('--add <path=file>', 'publish a new target path with the length and hash of a file', collect)
    .option('--put <path=file>', 'publish a target path, replacing what it named before', collect)
    .option('--remove <path>', 'remove a target path', collect)
    .option('--separate', 'one event for each change, instead of one event for all of them')
    .option('--from <file>', 'events as NDJSON, one a line; "-" reads standard input')
    .option('--url <url>', 'the service (default: the address in "listen" of the configuration)')
    .option('--token-file <file>', 'a private file with the bearer token (default: COUNTERSIGN_TOKEN)')
    .option('--timeout <duration>', 'give up when nothing was published for this long', '5m')
    .addHelpText(
      'after',
      `
All changes of one event appear in the same snapshot. Files are hashed here and not uploaded.

Examples:
  countersign publish --add demo/demo-1.0-py3-none-any.whl=dist/demo-1.0-py3-none-any.whl
  countersign publish --add a/a-2.tar.gz=a-2.tar.gz --put simple/a/index.html=index.html
  countersign publish --remove a/a-1.tar.gz --url https://signer.example --token-file ./token
  zcat uploads.ndjson.gz | countersign publish --from - --json`,
    )
    .action(
      perform(async (session, raw) => {
        const options = raw as unknown as PublishOptions;
        const timeoutMs = parseTimeout(options.timeout);
        const { context } = session;
        const resolve = (name: string): string => path.resolve(context.cwd, name);
        const given = await eventsOfOptions(
          { add: [], put: [], remove: [], separate: false, ...options },
          resolve,
          context.newId,
        );
        if (given.length === 0 && options.from === undefined) {
          throw new CountersignError('usage', 'nothing to publish: give --add, --put, --remove or --from');
        }
        const client = await openServiceClient(session, {
          ...options,
          ...(options.tokenFile === undefined ? {} : { tokenFile: resolve(options.tokenFile) }),
        });
        const events = allEvents(
          session,
          given,
          options.from === undefined ? undefined : resolveInput(options.from, resolve),
        );
        return report(await sendAll(session, client, events, timeoutMs));
      }),
    );
}

/** Undefined stands for standard input. */
interface Input {
  readonly file: string | undefined;
}

function resolveInput(name: string, resolve: (name: string) => string): Input {
  return { file: name === '-' ? undefined : resolve(name) };
}

async function* allEvents(
  { context }: Session,
  given: readonly OutgoingEvent[],
  input: Input | undefined,
): AsyncGenerator<OutgoingEvent> {
  yield* given;
  if (input === undefined) return;
  yield* eventsOfLines(
    input.file === undefined ? context.stdin : createReadStream(input.file),
    context.newId,
  );
}

interface Labelled {
  readonly label: string;
  readonly outcome: Outcome;
}

async function sendAll(
  session: Session,
  client: ServiceClient,
  events: AsyncIterable<OutgoingEvent>,
  timeoutMs: number,
): Promise<Labelled[]> {
  const results: Labelled[] = [];
  const progress = startProgress(session, 'publishing');
  try {
    for await (const batch of batchEvents(events)) {
      const outcomes = await sendBatch(session, client, batch, timeoutMs);
      for (const [index, event] of batch.entries()) {
        const outcome = outcomes[index];
        if (outcome !== undefined) results.push({ label: event.label, outcome });
      }
      progress.report(results.length, results.length);
    }
  } catch (error) {
    if (results.length > 0)
      session.note(`countersign: ${results.length} events were settled before this failed:`);
    throw error;
  } finally {
    progress.end();
  }
  return results;
}

function report(results: readonly Labelled[]) {
  const events = results.map(({ outcome }) => outcome);
  const rejected = events.filter(({ state }) => state === 'rejected').length;
  const snapshots = events.flatMap((outcome) => (outcome.state === 'published' ? [outcome.snapshot] : []));
  const published = snapshots.length;
  // Not Math.max(...snapshots): a long list does not fit on the stack.
  const snapshot = snapshots.reduce((highest, version) => Math.max(highest, version), 0);
  const status = rejected === 0 ? 0 : 1;
  const shown = results.filter(({ outcome }, index) => index < LISTED || outcome.state === 'rejected');
  const lines = shown.map(({ label, outcome }) =>
    outcome.state === 'published'
      ? `published  snapshot ${outcome.snapshot}  ${label}`
      : `rejected   ${label}: ${outcome.reason}`,
  );
  if (results.length > 1) {
    const until = published === 0 ? '' : `, up to snapshot ${snapshot}`;
    lines.push(`${published} published${until}, ${rejected} rejected`);
  }
  const json = { published, rejected, ...(published === 0 ? {} : { snapshot }), events };
  return { json, text: lines.join('\n'), status } as const;
}

function parseTimeout(text: string): number {
  try {
    return parseDuration(text);
  } catch (error) {
    throw new CountersignError(
      'usage',
      `--timeout is ${JSON.stringify(text)}, expected a duration such as 5m`,
      {
        cause: error,
      },
    );
  }
}
