// countersign import: what a later ceremony made becomes public.
import path from 'node:path';
import type { Command } from 'commander';
import { asBuffer } from '../lib/bytes.ts';
import { parseBundle, verifyBundle } from '../tuf/bundle.ts';
import { readBundle } from './bootstrap.ts';
import { forecastImport, forecastText, skippedCeremonies } from './import-forecast.ts';
import { placeOrder } from './operator-order.ts';
import { watchImport } from './import-progress.ts';
import type { Perform } from './session.ts';

export function addImportCommand(program: Command, perform: Perform): void {
  program
    .command('import')
    .description('publish a newer root, targets or bins from a ceremony')
    .argument('<bundle>', 'the file that the ceremony made')
    .option(
      '--compromised',
      'the online key was stolen: sign every bin with the new one in the same publication',
    )
    .option('--dry-run', 'say what would change, and what another number of bins costs; order nothing')
    .option('--no-wait', 'answer when the ledger has the bundle, not when it is published')
    .addHelpText(
      'after',
      `
The bundle waits in the ledger until the running service publishes it; where none runs, this command does.
It must continue what is published: the same roots, no version that goes back, nothing that has expired,
and no key dropped that clients still need. The same bundle may be imported again: nothing happens then.
A root that keeps the old targets keys is published a minute ahead of targets and bins; the command says
so, and counts the seconds on a terminal.

With another number of bins all new bins are published first, under names of their own, and then the role
that delegates to them. Uploads go on in between. The names of before stay in the snapshot.

Examples:
  countersign import /media/usb/2027-renewal/bundle.json
  countersign import bundle.json --dry-run          # also: what another number of bins would cost
  countersign import bundle.json --no-wait --json
  countersign import --compromised bundle.json      # see docs/operations.md, "The online key was stolen"`,
    )
    .action(
      perform(async (session, options, [name = '']) => {
        const { clock, cwd } = session.context;
        const bytes = await readBundle(path.resolve(cwd, name));
        // The publisher decides; what is wrong with the bundle by itself is said at once.
        const bundle = await verifyBundle(parseBundle(bytes), clock.now());
        const compromised = options['compromised'] === true;
        // After a theft nothing in the store is looked at before the new key has signed it.
        const forecast = compromised ? undefined : await forecastImport(session, bundle);
        if (options['dryRun'] === true) {
          const text = forecast === undefined ? 'every bin would be signed again' : forecastText(forecast);
          return { json: { dryRun: true, ...forecast }, text };
        }
        if (forecast?.rebin !== undefined) session.note(forecastText(forecast));
        const skipped = forecast && skippedCeremonies(forecast);
        if (skipped !== undefined && forecast?.rebin === undefined) session.note(skipped);
        const watch = watchImport(session, bundle, forecast?.rebin !== undefined);
        const report = await placeOrder(session, {
          kind: compromised ? 'import-compromised' : 'import',
          content: asBuffer(bytes).toString('utf8'),
          wait: options['wait'] !== false,
          look: watch.look,
        }).finally(() => {
          watch.end();
        });
        const { order, snapshot } = report;
        const text =
          snapshot === undefined
            ? `order ${order} waits in the ledger; countersign status shows the versions`
            : `imported: what the bundle holds is published with snapshot ${snapshot}`;
        return { json: report, text };
      }),
    );
}
