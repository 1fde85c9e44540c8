// countersign gc: removes metadata that no retained snapshot reaches, and forgets old events.
import type { Command } from 'commander';
import { collectStaging } from '../backsign/staging-garbage.ts';
import { collectGarbage } from '../publish/retention.ts';
import { counted } from '../lib/counted.ts';
import { formatDuration } from '../lib/duration.ts';
import { openLedger, openStore } from '../open-ports.ts';
import { startProgress } from './progress.ts';
import type { Perform } from './session.ts';

export function addGcCommand(program: Command, perform: Perform): void {
  program
    .command('gc')
    .description('remove what no retained snapshot reaches (never a root), and forget old settled events')
    .option('--dry-run', 'count what would be removed, remove nothing')
    .addHelpText(
      'after',
      `
How long things are kept is retention.snapshots and retention.events in the configuration. What a run of
"backsign" left in a bucket that was given up goes too, when no order waits for it and nothing was added for
as long as retention.snapshots says, a day at least. The service may run meanwhile; it does the same by
itself every hour.

Examples:
  countersign gc --dry-run
  countersign gc --json`,
    )
    .action(
      perform(async (session, options) => {
        const { config, secrets } = await session.load();
        const dryRun = options['dryRun'] === true;
        const progress = startProgress(session, 'looking at objects');
        const ledger = await openLedger(config, secrets, session.context);
        try {
          const store = await openStore(config, session.context);
          const { clock } = session.context;
          const common = { store, clock, ...config.retention, dryRun };
          const rendersPages = config.simpleIndex === 'render';
          const report = await collectGarbage({
            ...common,
            rendersPages,
            history: ledger,
            progress: (looked) => {
              progress.report(looked, looked);
            },
          });
          const staging = await collectStaging({ ...common, ledger });
          progress.end();
          const verb = dryRun ? 'would remove' : 'removed';
          const text = [
            report.oldestSnapshot === undefined
              ? `nothing to remove: no snapshot was replaced more than ${formatDuration(config.retention.snapshotsMs)} ago`
              : `${verb} ${counted(report.removed, 'object')} (${report.removedBytes} bytes), kept ${report.kept}; the oldest snapshot kept is ${report.oldestSnapshot}`,
            ...(report.pages === 0 ? [] : [`${verb} ${report.pages} simple index pages that were replaced`]),
            ...(staging.stagedRemoved === 0
              ? []
              : [
                  `${verb} ${counted(staging.stagedRemoved, 'object')} (${staging.stagedRemovedBytes} bytes) of back-signing that was given up`,
                ]),
            ...(dryRun ? [] : [`forgot ${counted(report.forgottenEvents, 'event')}`]),
            ...(report.unknown === 0
              ? []
              : [`left ${counted(report.unknown, 'object')} alone whose names mean nothing here`]),
          ];
          return { json: { dryRun, ...report, ...staging }, text: text.join('\n') };
        } finally {
          progress.end();
          await ledger.close();
        }
      }),
    );
}
