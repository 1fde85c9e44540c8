// Who has to sign what. A root that replaces another is signed twice over: by a threshold of the keys of the old root,
// which is why clients believe it, and by a threshold of its own (TUF 5.3.4).
import type { PublicKey } from '../src/tuf/metadata.ts';
import type { RoleTrust } from '../src/tuf/threshold.ts';
import { topLevelTrust } from '../src/tuf/verify-roles.ts';
import type { OfflineRole, Proposal } from './payload.ts';
import { plannedTrust, type ProposalSource } from './propose.ts';
import type { RoleSignature } from './signature-file.ts';

export interface SigningGroup {
  readonly role: OfflineRole;
  /** `keys`, or `old keys` and `new keys` of a root whose keys change. */
  readonly label: string;
  readonly trust: RoleTrust;
}

/** How far a group is. */
export interface GroupProgress extends SigningGroup {
  readonly signed: readonly string[];
  readonly missing: readonly string[];
  readonly complete: boolean;
}

/** The groups that sign with keys of holders; one-time keys have signed before the payload exists. */
export function signingGroups(source: ProposalSource, proposal: Proposal): SigningGroup[] {
  const { plan, previous } = source;
  const groups: SigningGroup[] = [];
  if (proposal.root !== undefined) {
    const now = topLevelTrust(proposal.root, 'root');
    const before = previous && topLevelTrust(previous.root, 'root');
    if (before === undefined || sameTrust(before, now)) {
      groups.push({ role: 'root', label: 'keys', trust: now });
    } else {
      groups.push({ role: 'root', label: 'old keys', trust: before });
      groups.push({ role: 'root', label: 'new keys', trust: now });
    }
  }
  if (plan.targets !== 'keep' && plan.targets.signers.use === 'holders') {
    groups.push({
      role: 'targets',
      label: 'keys',
      trust: plannedTrust(source, 'targets', plan.targets.signers),
    });
  }
  if (plan.bins !== 'keep' && plan.bins.signers.use === 'holders') {
    groups.push({ role: 'bins', label: 'keys', trust: plannedTrust(source, 'bins', plan.bins.signers) });
  }
  return groups;
}

/** The public key of an id in any group of a role. */
export function keyInGroups(
  groups: readonly SigningGroup[],
  role: OfflineRole,
  keyid: string,
): PublicKey | undefined {
  for (const { role: other, trust } of groups) {
    if (other === role && trust.keyids.includes(keyid)) return trust.keys.get(keyid);
  }
  return undefined;
}

/** The roles that a key has to sign. */
export function rolesOfKey(groups: readonly SigningGroup[], keyid: string): OfflineRole[] {
  const roles = groups.filter(({ trust }) => trust.keyids.includes(keyid)).map(({ role }) => role);
  return [...new Set(roles)];
}

/** Counts each key once in each group, by verified signatures. */
export function progressOf(
  groups: readonly SigningGroup[],
  verified: readonly RoleSignature[],
): GroupProgress[] {
  return groups.map((group) => {
    const { keyids, threshold } = group.trust;
    const has = new Set(verified.filter(({ role }) => role === group.role).map(({ keyid }) => keyid));
    const signed = keyids.filter((keyid) => has.has(keyid));
    const missing = keyids.filter((keyid) => !has.has(keyid));
    return { ...group, signed, missing, complete: signed.length >= threshold };
  });
}

/** `root: 2 of 3 old keys have signed, 2 must; 1 of 3 new keys has signed, 2 must`, one text a role. */
export function progressLines(progress: readonly GroupProgress[]): string[] {
  const roles = [...new Set(progress.map(({ role }) => role))];
  return roles.map((role) => {
    const parts = progress
      .filter((group) => group.role === role)
      .map(({ label, signed, trust: { keyids, threshold } }) => {
        const have = signed.length === 1 ? 'has' : 'have';
        return `${signed.length} of ${keyids.length} ${label} ${have} signed, ${threshold} must`;
      });
    return `${role}: ${parts.join('; ')}`;
  });
}

function sameTrust(a: RoleTrust, b: RoleTrust): boolean {
  return (
    a.threshold === b.threshold &&
    a.keyids.length === b.keyids.length &&
    a.keyids.every((keyid) => b.keyids.includes(keyid))
  );
}
