// countersign renew: signs online roles again before their time.
import type { Command } from 'commander';
import { placeOrder } from './operator-order.ts';
import type { Perform } from './session.ts';

export function addRenewCommand(program: Command, perform: Perform): void {
  program
    .command('renew')
    .description('sign timestamp and snapshot again now; with --all every bin too')
    .option('--all', 'sign every bin again, as fast as it goes; uploads go on meanwhile')
    .option('--no-wait', 'answer when the ledger has the order, not when it is carried out')
    .addHelpText(
      'after',
      `
The service renews everything by itself, evenly and long before it expires. This is for a hurry: after
lifetimes were changed, or to have every bin signed by next-signer today instead of tomorrow.

Examples:
  countersign renew
  countersign renew --all
  countersign renew --all --no-wait --json`,
    )
    .action(
      perform(async (session, options) => {
        const kind = options['all'] === true ? 'renew-all' : 'renew';
        const report = await placeOrder(session, { kind, wait: options['wait'] !== false });
        const { order, snapshot } = report;
        const text =
          snapshot === undefined ? `order ${order} waits in the ledger` : `renewed with snapshot ${snapshot}`;
        return { json: report, text };
      }),
    );
}
