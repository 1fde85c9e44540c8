// Before any key is touched: is this computer in the state in which it may be? A check that fails ends the command,
// unless those present say why they go on; what they say goes into the transcript.
import { CountersignError, messageOf } from '../src/lib/errors.ts';
import { nearMatches } from '../src/lib/near-match.ts';
import type { Machine } from './self-check-machine.ts';
import {
  CHECKS,
  type CheckName,
  type CheckResult,
  type CheckSubject,
  type Outcome,
} from './self-check-rules.ts';
import type { TranscriptStep } from './transcript-steps.ts';

export interface CheckFinding {
  readonly check: CheckName;
  readonly outcome: Outcome;
  /** What was seen, and the way out. */
  readonly text: string;
  /** Why those present go on although it did not pass. */
  readonly accepted?: string;
}

export interface SelfCheck {
  readonly findings: readonly CheckFinding[];
  /** What the transcript says of it: `self-check`, and `accepted` for each exception. */
  readonly steps: readonly TranscriptStep[];
}

/** Exceptions by check: the reason that goes on record. */
export type Accepted = ReadonlyMap<CheckName, string>;

/** Characters of a reason, as the transcript takes them. */
const MAX_REASON = 500;

/**
 * Reads the values of `--accept`: `CHECK=REASON`.
 * @throws CountersignError `usage` for an unknown check, a missing reason, and a check that is named twice.
 */
export function parseAccepted(values: readonly string[]): Accepted {
  const accepted = new Map<CheckName, string>();
  for (const value of values) {
    const equals = value.indexOf('=');
    const name = equals === -1 ? value : value.slice(0, equals);
    const reason = equals === -1 ? '' : value.slice(equals + 1).trim();
    if (!isCheck(name)) {
      const names = Object.keys(CHECKS);
      const [near] = nearMatches(name, names, 1);
      const hint = near === undefined ? '' : `; did you mean ${near}?`;
      throw usage(
        `--accept names the check ${JSON.stringify(name)}, expected one of ${names.join(', ')}${hint}`,
      );
    }
    if (reason === '') throw usage(`--accept ${name} has no reason, expected --accept "${name}=REASON"`);
    if (reason.length > MAX_REASON || /[\p{Cc}\p{Zl}\p{Zp}]/u.test(reason)) {
      throw usage(`the reason of --accept ${name} is not one line of at most ${MAX_REASON} characters`);
    }
    if (accepted.has(name)) throw usage(`--accept names ${name} twice`);
    accepted.set(name, reason);
  }
  return accepted;
}

/** Looks at the machine and changes nothing. Rejects only when the program's own file cannot be read. */
export async function selfCheck(
  machine: Machine,
  subject: CheckSubject,
  accepted: Accepted = new Map(),
): Promise<SelfCheck> {
  const findings: CheckFinding[] = [];
  for (const check of Object.keys(CHECKS) as CheckName[]) {
    const { outcome, text } = await run(check, machine, subject);
    const reason = outcome === 'passed' ? undefined : accepted.get(check);
    findings.push({ check, outcome, text, ...(reason === undefined ? {} : { accepted: reason }) });
  }
  const names = (passed: boolean): string[] =>
    findings.filter(({ outcome }) => (outcome === 'passed') === passed).map(({ check }) => check);
  const { sha256 } = await machine.tool();
  return {
    findings,
    steps: [
      { step: 'self-check', passed: names(true), failed: names(false), tool: sha256 },
      ...findings.flatMap(({ check, accepted: reason }): TranscriptStep[] =>
        reason === undefined ? [] : [{ step: 'accepted', check, reason }],
      ),
    ],
  };
}

/**
 * The guard of every command that touches a key: shows what did not pass, one line a check.
 * @throws CountersignError `self-check-failed` that names each check that neither passed nor was accepted.
 */
export async function requireSelfCheck(
  machine: Machine,
  subject: CheckSubject,
  accepted: Accepted,
  say: (line: string) => void,
): Promise<SelfCheck> {
  const result = await selfCheck(machine, subject, accepted);
  // The command "self-check" shows all of them; here they would push what a holder must read off the screen.
  const noted = result.findings.filter(({ outcome }) => outcome !== 'passed');
  for (const finding of noted) say(describeFinding(finding));
  const passed = result.findings.length - noted.length;
  say(`self-check: ${passed} of ${result.findings.length} checks pass`);
  const refused = refusedFindings(result);
  if (refused.length > 0) {
    const list = refused.map(({ check, text }) => `${check} (${text})`).join('; ');
    throw new CountersignError('self-check-failed', `the self-check refuses this computer: ${list}`);
  }
  return result;
}

async function run(check: CheckName, machine: Machine, subject: CheckSubject): Promise<CheckResult> {
  try {
    return await CHECKS[check](machine, subject);
  } catch (error) {
    return { outcome: 'unknown', text: `cannot be checked: ${messageOf(error)}` };
  }
}

/** Those that neither passed nor were accepted. */
export function refusedFindings({ findings }: SelfCheck): CheckFinding[] {
  return findings.filter(({ outcome, accepted }) => outcome !== 'passed' && accepted === undefined);
}

/** One line for people. */
export function describeFinding({ check, outcome, text, accepted }: CheckFinding): string {
  const mark = outcome === 'passed' ? 'ok' : accepted === undefined ? 'REFUSED' : 'accepted';
  const reason = accepted === undefined ? '' : ` [accepted: ${accepted}]`;
  return `${mark.padEnd(8)} ${check.padEnd(10)} ${text}${reason}`;
}

function isCheck(name: string): name is CheckName {
  return Object.hasOwn(CHECKS, name);
}

function usage(message: string): CountersignError {
  return new CountersignError('usage', message);
}
