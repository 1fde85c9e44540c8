// countersign-ceremony rehearse.
import path from 'node:path';
import { InvalidArgumentError, Option, type Command } from 'commander';
import { DELEGATION_FORMATS } from '../../src/tuf/delegations.ts';
import { answer, type CeremonyContext } from '../context.ts';
import { CEREMONY_DEFAULTS } from '../defaults.ts';
import { rehearse, type Rehearsal, type RehearsalResult } from '../rehearse.ts';

export function addRehearseCommand(program: Command, context: CeremonyContext): void {
  const { holders, threshold, bins, format } = CEREMONY_DEFAULTS;
  program
    .command('rehearse')
    .description('hold a whole first ceremony with throwaway keys, to try countersign out or to practise')
    .requiredOption('--out <dir>', 'where everything goes: a new or an empty folder')
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
  countersign-ceremony rehearse --out ./trial --format prefixes --json`,
    )
    .action(async (options: Rehearsal, command: Command) => {
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

function nextSteps({ out, next }: RehearsalResult): string {
  return [`next, in ${out}:`, ...next.map((command) => `  ${command}`)].join('\n');
}

function wholeNumber(text: string): number {
  if (/^\d{1,6}$/.test(text)) return Number(text);
  throw new InvalidArgumentError('Expected a whole number.');
}
