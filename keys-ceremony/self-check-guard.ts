// The self-check as commands carry it: their option, and the machine that it looks at.
import type { Command } from 'commander';
import { CountersignError } from '../src/lib/errors.ts';
import type { CeremonyContext } from './context.ts';
import { parseAccepted, requireSelfCheck, type SelfCheck } from './self-check.ts';
import type { CheckSubject } from './self-check-rules.ts';

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
  if (machine === undefined) throw new CountersignError('internal', 'there is no machine to check');
  return requireSelfCheck(machine, subject, accepted, (line) => stderr.write(`${line}\n`));
}
