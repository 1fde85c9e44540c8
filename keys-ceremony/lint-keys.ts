// Lint rules about keys and thresholds: PEP 458 "Key management", TUF 4.3, and interop rule 3.
import { createPublicKey } from 'node:crypto';
import { binsTrust, binTrust } from '../src/tuf/delegations.ts';
import { keyId } from '../src/tuf/keys.ts';
import type { PublicKey, RoleKeys } from '../src/tuf/metadata.ts';
import { clientsThatCannotRead } from './client-support.ts';
import { refusal, warning, type Finding } from './finding.ts';
import type { LintSubject } from './lint-subject.ts';
import type { UnusualAlgorithm } from './plan.ts';
import type { Roles } from './propose.ts';

interface NamedRole extends RoleKeys {
  readonly role: string;
  readonly keys: ReadonlyMap<string, PublicKey>;
}

/** The offline roles with their keys. */
export function offlineRoles({ root, targets }: Roles): NamedRole[] {
  return [
    { role: 'root', keys: root.keys, ...root.roles.root },
    { role: 'targets', keys: root.keys, ...root.roles.targets },
    { role: 'bins', ...binsTrust(targets) },
  ];
}

/** The online roles: all of them are signed by the same key. */
export function onlineRoles({ root, bins }: Roles): NamedRole[] {
  return [
    { role: 'timestamp', keys: root.keys, ...root.roles.timestamp },
    { role: 'snapshot', keys: root.keys, ...root.roles.snapshot },
    { role: 'the bins', ...binTrust(bins) },
  ];
}

export function lintKeys(subject: LintSubject): Finding[] {
  return [
    ...thresholds(subject),
    ...identities(subject),
    ...separation(subject),
    ...holders(subject),
    ...algorithms(subject),
    ...reuse(subject),
    ...retiredKeys(subject),
  ];
}

/** TUF 4.3: "threshold … must be reachable": a role that nobody can sign is the end of the repository. */
function thresholds({ after, plan, previous, holders: parts }: LintSubject): Finding[] {
  const found: Finding[] = [];
  for (const { role, keyids, threshold } of [...offlineRoles(after), ...onlineRoles(after)]) {
    if (threshold >= 1 && threshold <= keyids.length) continue;
    found.push(
      refusal('threshold', `${role} needs ${threshold} signatures, but it has ${keyids.length} keys`),
    );
  }
  const { keyids, threshold } = after.root.roles.root;
  if (plan.root !== 'keep') {
    const spare = keyids.length - threshold;
    if (threshold === 1) {
      found.push(
        warning(
          'threshold-one',
          `root has threshold 1: one of its ${keyids.length} keys alone can replace all others`,
        ),
      );
    }
    if (spare === 0) {
      found.push(
        warning(
          'losing-keys',
          `root needs ${threshold} of ${keyids.length} keys: losing 1 of them ends the repository`,
        ),
      );
    }
  }
  if (previous !== undefined && plan.root !== 'keep') {
    const old = previous.root.roles.root;
    const present = parts.filter(({ keyid }) => old.keyids.includes(keyid));
    const leaving = old.threshold - present.length;
    if (leaving > 0) {
      found.push(
        warning(
          'old-threshold',
          `root ${previous.root.version} needs ${old.threshold} of its ${old.keyids.length} keys to approve its ` +
            `successor, holders of this plan have ${present.length}: ${leaving} who ${leaving === 1 ? 'leaves' : 'leave'} ` +
            'must sign too',
        ),
      );
    }
  }
  return found;
}

/** TUF 4.2: a key id is the hash of its key; one key under two ids must never count twice. */
function identities({ after, holders: parts }: LintSubject): Finding[] {
  const found: Finding[] = [];
  for (const { role, keys, keyids } of [...offlineRoles(after), ...onlineRoles(after)]) {
    const values = new Map<string, string>();
    for (const keyid of keyids) {
      const key = keys.get(keyid);
      if (key === undefined) {
        found.push(refusal('key-id', `${role} names the key ${keyid}, which is not among the keys`));
        continue;
      }
      const computed = keyId(key);
      if (computed !== keyid) {
        found.push(refusal('key-id', `${role} has the key ${computed} under the id ${keyid}`));
      }
      const value = publicValue(key);
      const other = values.get(value);
      if (other !== undefined) {
        found.push(refusal('keys-distinct', `${role} counts one key twice, as ${other} and as ${keyid}`));
      }
      values.set(value, keyid);
    }
  }
  const owners = new Map<string, string>();
  for (const { name, key } of parts) {
    const value = publicValue(key);
    const other = owners.get(value);
    if (other !== undefined) {
      found.push(refusal('keys-distinct', `holders ${other} and ${name} have the same key`));
    }
    owners.set(value, name);
  }
  return found;
}

/** PEP 458 "Key management": root, targets and bins are offline; a key that is online protects nothing. */
function separation({ after, previous }: LintSubject): Finding[] {
  const found: Finding[] = [];
  const online = valuesOf(onlineRoles(after));
  const onlineBefore = previous === undefined ? new Map<string, string>() : valuesOf(onlineRoles(previous));
  for (const { role, keys, keyids } of offlineRoles(after)) {
    for (const keyid of keyids) {
      const key = keys.get(keyid);
      if (key === undefined) continue;
      const value = publicValue(key);
      if (online.has(value)) {
        found.push(
          refusal('role-separation', `key ${keyid} is online, but ${role} names it as an offline key`),
        );
      } else if (onlineBefore.has(value)) {
        found.push(
          refusal(
            'role-separation',
            `key ${keyid} was online until now, ${role} would name it as an offline key`,
          ),
        );
      }
    }
  }
  if (previous !== undefined) {
    const offlineBefore = valuesOf(offlineRoles(previous));
    for (const [value, keyid] of online) {
      if (offlineBefore.has(value)) {
        found.push(
          refusal('role-separation', `key ${keyid} was offline until now, it would be an online key`),
        );
      }
    }
  }
  const rootKeys = new Set(after.root.roles.root.keyids);
  for (const { role, keyids } of offlineRoles(after).slice(1)) {
    const shared = keyids.filter((keyid) => rootKeys.has(keyid));
    if (shared.length === 0) continue;
    found.push(
      warning(
        'shared-offline',
        `${shared.length} of the ${keyids.length} keys of ${role} are root keys as well`,
      ),
    );
  }
  return found;
}

function holders({ holders: parts, plan }: LintSubject): Finding[] {
  const found: Finding[] = [];
  const serials = new Map<string, string>();
  for (const { name, serial } of parts) {
    if (serial === undefined) continue;
    const other = serials.get(serial);
    if (other !== undefined) {
      found.push(
        warning(
          'one-holder-two-keys',
          `${other} and ${name} are on one token, ${serial}: whoever has it has two keys`,
        ),
      );
    }
    serials.set(serial, name);
  }
  const signing = new Set([plan.root, plan.targets, plan.bins].flatMap((role) => namesIn(role)));
  for (const { name } of plan.holders) {
    if (!signing.has(name)) found.push(refusal('holder-unused', `holder ${name} signs no role of this plan`));
  }
  return found;
}

function namesIn(role: LintSubject['plan']['root' | 'targets' | 'bins']): readonly string[] {
  if (role === 'keep') return [];
  if (!('signers' in role)) return role.holders;
  return role.signers.use === 'holders' ? role.signers.holders : [];
}

/** Interop rule 3: one unreadable key makes a client refuse the whole root. */
function algorithms({ after, plan }: LintSubject): Finding[] {
  const found: Finding[] = [];
  const seen = new Set<string>();
  const offline = offlineRoles(after);
  for (const { role, keys, keyids } of [...offline, ...onlineRoles(after)]) {
    const mayBeUnusual = offline.some((other) => other.role === role);
    for (const keyid of keyids) {
      const key = keys.get(keyid);
      const clients = key === undefined ? [] : clientsThatCannotRead(key);
      if (key === undefined || clients.length === 0 || seen.has(keyid)) continue;
      seen.add(keyid);
      const problem = `key ${keyid} of ${role} is ${key.scheme}: ${clients.join(' and ')} cannot read it`;
      const name = unusualName(key);
      if (name === undefined || !mayBeUnusual) found.push(refusal('algorithm', problem));
      else if (plan.allowAlgorithms.includes(name)) {
        found.push(warning('algorithm', `${problem}, the plan allows it`));
      } else {
        const way = `where none of them is used, the plan says "allow-algorithms: [${name}]"`;
        found.push(refusal('algorithm', `${problem}; ${way}`));
      }
    }
  }
  return found;
}

/** As `allow-algorithms` names it; undefined for what no plan can allow. */
function unusualName({ scheme }: PublicKey): UnusualAlgorithm | undefined {
  return scheme === 'ecdsa-sha2-nistp384' ? 'ecdsa-p384' : undefined;
}

/** A one-time key that signed before was kept, which is what one-time keys exist to prevent. */
function reuse({ previous, oneTime }: LintSubject): Finding[] {
  if (previous === undefined) return [];
  const before = valuesOf([...offlineRoles(previous), ...onlineRoles(previous)]);
  return [...oneTime.targets, ...oneTime.bins].flatMap(({ keyid, key }) =>
    before.has(publicValue(key))
      ? [refusal('one-time-reused', `one-time key ${keyid} was in use before this ceremony`)]
      : [],
  );
}

function valuesOf(roles: readonly NamedRole[]): Map<string, string> {
  return new Map(
    roles.flatMap(({ keys, keyids }) =>
      keyids.flatMap((keyid) => {
        const key = keys.get(keyid);
        return key === undefined ? [] : [[publicValue(key), keyid] as const];
      }),
    ),
  );
}

/** A key was left out because it was lost, given up or stolen: whoever found it since must not come back in. */
function retiredKeys({ after, retired, previous }: LintSubject): Finding[] {
  const inUse = previous === undefined ? new Map<string, string>() : valuesOf(offlineAndOnline(previous));
  const named = valuesOf(offlineAndOnline(after));
  const found = new Map<string, Finding>();
  for (const { key, leftOutBy } of retired) {
    const keyid = named.get(publicValue(key));
    if (keyid === undefined || inUse.has(publicValue(key))) continue;
    const message = `key ${keyid} was left out by root ${leftOutBy}, and would come back: make a new key instead`;
    found.set(keyid, refusal('key-retired', message));
  }
  return [...found.values()];
}

function offlineAndOnline(roles: Roles): NamedRole[] {
  return [...offlineRoles(roles), ...onlineRoles(roles)];
}

/** The point or the modulus itself: a PEM text can spell one key in several ways, each with a key id of its own. */
function publicValue({ keytype, keyval }: PublicKey): string {
  if (keytype === 'ed25519') return `ed25519 ${keyval.public}`;
  return `spki ${createPublicKey(keyval.public).export({ type: 'spki', format: 'der' }).toString('hex')}`;
}
