// countersign-ceremony merge.
import path from 'node:path';
import type { Command } from 'commander';
import { sha256Hex } from '../../src/lib/bytes.ts';
import { MAX_BYTES, readRequired } from '../ceremony-folder.ts';
import { answer, type CeremonyContext } from '../context.ts';
import { mergeSignatures } from '../merge.ts';
import { folderOf, record, recorded, withFolder } from '../session.ts';
import { progressLines } from '../signing-groups.ts';
import { readTranscripts } from '../transcript-set.ts';
import { missingLines, missingNames, openWorkspace } from '../workspace.ts';

export function addMergeCommand(program: Command, context: CeremonyContext): void {
  withFolder(program.command('merge <from...>'))
    .description('take over signatures that other computers made, from folders or files, in any order')
    .addHelpText(
      'after',
      `
Each signature is verified against the payload that this computer makes. Those that do not belong to it
are named and left outside; the exit status is then 1, the others are taken over all the same.

Examples:
  countersign-ceremony merge /media/holder-2/2027-renewal
  countersign-ceremony merge ./stick/root.5f3a….json ./other-stick/signatures`,
    )
    .action(async (from: string[], options: { folder?: string }, command: Command) => {
      const folder = folderOf(context, options);
      const { ceremony, payload, groups, signatures } = await openWorkspace(folder);
      const name = ceremony.plan.ceremony;
      await recorded(context, folder, name, 'merge', async () => {
        const places = from.map((place) => path.resolve(context.cwd, place));
        const { added, known, refused } = await mergeSignatures(folder, places, payload, groups, signatures);
        // A disk can be full between a signature and the line about it: the repeated command has it among the known.
        const unrecorded = await withoutLine(folder, known);
        for (const { file, sha256 } of [...added, ...unrecorded])
          await record(context, folder, name, { step: 'merged', file, sha256 });
        const { progress } = await openWorkspace(folder);
        const missing = missingNames(ceremony, progress);
        answer(context, command, {
          json: { added, known, refused, progress: progressLines(progress), missing },
          text: [
            ...added.map(({ file }) => `added ${file}`),
            ...known.map((file) => `had ${file}`),
            ...refused.map(({ problem }) => `refused ${problem}`),
            ...progressLines(progress),
            missing.length === 0
              ? 'next: verify'
              : `missing: ${missingLines(ceremony, progress).join(' and ')}`,
          ].join('\n'),
          ...(refused.length === 0 ? {} : { status: 1 }),
        });
      });
    });
}

/** Signatures in the folder of which no transcript says how they came there. */
async function withoutLine(
  folder: string,
  files: readonly string[],
): Promise<{ file: string; sha256: string }[]> {
  const transcripts = await readTranscripts(folder);
  const told = new Set(
    transcripts.flatMap(({ verified: { lines } }) =>
      lines.flatMap((line) => (line.step === 'merged' || line.step === 'signed' ? [line.file] : [])),
    ),
  );
  return Promise.all(
    files
      .filter((file) => !told.has(file))
      .map(async (file) => ({
        file,
        sha256: sha256Hex(await readRequired(folder, file, MAX_BYTES.signature)),
      })),
  );
}
