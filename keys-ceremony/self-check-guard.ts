// The self-check as commands carry it: their option, and the machine that it looks at.
import type { Command } from 'commander';
import type { CeremonyContext } from './context.ts';
import { parseAccepted, requireSelfCheck, type SelfCheck } from './self-check.ts';
import type { CheckSubject } from './self-check-rules.ts';
import { record } from './session.ts';
import type { Plan } from './plan.ts';

/** What `withAccept` adds to a command's options. */
export interface AcceptOptions {
  readonly accept?: readonly string[];
}

/** Adds `--accept CHECK=REASON`, which may be given several times. */
export function withAccept(command: Command): Command {
  return command.option(
    '--accept <check=reason>',
    'go on although a check of the self-check fails; the reason goes on record (may be repeated)',
    (value: string, before: readonly string[] | undefined) => [...(before ?? []), value],
  );
}

/** Nothing was looked at: the keys of a rehearsal are worth nothing. */
const UNCHECKED: SelfCheck = { findings: [], steps: [] };

/**
 * Looks at this computer before a key is touched; the `steps` of the result belong into the transcript.
 * @throws CountersignError `self-check-failed`; `usage` for a malformed `--accept`.
 */
export async function guard(
  { machine, stderr }: CeremonyContext,
  { accept }: AcceptOptions,
  subject: CheckSubject,
): Promise<SelfCheck> {
  const accepted = parseAccepted(accept ?? []);
  if (machine === undefined) return UNCHECKED;
  return requireSelfCheck(machine, subject, accepted, (line) => stderr.write(`${line}\n`));
}

/** Milliseconds: a plan is dated for the day on which it is held, and clocks are set by hand. */
const DATE_MARGIN_MS = 86_400_000;

/**
 * The same in the folder of a ceremony, whose transcript it goes into.
 * @throws CountersignError `self-check-failed`; `usage` for a malformed `--accept`.
 */
export async function guardCeremony(
  context: CeremonyContext,
  options: AcceptOptions,
  folder: string,
  { ceremony, date }: Plan,
): Promise<void> {
  const notBefore = { time: date - DATE_MARGIN_MS, what: 'the day before the date of the plan' };
  const { steps } = await guard(context, options, { workFolder: folder, notBefore });
  for (const step of steps) await record(context, folder, ceremony, step);
}
