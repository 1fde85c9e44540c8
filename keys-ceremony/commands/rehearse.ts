// countersign-ceremony rehearse.
import path from 'node:path';
import { Writable } from 'node:stream';
import { Command, InvalidArgumentError, Option } from 'commander';
import { CountersignError } from '../../src/lib/errors.ts';
import { DELEGATION_FORMATS } from '../../src/tuf/delegations.ts';
import { answer, AnsweredWithStatus, type CeremonyContext } from '../context.ts';
import { CEREMONY_DEFAULTS } from '../defaults.ts';
import { rehearsePlan, type PlanRehearsalResult } from '../rehearse-plan.ts';
import { rehearse, type Rehearsal, type RehearsalResult } from '../rehearse.ts';
import { ScriptedTerminal } from '../terminal-scripted.ts';
import { addBuildCommand } from './build.ts';
import { addMergeCommand } from './merge.ts';
import { addOneTimeCommand } from './one-time.ts';
import { addPlanCommand } from './plan.ts';
import { addSignCommand } from './sign.ts';
import { addBundleCommand, addVerifyCommand } from './verify.ts';

export function addRehearseCommand(program: Command, context: CeremonyContext): void {
  const { holders, threshold, bins, format } = CEREMONY_DEFAULTS;
  program
    .command('rehearse')
    .description('hold a whole first ceremony with throwaway keys, to try countersign out or to practise')
    .requiredOption('--out <dir>', 'where everything goes: a new or an empty folder')
    .option('--plan <file>', 'play this plan instead, every command of it, on a folder for each holder')
    .option('--holders <n>', 'people who hold a root key', wholeNumber, holders)
    .option('--threshold <n>', 'how many of them must sign', wholeNumber, threshold)
    .option('--bins <n>', 'hashed bins, a power of two', wholeNumber, bins)
    .addOption(
      new Option('--format <form>', 'how bins are delegated: TAP 15, or hash prefixes for older clients')
        .choices(DELEGATION_FORMATS)
        .default(format),
    )
    .option('--json', 'answer with one JSON document on standard output')
    .addHelpText(
      'after',
      `
Examples:
  countersign-ceremony rehearse --out ./trial
  countersign-ceremony rehearse --out ./trial --holders 5 --threshold 3 --bins 16384
  countersign-ceremony rehearse --out ./trial --format prefixes --json
  countersign-ceremony rehearse --out ./trial --plan ./2027-renewal/plan.yaml`,
    )
    .action(async (options: Rehearsal & { readonly plan?: string }, command: Command) => {
      if (options.plan !== undefined) {
        const other = ['holders', 'threshold', 'bins', 'format'].find(
          (name) => command.getOptionValueSource(name) === 'cli',
        );
        if (other !== undefined) throw new CountersignError('usage', `--${other} stands in the plan already`);
        const played = await rehearsePlan(
          { plan: path.resolve(context.cwd, options.plan), out: path.resolve(context.cwd, options.out) },
          {
            random: context.random,
            say: (line) => context.stderr.write(`${line}\n`),
            perform: (folder, args, openKey) => perform({ ...context, cwd: folder, openKey }, args),
          },
        );
        answer(context, command, { json: played, text: playedText(played) });
        return;
      }
      const result = await rehearse(
        { ...options, out: path.resolve(context.cwd, options.out) },
        {
          now: context.clock.now(),
          random: context.random,
          say: (line) => context.stderr.write(`${line}\n`),
        },
      );
      answer(context, command, { json: result, text: nextSteps(result) });
    });
}

/** Runs a command of a ceremony as if it had been typed; its document. */
async function perform(
  context: CeremonyContext,
  args: readonly string[],
): Promise<Readonly<Record<string, unknown>>> {
  const chunks: string[] = [];
  const stdout = new Writable({
    write: (chunk: Buffer, _encoding, done) => {
      chunks.push(chunk.toString());
      done();
    },
  });
  const program = new Command().option('--json').exitOverride();
  // What is shown before a signature goes to the screen; there is no question left to answer.
  const terminal = new ScriptedTerminal([], (line) => context.stderr.write(`  ${line}\n`));
  // Without a machine: its keys are thrown away, so any computer is good enough.
  const { cwd, stderr, clock, random, tool, openKey } = context;
  const rehearsal: CeremonyContext = {
    ...{ cwd, stdout, stderr, clock, random, terminal },
    ...(tool === undefined ? {} : { tool }),
    ...(openKey === undefined ? {} : { openKey }),
  };
  for (const add of STEPS) add(program, rehearsal);
  try {
    await program.parseAsync([...args, '--json'], { from: 'user' });
  } catch (error) {
    // The answer says what was refused.
    if (!(error instanceof AnsweredWithStatus)) throw error;
  }
  return JSON.parse(chunks.join('')) as Readonly<Record<string, unknown>>;
}

const STEPS = [
  addPlanCommand,
  addOneTimeCommand,
  addBuildCommand,
  addSignCommand,
  addMergeCommand,
  addVerifyCommand,
  addBundleCommand,
];

function playedText({ ceremony, steps, signers, bundle }: PlanRehearsalResult): string {
  return [
    `the ceremony ${ceremony} works: ${steps.length} commands, ${signers.length} signers (${signers.join(', ')})`,
    `bundle of the rehearsal: ${bundle.file} sha256 ${bundle.sha256}`,
  ].join('\n');
}

function nextSteps({ out, next }: RehearsalResult): string {
  return [`next, in ${out}:`, ...next.map((command) => `  ${command}`)].join('\n');
}

function wholeNumber(text: string): number {
  if (/^\d{1,6}$/.test(text)) return Number(text);
  throw new InvalidArgumentError('Expected a whole number.');
}
