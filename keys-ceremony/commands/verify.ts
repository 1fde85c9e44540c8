// countersign-ceremony verify, bundle: the end of a ceremony.
import path from 'node:path';
import type { Command } from 'commander';
import { sha256Hex } from '../../src/lib/bytes.ts';
import { FILES } from '../ceremony-folder.ts';
import { answer, type CeremonyContext } from '../context.ts';
import { checkPublishedRoot } from '../published-root.ts';
import { makeResult, type CeremonyResult } from '../result.ts';
import { folderOf, record, recorded, withFolder } from '../session.ts';
import { openWorkspace, requireComplete, type Workspace } from '../workspace.ts';
import { writeOnce } from '../write-file.ts';

interface VerifyOptions {
  readonly folder?: string;
  readonly publishedRoot?: string;
}

export function addVerifyCommand(program: Command, context: CeremonyContext): void {
  withFolder(program.command('verify'))
    .description('verify the result as clients will, whichever root they start from')
    .option('--published-root <file>', 'a root.json that clients have today: the ceremony must follow it')
    .addHelpText(
      'after',
      `
Puts the bundle together in memory: the chain from root 1, a client that starts from each root there ever
was, every rule once more, and the second opinion of @tufjs/models. Writes nothing but the transcript.

Examples:
  countersign-ceremony verify
  countersign-ceremony verify --published-root ./from-the-live-repository/2.root.json --json`,
    )
    .action(async (options: VerifyOptions, command: Command) => {
      const folder = folderOf(context, options);
      const workspace = await openWorkspace(folder);
      await recorded(context, folder, workspace.ceremony.plan.ceremony, 'verify', async () => {
        if (options.publishedRoot !== undefined) {
          await checkPublishedRoot(path.resolve(context.cwd, options.publishedRoot), workspace.ceremony);
        }
        const result = await complete(context, workspace);
        const bundle = sha256Hex(result.bytes);
        await record(context, folder, workspace.ceremony.plan.ceremony, {
          step: 'verified',
          payload: workspace.payload.sha256,
          bundle,
        });
        answer(context, command, {
          json: { payload: workspace.payload.sha256, bundle, ...facts(result) },
          text: [...lines(result), `the bundle will have sha256 ${bundle}`, 'next: bundle'].join('\n'),
        });
      });
    });
}

export function addBundleCommand(program: Command, context: CeremonyContext): void {
  withFolder(program.command('bundle'))
    .description(`verify the result and write ${FILES.bundle}, for "countersign bootstrap" or "import"`)
    .addHelpText(
      'after',
      `
Examples:
  countersign-ceremony bundle
  countersign-ceremony bundle --folder ./2027-renewal --json`,
    )
    .action(async (options: VerifyOptions, command: Command) => {
      const folder = folderOf(context, options);
      const workspace = await openWorkspace(folder);
      const { plan } = workspace.ceremony;
      await recorded(context, folder, plan.ceremony, 'bundle', async () => {
        const result = await complete(context, workspace);
        const state = await writeOnce(folder, FILES.bundle, result.bytes);
        const sha256 = sha256Hex(result.bytes);
        await record(context, folder, plan.ceremony, {
          step: 'bundled',
          payload: workspace.payload.sha256,
          bundle: sha256,
        });
        const use = plan.kind === 'genesis' ? 'bootstrap' : 'import';
        answer(context, command, {
          json: { file: FILES.bundle, state, sha256, payload: workspace.payload.sha256, ...facts(result) },
          text: [
            ...lines(result),
            `${state === 'same' ? 'same' : 'wrote'} ${FILES.bundle} sha256 ${sha256}`,
            `next: record; then the operator runs "countersign ${use} ${FILES.bundle}"`,
          ].join('\n'),
        });
      });
    });
}

async function complete(context: CeremonyContext, workspace: Workspace): Promise<CeremonyResult> {
  requireComplete(workspace);
  const { ceremony, source, payload, signatures } = workspace;
  return makeResult(ceremony, source, payload, signatures.verified, context.clock.now());
}

function facts({ verified, startedFrom }: CeremonyResult) {
  return {
    root: verified.roots.length,
    targets: verified.targets.version,
    bins: verified.bins.version,
    startedFrom,
    onlineKeyids: verified.onlineKeyids,
  };
}

function lines({ verified, startedFrom, secondOpinion }: CeremonyResult): string[] {
  const last = startedFrom.at(-1) ?? 1;
  return [
    `root ${last}, targets ${verified.targets.version} and bins ${verified.bins.version} verify`,
    last === 1
      ? 'a client that starts from root 1 accepts them'
      : `clients that start from each of roots 1 to ${last} accept them`,
    secondOpinion,
  ];
}
