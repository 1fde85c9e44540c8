// The checks that every role gets, each under the rule of its own clause.
import { CountersignError, messageOf } from '../../lib/errors.ts';
import { formatExpires, parseExpires } from '../../tuf/lifetimes.ts';
import type { Signature } from '../../tuf/metadata.ts';
import { verifyThreshold, type RoleTrust } from '../../tuf/threshold.ts';
import type { Findings } from './findings.ts';
import type { FsckRuleId } from './rules.ts';

/** Notes when fewer keys than the role's threshold signed. True when enough did. */
export async function checkSignatures(
  findings: Findings,
  rule: FsckRuleId,
  name: string,
  trust: RoleTrust,
  signed: Uint8Array,
  signatures: readonly Signature[],
): Promise<boolean> {
  try {
    await verifyThreshold(name, trust.keys, trust, signed, signatures);
    return true;
  } catch (error) {
    if (!(error instanceof CountersignError)) throw error;
    findings.add(rule, name, messageOf(error));
    return false;
  }
}

export function checkVersionNumber(
  findings: Findings,
  rule: FsckRuleId,
  name: string,
  actual: unknown,
  expected: number,
): void {
  if (typeof actual !== 'number' || actual === expected) return;
  findings.add(rule, name, `holds version ${actual}, expected version ${expected}`);
}

/** `now` undefined: the role belongs to an older snapshot, and may have expired. A wrong form is another rule's. */
export function checkExpiry(
  findings: Findings,
  rule: FsckRuleId,
  name: string,
  expires: unknown,
  now: number | undefined,
): void {
  if (now === undefined || typeof expires !== 'string') return;
  let end: number;
  try {
    end = parseExpires(expires);
  } catch {
    return;
  }
  if (now >= end) findings.add(rule, name, `expired at ${expires}, it is ${formatExpires(now)}`);
}
