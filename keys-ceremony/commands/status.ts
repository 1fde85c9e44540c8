// countersign-ceremony status, abort.
import { lstat } from 'node:fs/promises';
import path from 'node:path';
import type { Command } from 'commander';
import { CountersignError } from '../../src/lib/errors.ts';
import { FILES } from '../ceremony-folder.ts';
import { answer, type CeremonyContext } from '../context.ts';
import { loadCeremony, refuseAborted } from '../load-ceremony.ts';
import { folderOf, record, withFolder } from '../session.ts';
import { abortReason, ceremonyStatus } from '../status.ts';
import { writeOnce } from '../write-file.ts';
import { findingLines } from './plan.ts';

export function addStatusCommand(program: Command, context: CeremonyContext): void {
  withFolder(program.command('status'))
    .description('what is done, which signatures are missing, what comes next and who does it')
    .addHelpText(
      'after',
      `
Examples:
  countersign-ceremony status
  countersign-ceremony status --folder ./2027-renewal --json`,
    )
    .action(async (options: { folder?: string }, command: Command) => {
      const status = await ceremonyStatus(folderOf(context, options));
      const { done, signatures, refused, payload, next, findings } = status;
      answer(context, command, {
        json: status,
        text: [
          `ceremony ${status.ceremony}`,
          ...done.map((step) => `done: ${step}`),
          ...(payload === undefined ? [] : [`phrase ${payload.phrase.join(' ')}`]),
          ...findingLines(findings),
          ...signatures,
          ...refused.map((problem) => `refused ${problem}`),
          `next: ${next}`,
        ].join('\n'),
      });
    });
}

export function addAbortCommand(program: Command, context: CeremonyContext): void {
  withFolder(program.command('abort'))
    .description('end a ceremony without a result; every command refuses the folder from then on')
    .requiredOption('--reason <text>', 'why, one line for the record')
    .addHelpText(
      'after',
      `
Copy the file ${FILES.aborted} to every other copy of the folder.

Examples:
  countersign-ceremony abort --reason "the phrase of the second computer was another one"`,
    )
    .action(async (options: { folder?: string; reason: string }, command: Command) => {
      const folder = folderOf(context, options);
      const reason = abortReason(options.reason);
      const ceremony = await nameOf(folder);
      // The marker first: it is what stops everybody.
      await writeOnce(folder, FILES.aborted, `${reason}\n`);
      await record(context, folder, ceremony, { step: 'aborted', reason });
      answer(context, command, {
        json: { ceremony, aborted: reason },
        text: `the ceremony in ${folder} is aborted`,
      });
    });
}

/** A folder that cannot be understood is a reason to abort, not a hindrance. */
async function nameOf(folder: string): Promise<string> {
  await refuseAborted(folder);
  await refuseOtherFolder(folder);
  try {
    return (await loadCeremony(folder)).plan.ceremony;
  } catch (error) {
    if (error instanceof CountersignError) return 'unreadable';
    throw error;
  }
}

/** Whoever mistypes the name of the folder must not go away and think that the ceremony is over. */
async function refuseOtherFolder(folder: string): Promise<void> {
  for (const name of Object.values(FILES)) {
    // Of whatever kind: a link in the place of the plan is a reason to abort.
    if (await lstat(path.join(folder, name)).catch(() => undefined)) return;
  }
  throw new CountersignError(
    'ceremony-file-missing',
    `nothing is aborted: ${folder} is not the folder of a ceremony, it has no ${FILES.plan}; give the right one with --folder`,
  );
}
