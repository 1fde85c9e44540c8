// countersign-ceremony one-time.
import type { Command } from 'commander';
import { sha256Hex } from '../../src/lib/bytes.ts';
import { CountersignError } from '../../src/lib/errors.ts';
import { oneTimeRoles } from '../ceremony.ts';
import { FILES, MAX_BYTES, readRequired } from '../ceremony-folder.ts';
import { answer, type CeremonyContext } from '../context.ts';
import { loadCeremony } from '../load-ceremony.ts';
import { isOnRecord } from '../on-record.ts';
import { makeOneTime } from '../one-time.ts';
import { ONE_TIME_ROLES, type OneTime, type OneTimeRole } from '../one-time-file.ts';
import { guardCeremony, withAccept, type AcceptOptions } from '../self-check-guard.ts';
import { folderOf, record, recorded, withFolder } from '../session.ts';
import type { TranscriptStep } from '../transcript-steps.ts';
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
        if (oneTimeRoles(ceremony.plan).length === 0) {
          const why = 'nothing to do: no role of this plan has one-time keys';
          answer(context, command, { json: { keyids: {} }, text: `${why}\nnext: build` });
          return;
        }
        if (ceremony.oneTime !== undefined) {
          await finishRecord(folder, ceremony.oneTime, name);
          answer(context, command, {
            json: { file: FILES.oneTime, keyids: keyidsOf(ceremony.oneTime) },
            text: `${FILES.oneTime} was there, and is now on record\nnext: build`,
          });
          return;
        }
        await guardCeremony(context, options, folder, ceremony.plan);
        const { bytes, keyids } = await makeOneTime(ceremony, context.random, context.clock.now());
        await writeOnce(folder, FILES.oneTime, bytes);
        // Read back and checked as every other computer will.
        await loadCeremony(folder);
        const steps = stepsOf(keyids, sha256Hex(bytes));
        for (const step of steps) await record(context, folder, name, step);
        answer(context, command, {
          json: { file: FILES.oneTime, sha256: sha256Hex(bytes), keyids },
          text: [
            ...steps.map(
              ({ role, keyids: made }) =>
                `${role}: ${made.length} one-time keys made, used and destroyed: ${made.join(', ')}`,
            ),
            `wrote ${FILES.oneTime} sha256 ${sha256Hex(bytes)}`,
            'next: build',
          ].join('\n'),
        });
      });

      /** Writes down what a full disk kept from the transcript. */
      async function finishRecord(place: string, oneTime: OneTime, ceremonyName: string): Promise<void> {
        const bytes = await readRequired(place, FILES.oneTime, MAX_BYTES.oneTime);
        let added = 0;
        for (const step of stepsOf(keyidsOf(oneTime), sha256Hex(bytes))) {
          if (await isOnRecord(place, step)) continue;
          await record(context, place, ceremonyName, step);
          added += 1;
        }
        if (added > 0) return;
        throw new CountersignError(
          'file-exists',
          `${FILES.oneTime} is there: its keys have signed and are gone`,
        );
      }
    });
}

type Keyids = Readonly<Partial<Record<OneTimeRole, readonly string[]>>>;

function keyidsOf({ roles }: OneTime): Keyids {
  return Object.fromEntries(
    Object.entries(roles).map(([role, { keys }]) => [role, keys.map(({ keyid }) => keyid)]),
  );
}

function stepsOf(keyids: Keyids, sha256: string): Extract<TranscriptStep, { step: 'one-time' }>[] {
  return ONE_TIME_ROLES.flatMap((role) => {
    const made = keyids[role];
    return made === undefined ? [] : [{ step: 'one-time', role, keyids: made, sha256 } as const];
  });
}
