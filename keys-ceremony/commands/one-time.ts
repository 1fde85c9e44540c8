// countersign-ceremony one-time.
import type { Command } from 'commander';
import { sha256Hex } from '../../src/lib/bytes.ts';
import { CountersignError } from '../../src/lib/errors.ts';
import { FILES } from '../ceremony-folder.ts';
import { answer, type CeremonyContext } from '../context.ts';
import { loadCeremony } from '../load-ceremony.ts';
import { makeOneTime } from '../one-time.ts';
import { ONE_TIME_ROLES } from '../one-time-file.ts';
import { guardCeremony, withAccept, type AcceptOptions } from '../self-check-guard.ts';
import { folderOf, record, recorded, withFolder } from '../session.ts';
import { writeOnce } from '../write-file.ts';

export function addOneTimeCommand(program: Command, context: CeremonyContext): void {
  withAccept(withFolder(program.command('one-time')))
    .description('make the one-time keys of targets and bins, sign with them, destroy them')
    .addHelpText(
      'after',
      `
One computer runs this, once, before "build". The private keys exist in memory only, for one signature
each; ${FILES.oneTime} holds their public parts, the signed files and the record of their destruction.

Examples:
  countersign-ceremony one-time
  countersign-ceremony one-time --folder ./2027-renewal --json`,
    )
    .action(async (options: AcceptOptions & { folder?: string }, command: Command) => {
      const folder = folderOf(context, options);
      const ceremony = await loadCeremony(folder);
      const name = ceremony.plan.ceremony;
      await recorded(context, folder, name, 'one-time', async () => {
        if (ceremony.oneTime !== undefined) {
          throw new CountersignError(
            'file-exists',
            `${FILES.oneTime} is there: its keys have signed and are gone`,
          );
        }
        await guardCeremony(context, options, folder, ceremony.plan);
        const { bytes, keyids } = await makeOneTime(ceremony, context.random, context.clock.now());
        await writeOnce(folder, FILES.oneTime, bytes);
        // Read back and checked as every other computer will.
        await loadCeremony(folder);
        const sha256 = sha256Hex(bytes);
        const lines: string[] = [];
        for (const role of ONE_TIME_ROLES) {
          const made = keyids[role];
          if (made === undefined) continue;
          await record(context, folder, name, { step: 'one-time', role, keyids: made, sha256 });
          lines.push(`${role}: ${made.length} one-time keys made, used and destroyed: ${made.join(', ')}`);
        }
        answer(context, command, {
          json: { file: FILES.oneTime, sha256, keyids },
          text: [...lines, `wrote ${FILES.oneTime} sha256 ${sha256}`, 'next: build'].join('\n'),
        });
      });
    });
}
