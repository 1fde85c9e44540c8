// countersign-ceremony sign.
import path from 'node:path';
import type { Command } from 'commander';
import { CountersignError } from '../../src/lib/errors.ts';
import { answer, type CeremonyContext } from '../context.ts';
import { describeChanges } from '../describe-changes.ts';
import type { HolderKey } from '../holder-key.ts';
import { isOnRecord } from '../on-record.ts';
import { checkPublishedRoot } from '../published-root.ts';
import { guardCeremony, withAccept, type AcceptOptions } from '../self-check-guard.ts';
import { folderOf, record, recorded, withFolder } from '../session.ts';
import { signWith } from '../sign.ts';
import { progressLines } from '../signing-groups.ts';
import type { Terminal } from '../terminal.ts';
import { askUntil, wrongAnswer } from '../terminal-questions.ts';
import { isTokenUri } from '../token-key.ts';
import { challengePlaces, checkWords, PHRASE_LENGTH, saidWords } from '../word-phrase.ts';
import { openWorkspace, type Workspace } from '../workspace.ts';
import { findingLines } from './plan.ts';

interface SignOptions extends AcceptOptions {
  readonly folder?: string;
  readonly key: string;
  readonly code?: string;
  readonly publishedRoot?: string;
}

export function addSignCommand(program: Command, context: CeremonyContext): void {
  withAccept(withFolder(program.command('sign')))
    .description('read what changes, then sign it with one key')
    .requiredOption('--key <key>', "a key file, or a token's key as pkcs11:…")
    .option(
      '--code <phrase>',
      'all eight words, as the other computer shows them; otherwise two are asked for',
    )
    .option('--published-root <file>', 'a root.json that clients have today: the ceremony must follow it')
    .addHelpText(
      'after',
      `
This computer makes the payload itself and refuses when it differs from the one in the folder. The words
come from a second person at another computer ("build" or "status" shows them there), never from this one.

Examples:
  countersign-ceremony sign --key /media/holder-1/root.key
  countersign-ceremony sign --key 'pkcs11:serial=12345678;object=root'
  countersign-ceremony sign --key ./root.key --code "amber anchor angel antler apple apron atlas autumn"`,
    )
    .action(async (options: SignOptions, command: Command) => {
      const folder = folderOf(context, options);
      const workspace = await openWorkspace(folder);
      const { ceremony, source, payload, warnings, groups, signatures } = workspace;
      const name = ceremony.plan.ceremony;
      await recorded(context, folder, name, 'sign', async () => {
        const [foreign] = signatures.refused;
        if (foreign !== undefined) throw new CountersignError('ceremony-mismatch', foreign.problem);
        if (options.publishedRoot !== undefined) {
          await checkPublishedRoot(path.resolve(context.cwd, options.publishedRoot), ceremony);
        }
        const { terminal, openKey } = context;
        if (terminal === undefined || openKey === undefined) {
          throw new CountersignError('usage', 'there is no terminal at which a key could be opened');
        }
        await guardCeremony(context, options, folder, ceremony.plan);
        const reference = keyReference(context, options.key);
        // Before anybody reads and confirms anything: the stick may not be in.
        await context.findKey?.(reference);
        const say = (line: string): void => {
          terminal.say(line);
        };
        describeChanges(source, payload.proposal).forEach(say);
        findingLines(warnings).forEach(say);
        await requireCode(terminal, context, workspace, options.code);
        const key = await openKey(reference, terminal);
        const signed = await signAndForget(key, folder, workspace);
        for (const { role, version, file, state } of signed) {
          const { sha256 } = payload;
          const step = { step: 'signed', payload: sha256, role, version, keyid: key.keyid, file } as const;
          if (state === 'there' && (await isOnRecord(folder, step))) continue;
          await record(context, folder, name, step);
        }
        // Read back from the disk, as the next computer will.
        const after = await openWorkspace(folder);
        const progress = progressLines(after.progress);
        answer(context, command, {
          json: { payload: payload.sha256, keyid: key.keyid, signed, progress },
          text: [
            ...signed.map(
              ({ role, version, file, state }) =>
                `${state === 'there' ? 'had signed' : 'signed'} ${role} ${version} with key ${key.keyid}: ${file}`,
            ),
            ...progress,
          ].join('\n'),
        });
      });

      async function signAndForget(key: HolderKey, place: string, { payload: linted }: Workspace) {
        try {
          return await signWith(key, place, linted, groups, signatures);
        } finally {
          key.forget();
        }
      }
    });
}

/** The words prove that another computer made the same payload, and that a person there looked at it. */
async function requireCode(
  terminal: Terminal,
  { random }: CeremonyContext,
  { payload }: Workspace,
  code: string | undefined,
): Promise<void> {
  if (code !== undefined) {
    checkWords(
      code,
      payload.phrase,
      Array.from({ length: PHRASE_LENGTH }, (_, place) => place),
    );
    return;
  }
  const places = challengePlaces(random);
  terminal.say(`payload ${payload.sha256}`);
  terminal.say('the second person, at another computer, reads out two words of the phrase there');
  const [first, second] = places;
  const said = await askUntil(
    terminal,
    () => terminal.ask(`words ${first + 1} and ${second + 1}`),
    (answer) => {
      // A slip of the hand. A wrong word is none, and ends it.
      const { length } = saidWords(answer);
      if (length !== places.length) throw wrongAnswer(`please type ${places.length} words, not ${length}`);
      return answer;
    },
  );
  checkWords(said, payload.phrase, places);
  if (await terminal.confirm(`sign this as ${payload.sha256.slice(0, 16)}…?`, { default: false })) return;
  throw new CountersignError('interrupted', 'not signed');
}

function keyReference({ cwd }: CeremonyContext, key: string): string {
  return isTokenUri(key) ? key : path.resolve(cwd, key);
}
