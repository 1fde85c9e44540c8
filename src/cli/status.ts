// countersign status: how a running service does, in a screenful.
import path from 'node:path';
import type { Command } from 'commander';
import { Type, type Static } from 'typebox';
import { Value } from 'typebox/value';
import { counted } from '../lib/counted.ts';
import { CountersignError } from '../lib/errors.ts';
import { relativeTime } from './relative-time.ts';
import { openServiceClient } from './service-client.ts';
import type { Perform } from './session.ts';

const Role = Type.Object({ version: Type.Integer(), expires: Type.String() });

/** What this command reads of the answer to GET /v1/status; the rest passes through with --json. */
const StatusAnswer = Type.Object({
  version: Type.String(),
  healthy: Type.Boolean(),
  reasons: Type.Array(Type.Object({ code: Type.String(), detail: Type.String() })),
  backlog: Type.Object({ events: Type.Integer(), oldestAcceptedAt: Type.Optional(Type.String()) }),
  audit: Type.Optional(Type.Object({ records: Type.Integer(), head: Type.String() })),
  publisher: Type.Object({
    role: Type.String(),
    renewalsDue: Type.Integer(),
    nextKey: Type.Optional(Type.Object({ keyid: Type.String(), binsSigned: Type.Integer() })),
    alteredBins: Type.Array(Type.Object({ name: Type.String(), message: Type.String() })),
    lastPublication: Type.Optional(
      Type.Object({
        snapshot: Type.Integer(),
        at: Type.String(),
        durationMs: Type.Number(),
        events: Type.Integer(),
        bins: Type.Integer(),
      }),
    ),
  }),
  published: Type.Optional(
    Type.Object({
      timestamp: Role,
      snapshot: Role,
      root: Role,
      targets: Role,
      bins: Role,
      earliestBinExpires: Type.String(),
      binCount: Type.Integer(),
      format: Type.String(),
    }),
  ),
});

type StatusAnswer = Static<typeof StatusAnswer>;

interface StatusOptions {
  readonly url?: string;
  readonly tokenFile?: string;
}

export function addStatusCommand(program: Command, perform: Perform): void {
  program
    .command('status')
    .description('versions, expiries, backlog, publisher and last publication of a running service')
    .option('--url <url>', 'the service (default: the address in "listen" of the configuration)')
    .option('--token-file <file>', 'a private file with the bearer token (default: COUNTERSIGN_TOKEN)')
    .addHelpText(
      'after',
      `
Exit status 0: healthy, what is published is fresh. 1: not healthy. 3: the service does not answer.

Examples:
  countersign status
  countersign status --json | jq .publisher.role
  countersign status --url https://signer.example --token-file ./token`,
    )
    .action(
      perform(async (session, raw) => {
        const { url, tokenFile }: StatusOptions = raw;
        const client = await openServiceClient(session, {
          ...(url === undefined ? {} : { url }),
          ...(tokenFile === undefined ? {} : { tokenFile: path.resolve(session.context.cwd, tokenFile) }),
        });
        const { body } = await client.request({ method: 'GET', path: '/v1/status' });
        if (!Value.Check(StatusAnswer, body)) {
          throw new CountersignError(
            'service-unavailable',
            `${client.url} is not a countersign service of this version`,
          );
        }
        const text = describeStatus(body, client.url, session.context.clock.now());
        return { json: body, text, status: body.healthy ? 0 : 1 };
      }),
    );
}

/** The status in lines for people. */
export function describeStatus(status: StatusAnswer, url: string, now: number): string {
  const when = (time: string): string => relativeTime(Date.parse(time) - now);
  const { backlog, publisher, published } = status;
  const rows: (readonly [label: string, text: string])[] = [
    [status.healthy ? 'healthy' : 'NOT HEALTHY', `${url} (countersign ${status.version})`],
    ...status.reasons.map(({ code, detail }) => ['', `${code}: ${detail}`] as const),
    ['publisher', publisher.role],
  ];
  const oldest =
    backlog.oldestAcceptedAt === undefined ? '' : `, the oldest from ${when(backlog.oldestAcceptedAt)}`;
  rows.push(['backlog', `${counted(backlog.events, 'event')}${oldest}`]);
  const last = publisher.lastPublication;
  if (last !== undefined) {
    const work = `${counted(last.events, 'event')}, ${counted(last.bins, 'bin')} in ${Math.round(last.durationMs)} ms`;
    rows.push(['last', `snapshot ${last.snapshot}, ${when(last.at)}: ${work}`]);
  }
  if (published !== undefined) {
    for (const role of ['timestamp', 'snapshot', 'bins', 'targets', 'root'] as const) {
      const { version, expires } = published[role];
      rows.push([role, `version ${version}, ${expiry(Date.parse(expires) - now)}`]);
    }
    const first = expiry(Date.parse(published.earliestBinExpires) - now);
    const due = `${publisher.renewalsDue} due for renewal`;
    rows.push(['hashed bins', `${published.binCount} (${published.format}), the first ${first}, ${due}`]);
  }
  const { nextKey } = publisher;
  if (nextKey !== undefined) {
    const of = published === undefined ? '' : ` of ${published.binCount.toLocaleString('en')}`;
    const signed = `bins signed by the new key: ${nextKey.binsSigned.toLocaleString('en')}${of}`;
    rows.push(['next key', `${nextKey.keyid.slice(0, 8)}, ${signed}`]);
  }
  for (const { name, message } of publisher.alteredBins) rows.push(['altered', `${name}: ${message}`]);
  return rows.map(([label, text]) => `${label.padEnd(13)}${text}`).join('\n');
}

function expiry(ms: number): string {
  return ms > 0 ? `expires ${relativeTime(ms)}` : `EXPIRED ${relativeTime(ms)}`;
}
