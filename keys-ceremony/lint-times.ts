// Lint rules about versions and times: TUF 5.3.5, and PEP 458 "Metadata Expiry Times".
import { formatExpires, parseExpires } from '../src/tuf/lifetimes.ts';
import { MAX_ROOT_ROTATIONS } from '../src/tuf/metadata-limits.ts';
import { refusal, warning, type Finding } from './finding.ts';
import type { LintSubject } from './lint-subject.ts';
import { OFFLINE_ROLES } from './payload.ts';

const DAY_MS = 86_400_000;
/** Milliseconds that people have to hold the next ceremony after the day they mean to. */
const MARGIN_MS = 30 * DAY_MS;
/** PEP 458: root, targets and bins "SHOULD expire in one year"; a leap year, and a day for time zones. */
const LONGEST_MS = 367 * DAY_MS;
/** Roots that are left before clients with root 1 give up, when it is time to plan a new trust anchor. */
const ROOTS_LEFT = 32;

export function lintTimes(subject: LintSubject): Finding[] {
  return [...versions(subject), ...expiries(subject), ...dates(subject)];
}

function versions({ proposal, previous }: LintSubject): Finding[] {
  const found: Finding[] = [];
  for (const role of OFFLINE_ROLES) {
    const made = proposal[role];
    if (made === undefined) continue;
    const expected = (previous?.[role].version ?? 0) + 1;
    if (made.version !== expected) {
      found.push(refusal('version-next', `${role} has version ${made.version}, expected ${expected}`));
    }
  }
  const root = proposal.root?.version ?? 0;
  if (root > MAX_ROOT_ROTATIONS) {
    found.push(
      refusal('root-rotations', `root ${root} is beyond the ${MAX_ROOT_ROTATIONS} that clients follow`),
    );
  } else if (root > MAX_ROOT_ROTATIONS - ROOTS_LEFT) {
    found.push(
      warning(
        'root-rotations',
        `root ${root}: clients follow ${MAX_ROOT_ROTATIONS}, then they need a new trust anchor`,
      ),
    );
  }
  return found;
}

function expiries({ after, proposal, plan, previous }: LintSubject): Finding[] {
  const found: Finding[] = [];
  const next = formatExpires(plan.nextCeremony);
  const rootExpires = parseExpires(after.root.expires);
  for (const role of OFFLINE_ROLES) {
    const { expires } = after[role];
    const at = parseExpires(expires);
    const made = proposal[role] !== undefined;
    if (at <= plan.date) {
      const date = formatExpires(plan.date);
      found.push(refusal('expiry-after-date', `${role} expires at ${expires}, the ceremony is at ${date}`));
    } else if (at <= plan.nextCeremony) {
      found.push(
        refusal('expiry-before-next', `${role} expires at ${expires}, the next ceremony is at ${next}`),
      );
    } else if (at < plan.nextCeremony + MARGIN_MS) {
      const days = Math.floor((at - plan.nextCeremony) / DAY_MS);
      found.push(
        warning(
          'expiry-margin',
          `${role} expires at ${expires}, ${days} days after the next ceremony at ${next}`,
        ),
      );
    }
    const before = previous?.[role].expires;
    if (made && before !== undefined && at <= parseExpires(before)) {
      const date = formatExpires(plan.date);
      found.push(
        warning(
          'expiry-not-later',
          `${role} expires at ${expires}, no later than the one before it, at ${before}: is ${date} the date of this ceremony?`,
        ),
      );
    }
    if (made && at - plan.date > LONGEST_MS) {
      const days = Math.round((at - plan.date) / DAY_MS);
      found.push(warning('expiry-long', `${role} lives for ${days} days, PEP 458 says one year`));
    }
    if (role !== 'root' && made && at > rootExpires) {
      const message = `${role} expires at ${expires}, after root at ${after.root.expires}: clients stop at root`;
      // When root stays as it is its expiry cannot be moved in this ceremony.
      found.push((proposal.root === undefined ? warning : refusal)('outlives-root', message));
    }
  }
  return found;
}

function dates({ plan, previous }: LintSubject): Finding[] {
  const found: Finding[] = [];
  const date = formatExpires(plan.date);
  if (plan.nextCeremony <= plan.date) {
    const next = formatExpires(plan.nextCeremony);
    found.push(refusal('next-after-date', `the next ceremony is at ${next}, this one is at ${date}`));
  }
  for (const role of OFFLINE_ROLES) {
    const expires = previous?.[role].expires;
    if (expires !== undefined && parseExpires(expires) <= plan.date) {
      found.push(
        warning(
          'previous-expired',
          `${role} has expired at ${expires}: clients refuse updates until the new one is out`,
        ),
      );
    }
  }
  return found;
}
