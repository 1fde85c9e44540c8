// countersign-ceremony self-check.
import type { Command } from 'commander';
import { CountersignError } from '../../src/lib/errors.ts';
import { answer, type CeremonyContext } from '../context.ts';
import { recordIfPlanned } from '../key-file-steps.ts';
import { describeFinding, parseAccepted, refusedFindings, selfCheck } from '../self-check.ts';
import { withAccept, type AcceptOptions } from '../self-check-guard.ts';
import { folderOf, withFolder } from '../session.ts';

export function addSelfCheckCommand(program: Command, context: CeremonyContext): void {
  withAccept(withFolder(program.command('self-check')))
    .description('look whether keys may be touched on this computer')
    .addHelpText(
      'after',
      `
The commands that touch a key look by themselves. In the folder of a plan the result goes on record.
Checks: network, swap, memory, clock, random, tool,
core-dumps, space; docs/ceremony-keys.md says what each looks at. Exit status 1 when one refuses.

Examples:
  countersign-ceremony self-check
  countersign-ceremony self-check --folder /dev/shm/2027-renewal --accept "swap=encrypted with a random key"`,
    )
    .action(async (options: AcceptOptions & { folder?: string }, command: Command) => {
      const { machine } = context;
      if (machine === undefined) throw new CountersignError('internal', 'there is no machine to check');
      const accepted = parseAccepted(options.accept ?? []);
      const folder = folderOf(context, options);
      const result = await selfCheck(machine, { workFolder: folder }, accepted);
      await recordIfPlanned(context, folder, result.steps);
      const refused = refusedFindings(result);
      answer(context, command, {
        json: { refused: refused.map(({ check }) => check), findings: result.findings },
        text: result.findings.map(describeFinding).join('\n'),
        ...(refused.length === 0 ? {} : { status: 1 }),
      });
    });
}
