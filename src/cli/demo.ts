// countersign demo: the main job from beginning to end, in a directory of its own, in less than a minute.
import { mkdir, mkdtemp, readdir } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { Command } from 'commander';
import { ENV_PREFIX } from '../config/settings.ts';
import { demoFailed } from '../demo/failure.ts';
import type { DemoReport } from '../demo/demo.ts';
import { Narrator } from '../demo/narrator.ts';
import { CountersignError, messageOf } from '../lib/errors.ts';
import { startProgress } from './progress.ts';
import type { Perform } from './session.ts';

export function addDemoCommand(program: Command, perform: Perform): void {
  program
    .command('demo')
    .description(
      'show the whole job on this computer alone: ceremony, service, uploads, client, lying mirrors',
    )
    .option(
      '--keep <dir>',
      'work in this new or empty directory (default: a new temporary one, kept as well)',
    )
    .addHelpText(
      'after',
      `
Runs the real programs on embedded defaults; needs no network and no configuration, and reads none. Ends by
itself with status 0, or 1 when a step did not turn out as it says. The directory is kept: look around in it.

Examples:
  countersign demo
  countersign demo --keep ./look-around
  countersign demo --json | jq .release`,
    )
    .action(
      perform(async (session, options) => {
        const { clock, env, stdout, stopRequested } = session.context;
        const directory = await openDirectory(session.context.cwd, options['keep']);
        const interrupted = new AbortController();
        void stopRequested().then(() => {
          interrupted.abort();
        });
        const narrator = new Narrator(session.json ? undefined : stdout);
        narrator.opening([
          'countersign demo: an index signs its uploads, and a client refuses what the index did not publish',
          `Everything happens in ${directory}`,
          'A line that starts with "$" is a command, run in the folder installation/ there.',
        ]);
        const progress = startProgress(session, '    uploads');
        try {
          const { runDemo } = await import('../demo/demo.ts');
          const report = await runDemo(directory, {
            clock,
            env: withoutOwnVariables(env),
            signal: interrupted.signal,
            narrator,
            progress: (done, total) => {
              progress.report(done, total);
              if (done === total) progress.end();
            },
          });
          return { json: report, text: summary(report) };
        } catch (error) {
          const why = interrupted.signal.aborted ? 'interrupted' : reasonOf(error);
          throw demoFailed(`${narrator.current}: ${why}; everything so far is in ${directory}`, error);
        } finally {
          progress.end();
        }
      }),
    );
}

async function openDirectory(cwd: string, keep: unknown): Promise<string> {
  if (typeof keep !== 'string') return mkdtemp(path.join(tmpdir(), 'countersign-demo-'));
  const directory = path.resolve(cwd, keep);
  let names: string[];
  try {
    await mkdir(directory, { recursive: true, mode: 0o700 });
    names = await readdir(directory);
  } catch (error) {
    throw new CountersignError('usage', `cannot work in ${directory}: ${messageOf(error)}`, { cause: error });
  }
  if (names.length > 0) {
    throw new CountersignError('file-exists', `${directory} is not empty; give a new or an empty directory`);
  }
  return directory;
}

/** The demo shows its own installation, whatever else this environment configures. */
function withoutOwnVariables(env: Readonly<Record<string, string | undefined>>) {
  return Object.fromEntries(Object.entries(env).filter(([name]) => !name.startsWith(ENV_PREFIX)));
}

function summary({ directory, existing, release, bins, snapshot, attacks, seconds }: DemoReport): string {
  const rows: readonly (readonly [label: string, text: string])[] = [
    ['uploads', `${existing.files + release.events} real ones, in ${bins} bins; ${snapshot} snapshots`],
    ['202 to public', `median ${release.medianMs} ms, slowest ${release.slowestMs} ms`],
    ['lies refused', `${attacks.length} of ${attacks.length}`],
    ['', ''],
    ['Look at', path.join(directory, 'installation', 'repository', 'metadata')],
    ['', path.join(directory, 'service.log')],
    [
      'Run it again',
      `npx countersign serve -c ${shellWord(path.join(directory, 'installation', 'countersign.yaml'))}`,
    ],
    ['Read', 'docs/life-of-an-upload.md, then docs/operations.md'],
    ['Remove it', `rm -r ${shellWord(directory)}`],
  ];
  const lines = rows.map(([label, text]) => `    ${label.padEnd(18)}${text}`.trimEnd());
  return ['', `Done in ${seconds.toFixed(1)} s.`, ...lines].join('\n');
}

/** fetch says "fetch failed" and leaves the reason to its cause; errors of our own name theirs. */
function reasonOf(error: unknown): string {
  const cause = error instanceof TypeError ? error.cause : undefined;
  return cause === undefined ? messageOf(error) : `${messageOf(error)}: ${messageOf(cause)}`;
}

/** A path as one word of a shell, quoted where that is needed. */
function shellWord(name: string): string {
  return /^[\w./-]+$/.test(name) ? name : `'${name.replaceAll("'", "'\\''")}'`;
}
