// Whether one-time.json belongs to this plan, and whether its keys signed exactly what the plan asks for.
import { equalBytes } from '../src/lib/bytes.ts';
import { CountersignError } from '../src/lib/errors.ts';
import type { Targets } from '../src/tuf/metadata.ts';
import { verifyEnvelope, type RoleTrust } from '../src/tuf/threshold.ts';
import { oneTimeRoles, payloadOf, proposalSource, type Ceremony } from './ceremony.ts';
import { FILES } from './ceremony-folder.ts';
import type { OneTimePart, OneTimeRole } from './one-time-file.ts';
import { plannedTrust } from './propose.ts';

/**
 * @throws CountersignError `ceremony-mismatch` when the file belongs to another plan or previous bundle, has other roles
 *   than the plan, or was not signed by all of its keys over the very bytes that this computer makes.
 */
export async function checkOneTime(ceremony: Ceremony): Promise<void> {
  const { oneTime, origin, plan } = ceremony;
  const expected = oneTimeRoles(plan);
  if (oneTime === undefined) return;
  if (oneTime.plan !== origin.plan) {
    throw mismatch(`was made from plan ${oneTime.plan}, this plan is ${origin.plan}`);
  }
  if (oneTime.previous !== origin.previous) {
    const [made, now] = [oneTime.previous ?? 'none', origin.previous ?? 'none'];
    throw mismatch(`was made from previous bundle ${made}, this one is ${now}`);
  }
  for (const role of ['targets', 'bins'] as const) {
    if (expected.includes(role) === (oneTime.roles[role] !== undefined)) continue;
    throw mismatch(
      expected.includes(role)
        ? `has no keys for ${role}, the plan asks for them`
        : `has keys for ${role}, the plan asks for none`,
    );
  }
  const payload = payloadOf(ceremony);
  const source = proposalSource(ceremony);
  for (const role of expected) {
    const part = oneTime.roles[role];
    const bytes = payload.signedBytes.get(role);
    if (part === undefined || bytes === undefined) throw mismatch(`has no ${role}`);
    const planned = plan[role];
    if (planned === 'keep') continue;
    checkCount(ceremony, role, part);
    if (!equalBytes(bytes, part.file.signedBytes)) {
      throw mismatch(`signs another ${role} than the one that follows from the plan`);
    }
    await verifyBy(role, plannedTrust(source, role, planned.signers), part);
  }
}

/** PEP 458: the one-time keys of a role all sign; there is no second chance to use one. */
async function verifyBy(role: OneTimeRole, trust: RoleTrust, { file }: OneTimePart): Promise<void> {
  try {
    await verifyEnvelope<Targets>(role, trust, file);
  } catch (cause) {
    if (!(cause instanceof CountersignError)) throw cause;
    throw mismatch(cause.message, cause);
  }
}

function checkCount({ plan }: Ceremony, role: OneTimeRole, { keys }: OneTimePart): void {
  const planned = plan[role];
  if (planned === 'keep' || planned.signers.use !== 'one-time') return;
  if (keys.length === planned.signers.keys) return;
  throw mismatch(`has ${keys.length} keys for ${role}, the plan asks for ${planned.signers.keys}`);
}

function mismatch(problem: string, cause?: unknown): CountersignError {
  return new CountersignError('ceremony-mismatch', `${FILES.oneTime} ${problem}`, { cause });
}
