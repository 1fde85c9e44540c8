// The lint: everything that must be true of a payload before anybody signs it, and that must still be true of what came
// out. Only a payload that passed has the type that `sign` and the writers take.
import { CountersignError } from '../src/lib/errors.ts';
import { sha256Hex } from '../src/lib/bytes.ts';
import { keyId } from '../src/tuf/keys.ts';
import type { PublicKey } from '../src/tuf/metadata.ts';
import { oneTimeRoles, proposalSource, type Ceremony } from './ceremony.ts';
import type { Finding } from './finding.ts';
import { lintChanges } from './lint-changes.ts';
import { lintKeys } from './lint-keys.ts';
import { lintOverlap } from './lint-overlap.ts';
import { lintTimes } from './lint-times.ts';
import type { OneTimeRole } from './one-time-file.ts';
import { makePayload, type Payload, type Proposal } from './payload.ts';
import { propose, rolesAfter, type ProposalSource } from './propose.ts';
import type { PublicPart } from './public-key-file.ts';

declare const linted: unique symbol;

/** A value that no rule refuses. Only this module makes one. */
export type Linted<T> = T & { readonly [linted]: true };

/** Every finding about a proposal, refusals first. */
export function lintProposal(source: ProposalSource, proposal: Proposal): Finding[] {
  const { signedBytes } = makePayload(proposal, { plan: '' });
  const subject = { ...source, proposal, after: rolesAfter(source, proposal), signedBytes };
  const found = [
    ...lintKeys(subject),
    ...lintTimes(subject),
    ...lintOverlap(subject),
    ...lintChanges(subject),
  ];
  return found.toSorted((a, b) => Number(b.severity === 'refuse') - Number(a.severity === 'refuse'));
}

/**
 * Lints a plan before its one-time keys exist: stand-ins take their places.
 */
export function lintPlan(ceremony: Ceremony): Finding[] {
  const source = draftSource(ceremony);
  return lintProposal(source, propose(source));
}

/** The source of a proposal; one-time keys that are not made yet are stood in for by keys that nobody has. */
export function draftSource(ceremony: Ceremony): ProposalSource {
  if (ceremony.oneTime !== undefined) return proposalSource(ceremony);
  return proposalSource(
    ceremony,
    Object.fromEntries(oneTimeRoles(ceremony.plan).map((role) => [role, standIns(ceremony, role)])),
  );
}

/**
 * The payload of a ceremony, made on this computer, that no rule refuses.
 * @throws CountersignError `plan-refused` with the first refusal; `ceremony-file-missing`.
 */
export function lintedPayload(ceremony: Ceremony): {
  readonly payload: Linted<Payload>;
  readonly warnings: readonly Finding[];
} {
  const source = proposalSource(ceremony);
  const proposal = propose(source);
  const warnings = requireNoRefusal(lintProposal(source, proposal));
  return { payload: makePayload(proposal, ceremony.origin) as Linted<Payload>, warnings };
}

/**
 * The warnings among the findings.
 * @throws CountersignError `plan-refused` with the first refusal.
 */
export function requireNoRefusal(findings: readonly Finding[]): Finding[] {
  const refused = findings.filter(({ severity }) => severity === 'refuse');
  const [first] = refused;
  if (first === undefined) return [...findings];
  const more = refused.length === 1 ? '' : ` (and ${refused.length - 1} more)`;
  throw new CountersignError('plan-refused', `${first.rule}: ${first.message}${more}`, {
    details: { rule: first.rule },
  });
}

function standIns({ plan }: Ceremony, role: OneTimeRole): PublicPart[] {
  const planned = plan[role];
  const count = planned !== 'keep' && planned.signers.use === 'one-time' ? planned.signers.keys : 0;
  return Array.from({ length: count }, (_, index) => {
    const key: PublicKey = {
      keytype: 'ed25519',
      scheme: 'ed25519',
      keyval: { public: sha256Hex(`a key that nobody has: ${role} ${index}`) },
    };
    return { keyid: keyId(key), key };
  });
}
