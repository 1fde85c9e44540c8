// countersign-ceremony plan new.
import path from 'node:path';
import type { Command } from 'commander';
import { sha256Hex } from '../../src/lib/bytes.ts';
import { CountersignError } from '../../src/lib/errors.ts';
import { FILES, MAX_BYTES, readIfPresent } from '../ceremony-folder.ts';
import { answer, commandGroup, type CeremonyContext } from '../context.ts';
import { parsePlan } from '../parse-plan.ts';
import { askForPlan } from '../plan-wizard.ts';
import { readStateBefore } from '../plan-wizard-before.ts';
import { planText } from '../plan-wizard-text.ts';
import { folderOf, record, withFolder } from '../session.ts';
import { writeOnce } from '../write-file.ts';

export function addPlanNewCommand(program: Command, context: CeremonyContext): void {
  const plan = commandGroup(program, 'plan', 'the plan of a ceremony: write it, check it, read it in words');
  withFolder(plan.command('new'))
    .description('ask for a plan, and write it with comments')
    .addHelpText(
      'after',
      `
An empty answer takes what stands in brackets: where previous.json is there, what is in use today. Nothing is written before the last answer, and no plan is
ever overwritten: to change one, edit the file and run "plan check".

Examples:
  countersign-ceremony plan new
  countersign-ceremony plan new --folder ./2027-renewal`,
    )
    .action(async (options: { folder?: string }, command: Command) => {
      const folder = folderOf(context, options);
      const { terminal } = context;
      if (terminal?.isInteractive !== true) {
        throw new CountersignError(
          'usage',
          `there is no terminal to ask at: write ${FILES.plan} by hand (docs/ceremony-runbook.md has one)`,
        );
      }
      if ((await readIfPresent(folder, FILES.plan, MAX_BYTES.plan)) !== undefined) {
        throw new CountersignError('file-exists', `${path.join(folder, FILES.plan)} exists already`);
      }
      const text = planText(await askForPlan(terminal, context.clock.now(), await readStateBefore(folder)));
      const { ceremony, kind } = parsePlan(Buffer.from(text));
      await writeOnce(folder, FILES.plan, text);
      const sha256 = sha256Hex(text);
      await record(context, folder, ceremony, { step: 'plan-written', file: FILES.plan, sha256 });
      answer(context, command, {
        json: { file: path.join(folder, FILES.plan), sha256, ceremony, kind },
        text: [
          `wrote ${path.join(folder, FILES.plan)} sha256 ${sha256}`,
          'next: put the public keys beside it, then "plan check"',
        ].join('\n'),
      });
    });
}
