// countersign mirror: a copy of a repository that is consistent at every moment, and holds nothing that does not verify.
import path from 'node:path';
import type { Command } from 'commander';
import { createMirrorMetrics, recordSync } from '../client/mirror/mirror-metrics.ts';
import type { SyncReport } from '../client/mirror/mirror.ts';
import { watch } from '../client/mirror/watch.ts';
import { CountersignError } from '../lib/errors.ts';
import { openMirror } from '../open-mirror.ts';
import { listenForMetrics, writeMetricsFile } from './mirror-metrics-output.ts';
import {
  DEFAULT_GRACE,
  DEFAULT_INTERVAL,
  DEFAULT_JOBS,
  durationOf,
  httpAddress,
  mirrorSettings,
  type MirrorOptions,
} from './mirror-options.ts';
import { addMirrorVerifyCommand } from './mirror-verify.ts';
import { startProgress } from './progress.ts';
import type { Answer, Perform, Session } from './session.ts';

export function addMirrorCommand(program: Command, perform: Perform): void {
  const mirror = program
    .command('mirror')
    .description('a mirror that is consistent at every moment, and holds nothing that does not verify')
    .option('--metadata-url <url>', 'where timestamp.json is')
    .option('--root <file>', 'the root that the index gave you')
    .option('--to <place>', 'a directory, or s3://BUCKET/PREFIX')
    .option('--targets', 'target files too, not only metadata')
    .option('--target-base-url <url>', 'where target files are')
    .option(
      '--state <dir>',
      'what the mirror remembers (default: .mirror in the directory; needed for a bucket)',
    )
    .option('--jobs <n>', `requests at once (default: ${DEFAULT_JOBS})`)
    .option('--grace <time>', `how long superseded objects stay (default: ${DEFAULT_GRACE})`)
    .option('--watch', 'go on: follow the stream of the index, and look after each interval in any case')
    .option('--interval <time>', `--watch: time between two looks (default: ${DEFAULT_INTERVAL})`)
    .option(
      '--stream <url>',
      '--watch: where the stream is (default: /v1/stream of the server of --metadata-url)',
    )
    .option('--no-stream', '--watch: only look after each interval')
    .option('--project <name>', 'keep files of this project only; may be repeated', collect)
    .option('--projects <file>', 'keep files of the projects in this list, one name a line')
    .option('--exclude-project <name>', 'leave out files of this project; may be repeated', collect)
    .option('--include <pattern>', 'keep target paths of this form only; may be repeated', collect)
    .option('--exclude <pattern>', 'leave out target paths of this form; may be repeated', collect)
    .option('--younger-than <time>', 'leave out files whose custom "upload-time" is longer ago')
    .option(
      '--publish-incomplete',
      'go on when a target file cannot be had, in place of staying at what is shown',
    )
    .option('--metrics <host:port>', 'answer Prometheus at /metrics (with --watch)')
    .option('--metrics-file <file>', 'write metrics for a textfile collector after each sync')
    .addHelpText(
      'after',
      `
Every file is verified before it is stored: metadata as a client does it, from the root that you give, target files by
length and hash. A run that is killed, at whatever moment, leaves what was shown before; the next one goes on. Metadata
are always kept whole, also with filters. In patterns "*" is within a segment, "**" stands for any number of segments.
Any web server can serve the directory: docs/mirrors.md has recipes.

Examples:
  countersign mirror --metadata-url https://index.example/metadata --root root.json --to /srv/mirror
  countersign mirror --metadata-url https://index.example/metadata --root root.json --to /srv/mirror \\
    --targets --target-base-url https://index.example/targets --watch --metrics 127.0.0.1:9112
  countersign mirror --metadata-url https://index.example/metadata --root root.json \\
    --to s3://mirror-bucket/index?region=eu-central-1 --state /var/lib/mirror \\
    --targets --target-base-url https://index.example/targets --projects projects.txt --younger-than 365d
  countersign mirror verify /srv/mirror --root root.json`,
    )
    .action(
      perform((session, raw, args) => {
        const [stray] = args;
        if (stray !== undefined) throw new CountersignError('usage', `mirror takes no argument: ${stray}`);
        return runMirror(session, raw);
      }),
    );
  addMirrorVerifyCommand(mirror, perform);
}

function collect(value: string, previous: readonly string[] = []): readonly string[] {
  return [...previous, value];
}

async function runMirror(session: Session, options: MirrorOptions): Promise<Answer> {
  const { cwd, clock, random } = session.context;
  const settings = await mirrorSettings(options, cwd);
  if (options.metrics !== undefined && options.watch !== true) {
    throw new CountersignError(
      'usage',
      '--metrics needs --watch: nobody would have the time to ask; use --metrics-file',
    );
  }
  const ending = new AbortController();
  void session.context.stopRequested().then(() => {
    ending.abort();
  });
  const metrics = createMirrorMetrics();
  const metricsFile = options.metricsFile === undefined ? undefined : path.resolve(cwd, options.metricsFile);
  const progress = { current: startProgress(session, 'roles') };
  const observe = {
    progress: (done: number, total: number) => {
      progress.current.report(done, total);
    },
    stored: () => {
      metrics.files.inc();
    },
    warn: (message: string) => {
      session.note(`countersign: ${message}`);
    },
  };
  const opened = await openMirror(settings, { clock, random, metrics, observe, signal: ending.signal });
  const sync = async (): Promise<SyncReport> => {
    try {
      const report = await opened.mirror.sync();
      recordSync(metrics, report, clock.now());
      return report;
    } catch (error) {
      metrics.syncs.inc({ result: error instanceof CountersignError ? error.code : 'internal' });
      throw error;
    } finally {
      progress.current.end();
      progress.current = startProgress(session, 'roles');
      if (metricsFile !== undefined) await writeMetricsFile(metrics.registry, metricsFile);
    }
  };
  try {
    if (options.watch !== true) return answerOf(await sync());
    return await watchMirror(session, options, { sync, registry: metrics.registry, signal: ending.signal });
  } finally {
    progress.current.end();
    opened.close();
  }
}

interface WatchedMirror {
  readonly sync: () => Promise<SyncReport>;
  readonly registry: Parameters<typeof listenForMetrics>[0];
  readonly signal: AbortSignal;
}

async function watchMirror(session: Session, options: MirrorOptions, mirror: WatchedMirror): Promise<Answer> {
  const { clock, random } = session.context;
  const intervalMs = durationOf(options.interval ?? DEFAULT_INTERVAL, '--interval');
  const stream = streamAddress(options);
  const listener =
    options.metrics === undefined ? undefined : await listenForMetrics(mirror.registry, options.metrics);
  if (listener !== undefined) session.note(`countersign: metrics are at ${listener.address}`);
  try {
    await watch({
      ...mirror,
      clock,
      random,
      intervalMs,
      stream,
      succeeded: (report) => {
        if (report.published || report.problemCount > 0) session.note(describe(report));
      },
      failed: ({ code, message }) => {
        session.note(`countersign: ${code}: ${message}; the mirror stays as it is`);
      },
    });
  } finally {
    listener?.close();
  }
  return { json: { stopped: true }, text: '' };
}

/** Undefined: there is none, or it is not wanted. */
function streamAddress({ stream, metadataUrl }: MirrorOptions): URL | undefined {
  if (stream === false) return undefined;
  if (typeof stream === 'string') return new URL(httpAddress(stream, '--stream'));
  return new URL('/v1/stream', metadataUrl);
}

function answerOf(report: SyncReport): Answer {
  return {
    json: { ...report, expires: new Date(report.expires).toISOString() },
    text: describe(report),
  };
}

function describe(report: SyncReport): string {
  const { snapshot, timestamp, published, rolesTaken, filesStored, fileBytes, removed } = report;
  const removals = removed.metadata + removed.targets;
  const lines = [
    published
      ? `shows snapshot ${snapshot}, timestamp ${timestamp}: ${rolesTaken} roles taken, ${filesStored} target files stored (${fileBytes} bytes)`
      : `up to date: snapshot ${snapshot}, timestamp ${timestamp}`,
    ...(removals === 0
      ? []
      : [
          `removed ${removed.metadata} metadata files and ${removed.targets} target files that were superseded`,
        ]),
    ...report.problems.map(({ message }) => `missing: ${message}`),
    ...(report.problemCount > report.problems.length
      ? [`missing: ${report.problemCount} target files in all`]
      : []),
  ];
  const [expired] = report.expiredRoles;
  if (expired !== undefined) {
    const more =
      report.expiredRoles.length > 1 ? ` and ${report.expiredRoles.length - 1} more roles have` : ' has';
    lines.push(`${expired}${more} expired: clients refuse it until upstream renews it`);
  }
  return lines.join('\n');
}
