// countersign-ceremony build.
import path from 'node:path';
import type { Command } from 'commander';
import { CountersignError } from '../../src/lib/errors.ts';
import { FILES } from '../ceremony-folder.ts';
import { proposalSource } from '../ceremony.ts';
import { answer, type CeremonyContext } from '../context.ts';
import { describeChanges } from '../describe-changes.ts';
import { lintedPayload } from '../lint.ts';
import { loadCeremony } from '../load-ceremony.ts';
import { checkPayloadFile } from '../payload-file.ts';
import { checkPublishedRoot } from '../published-root.ts';
import { folderOf, record, recorded, withFolder } from '../session.ts';
import { readState } from '../workspace.ts';
import { writeOnce } from '../write-file.ts';
import { findingLines } from './plan.ts';

interface BuildOptions {
  readonly folder?: string;
  readonly publishedRoot?: string;
}

export function addBuildCommand(program: Command, context: CeremonyContext): void {
  withFolder(program.command('build'))
    .description('make what is to be signed; every computer that does so prints the same words')
    .option('--published-root <file>', 'a root.json that clients have today: the ceremony must follow it')
    .addHelpText(
      'after',
      `
Run it on a second computer as well, from a copy of the folder, and read the word phrase to each other:
the same words mean the same bytes. It says "same" when ${FILES.payload} was there already.

Examples:
  countersign-ceremony build
  countersign-ceremony build --published-root ./from-the-live-repository/2.root.json`,
    )
    .action(async (options: BuildOptions, command: Command) => {
      const folder = folderOf(context, options);
      const ceremony = await loadCeremony(folder);
      const name = ceremony.plan.ceremony;
      await recorded(context, folder, name, 'build', async () => {
        const follows: string[] = [];
        if (options.publishedRoot !== undefined) {
          follows.push(await checkPublishedRoot(path.resolve(context.cwd, options.publishedRoot), ceremony));
        }
        const { payload, warnings } = lintedPayload(ceremony);
        await checkPayloadFile(folder, payload);
        // Whoever has signed has signed another payload: it must not be replaced under their signature.
        const [stale] = (await readState(ceremony, payload)).signatures.refused;
        if (stale !== undefined) throw new CountersignError('ceremony-mismatch', stale.problem);
        const written = await writeOnce(folder, FILES.payload, payload.bytes);
        const { sha256 } = payload;
        const phrase = payload.phrase.join(' ');
        await record(context, folder, name, {
          step: 'built',
          plan: payload.origin.plan,
          payload: sha256,
          phrase,
        });
        const changes = describeChanges(proposalSource(ceremony), payload.proposal);
        answer(context, command, {
          json: { file: FILES.payload, state: written, sha256, phrase, changes, warnings },
          text: [
            ...follows,
            ...changes,
            ...findingLines(warnings),
            `${written === 'same' ? 'same' : 'wrote'} ${FILES.payload} sha256 ${sha256}`,
            `phrase ${phrase}`,
          ].join('\n'),
        });
      });
    });
}
