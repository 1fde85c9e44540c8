// countersign-ceremony record, record verify: the ceremony on paper, and the paper against a repository years later.
import { rm } from 'node:fs/promises';
import path from 'node:path';
import type { Command } from 'commander';
import { sha256Hex } from '../../src/lib/bytes.ts';
import { FILES } from '../ceremony-folder.ts';
import { answer, type CeremonyContext } from '../context.ts';
import { isOnRecord } from '../on-record.ts';
import { recordPage } from '../record-page.ts';
import { recordText } from '../record-text.ts';
import { compareRecord, type ComparedFile } from '../record-verify.ts';
import { collectRecord } from '../record.ts';
import { folderOf, record, recorded, withFolder } from '../session.ts';
import { writeOnce } from '../write-file.ts';

export function addRecordCommand(program: Command, context: CeremonyContext): void {
  const group = withFolder(program.command('record'))
    .description(
      `write ${FILES.recordHtml} and ${FILES.recordText}: print them, and all who are present sign`,
    )
    .addHelpText(
      'after',
      `
Both say the same: what was signed and by whom, every file with its SHA-256, the program and the self-check
of each computer. The page has QR codes and places for signatures; open it in any browser and print it.

Examples:
  countersign-ceremony record
  countersign-ceremony record --folder ./2027-renewal --json
  countersign-ceremony record verify ./2027-renewal --repository ./copy-of-the-repository`,
    )
    .action(async (options: { folder?: string }, command: Command) => {
      const folder = folderOf(context, options);
      const collected = await collectRecord(folder);
      await recorded(context, folder, collected.ceremony, 'record', async () => {
        const text = recordText(collected);
        const page = recordPage(collected);
        const states = await writeBoth(folder, text, page);
        const files = [
          { name: FILES.recordText, sha256: sha256Hex(text) },
          { name: FILES.recordHtml, sha256: sha256Hex(page) },
        ];
        const step = { step: 'recorded', text: sha256Hex(text), page: sha256Hex(page) } as const;
        if (states.includes('written') || !(await isOnRecord(folder, step))) {
          await record(context, folder, collected.ceremony, step);
        }
        answer(context, command, {
          json: {
            files: files.map((file, i) => ({ ...file, state: states[i] })),
            builtOn: collected.builtOn,
          },
          text: [
            ...files.map(
              ({ name, sha256 }, i) => `${states[i] === 'same' ? 'same' : 'wrote'} ${name} sha256 ${sha256}`,
            ),
            ...(collected.builtOn > 1
              ? []
              : [
                  'warning: the payload was made on one computer only, as far as the transcripts here say: merge that of the ' +
                    'other one before you make the record ("transcript merge"), or write down why there was none',
                ]),
            'next: print the page, compare it with the screen, sign it; then: transcript sign',
          ].join('\n'),
        });
      });
    });
  group
    .command('verify <record>')
    .description('compare the record in a folder with the metadata files of a repository')
    .requiredOption('--repository <dir>', 'a copy of the published metadata: 1.root.json, 2.root.json, …')
    .option('--json', 'answer with one JSON document on standard output')
    .addHelpText(
      'after',
      `
Copy the files from the live repository first; this program has no network. Targets and bins files that were
replaced since may be gone; roots are kept for ever. Later roots must follow from the recorded ones by
their signatures. Exit status 1 when anything differs.

Examples:
  countersign-ceremony record verify ./2027-renewal --repository ./copy-of-the-repository
  countersign-ceremony record verify ./2027-renewal --repository ./mirror/metadata --json`,
    )
    .action(async (folder: string, options: { repository: string }, command: Command) => {
      const at = (place: string): string => path.resolve(context.cwd, place);
      const comparison = await compareRecord(at(folder), at(options.repository));
      const { published, newestRoot, brokenChain, agrees } = comparison;
      answer(context, command, {
        json: comparison,
        text: [
          ...published.map((file) => line(file)),
          ...comparison.folder.filter(({ result }) => result !== 'same').map((file) => line(file)),
          brokenChain === undefined
            ? `roots follow one another up to version ${newestRoot}`
            : `roots do not follow one another: ${brokenChain}`,
          agrees ? 'the repository agrees with the record' : 'THE REPOSITORY DOES NOT AGREE WITH THE RECORD',
        ].join('\n'),
        ...(agrees ? {} : { status: 1 }),
      });
    });
}

/** Both or none: the refusal goes into the transcript, and the next record, which has that line, is another one. */
async function writeBoth(folder: string, text: string, page: string): Promise<('written' | 'same')[]> {
  const first = await writeOnce(folder, FILES.recordText, text);
  try {
    return [first, await writeOnce(folder, FILES.recordHtml, page)];
  } catch (error) {
    if (first === 'written') await rm(path.join(folder, FILES.recordText), { force: true });
    throw error;
  }
}

function line({ name, result, recorded: expected, found }: ComparedFile): string {
  if (result !== 'differs') return `${result.padEnd(8)} ${name}`;
  return `differs  ${name}: sha256 ${found ?? ''}, the record says ${expected}`;
}
