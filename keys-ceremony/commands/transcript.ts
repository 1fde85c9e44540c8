// countersign-ceremony transcript verify, merge, sign: the history of a ceremony, and who answers for it.
import path from 'node:path';
import type { Command } from 'commander';
import { CountersignError } from '../../src/lib/errors.ts';
import { attestationFile, readAttestations } from '../attestations.ts';
import { answer, commandGroup, type CeremonyContext } from '../context.ts';
import type { HolderKey } from '../holder-key.ts';
import { loadCeremony } from '../load-ceremony.ts';
import { isOnRecord } from '../on-record.ts';
import { guardCeremony, withAccept, type AcceptOptions } from '../self-check-guard.ts';
import { folderOf, record, recorded, withFolder } from '../session.ts';
import { mergeTranscripts } from '../transcript-merge.ts';
import { readTranscripts, type TranscriptOfComputer } from '../transcript-set.ts';
import {
  statementDigest,
  statementMessage,
  statementOf,
  transcriptSignatureFile,
  type TranscriptStatement,
} from '../transcript-signature.ts';
import { isTokenUri } from '../token-key.ts';
import { writeOnce } from '../write-file.ts';

interface FolderOption {
  readonly folder?: string;
}

export function addTranscriptCommand(program: Command, context: CeremonyContext): void {
  const group = commandGroup(
    program,
    'transcript',
    'what was done in a ceremony, step by step: check it, sign it',
  );
  addVerify(group, context);
  addMerge(group, context);
  addSign(group, context);
}

function addVerify(group: Command, context: CeremonyContext): void {
  withFolder(group.command('verify'))
    .description('verify every line of every transcript in the folder, and the signatures under them')
    .addHelpText(
      'after',
      `
Exit status 1 when a line was changed, removed or added, or a signature does not fit.

Examples:
  countersign-ceremony transcript verify
  countersign-ceremony transcript verify --folder ./2027-renewal --json`,
    )
    .action(async (options: FolderOption, command: Command) => {
      const folder = folderOf(context, options);
      const { holders } = await loadCeremony(folder);
      const transcripts = await readTranscripts(folder);
      const signed = (await readAttestations(folder, holders, transcripts)).map(
        ({ signature }) => signature.keyid,
      );
      answer(context, command, {
        json: {
          transcripts: transcripts.map(({ file, id, verified }) => ({
            file,
            id,
            lines: verified.lines.length,
            head: verified.head,
            torn: verified.torn?.bytes ?? 0,
          })),
          signed,
        },
        text: [
          ...transcripts.map(transcriptLine),
          ...holders.map(
            ({ name, keyid }) =>
              `${signed.includes(keyid) ? 'signed' : 'not signed'} by ${name}, key ${keyid}`,
          ),
        ].join('\n'),
      });
    });
}

function addMerge(group: Command, context: CeremonyContext): void {
  withFolder(group.command('merge <from...>'))
    .description("take over other computers' transcripts, and signatures under them, from their folders")
    .addHelpText(
      'after',
      `
Examples:
  countersign-ceremony transcript merge /media/holder-2/2027-renewal
  countersign-ceremony transcript merge /media/holder-2/2027-renewal /media/holder-3/2027-renewal`,
    )
    .action(async (from: string[], options: FolderOption, command: Command) => {
      const folder = folderOf(context, options);
      const { plan } = await loadCeremony(folder);
      const results = [];
      for (const place of from) {
        results.push(await mergeTranscripts(folder, path.resolve(context.cwd, place), plan.ceremony));
      }
      const added = results.flatMap((result) => result.added);
      const known = results.flatMap((result) => result.known);
      answer(context, command, {
        json: { added, known },
        text: [...added.map((file) => `added ${file}`), ...known.map((file) => `had ${file}`)].join('\n'),
      });
    });
}

function addSign(group: Command, context: CeremonyContext): void {
  withAccept(withFolder(group.command('sign')))
    .description('sign the transcripts as they stand: the last step of a ceremony')
    .requiredOption('--key <key>', "a key file, or a token's key as pkcs11:…")
    .addHelpText(
      'after',
      `
From then on no line can be removed, not even the last one. The signature cannot be used for any role.
Take over the transcripts of the other computers first: "transcript merge".

Examples:
  countersign-ceremony transcript sign --key /media/holder-1/root.key
  countersign-ceremony transcript sign --key 'pkcs11:serial=12345678;object=root' --folder ./2027-renewal`,
    )
    .action(async (options: FolderOption & AcceptOptions & { key: string }, command: Command) => {
      const folder = folderOf(context, options);
      const { plan, holders } = await loadCeremony(folder);
      await recorded(context, folder, plan.ceremony, 'transcript-sign', async () => {
        const { terminal, openKey } = context;
        if (terminal === undefined || openKey === undefined) {
          throw new CountersignError('usage', 'there is no terminal at which a key could be opened');
        }
        await guardCeremony(context, options, folder, plan);
        const reference = isTokenUri(options.key) ? options.key : path.resolve(context.cwd, options.key);
        await context.findKey?.(reference);
        const transcripts = await readTranscripts(folder);
        const before = await readAttestations(folder, holders, transcripts);
        const statement = statementOf(transcripts);
        transcripts.forEach((transcript) => {
          terminal.say(transcriptLine(transcript));
        });
        const key = await openKey(reference, terminal);
        try {
          const holder = holders.find(({ keyid }) => keyid === key.keyid);
          if (holder === undefined) {
            const bags = holders.map(({ name, keyid }) => `${keyid.slice(0, 8)} (${name})`).join(', ');
            throw new CountersignError(
              'key-mismatch',
              `key ${key.keyid} is of no holder of this ceremony; the bags of the holders say ${bags}`,
            );
          }
          const file = attestationFile(key.keyid);
          const had = before.find(({ signature }) => signature.keyid === key.keyid);
          if (had === undefined) await signAndWrite(key, folder, file);
          else await finishRecord(folder, key.keyid, had.statement);
          answer(context, command, {
            json: { file, keyid: key.keyid, state: had === undefined ? 'written' : 'there', statement },
            text: `${had === undefined ? 'signed' : 'had signed'} the transcripts as ${holder.name}: ${file}`,
          });
        } finally {
          key.forget();
        }

        async function signAndWrite(opened: HolderKey, place: string, file: string): Promise<void> {
          const signature = await opened.sign(statementMessage(statement));
          await writeOnce(place, file, transcriptSignatureFile({ statement, signature }));
          await finishRecord(place, opened.keyid, statement);
        }

        /** Also what a full disk kept from the transcript before. */
        async function finishRecord(
          place: string,
          keyid: string,
          signed: TranscriptStatement,
        ): Promise<void> {
          const step = {
            step: 'transcript-signed',
            keyid,
            statement: statementDigest(signed),
          } as const;
          if (!(await isOnRecord(place, step))) await record(context, place, plan.ceremony, step);
        }
      });
    });
}

function transcriptLine({ file, id, verified }: TranscriptOfComputer): string {
  const { lines, head, torn } = verified;
  const cut = torn === undefined ? '' : `, and ${torn.bytes} bytes of a line that was cut off`;
  return `${file}: transcript ${id}, ${lines.length} lines${cut}, head ${head}`;
}
