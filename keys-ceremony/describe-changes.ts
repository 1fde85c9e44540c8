// What a ceremony changes, in words: what each signer reads before signing, and compares with what was agreed.
import { parseExpires } from '../src/tuf/lifetimes.ts';
import type { BinLayout } from '../src/tuf/bins.ts';
import { binTrust } from '../src/tuf/delegations.ts';
import type { RoleKeys } from '../src/tuf/metadata.ts';
import { offlineRoles } from './lint-keys.ts';
import { OFFLINE_ROLES, type OfflineRole, type Proposal } from './payload.ts';
import { binsForm, plannedTrust, rolesAfter, type ProposalSource, type Roles } from './propose.ts';

const DAY_MS = 86_400_000;

/** Lines without line ends; those that belong to a role are indented below it. */
export function describeChanges(source: ProposalSource, proposal: Proposal): string[] {
  const { previous } = source;
  const after = rolesAfter(source, proposal);
  const names = new Map(source.holders.map(({ keyid, name }) => [keyid, name]));
  return OFFLINE_ROLES.flatMap((role) => {
    if (proposal[role] === undefined) {
      const { version, expires } = after[role];
      return [`${role} stays at version ${version}, ${expiry(expires, source.plan.date)}`];
    }
    return [
      headline(role, after, previous, source.plan.date),
      ...keyLines(role, after, previous, names, source).map((line) => `  ${line}`),
      ...(role === 'root'
        ? onlineLines('timestamp and snapshot', rootOnline(after), previous && rootOnline(previous))
        : []),
      ...(role === 'bins' ? binsLines(after, previous) : []),
    ];
  });
}

function headline(role: OfflineRole, after: Roles, previous: Roles | undefined, date: number): string {
  const { version, expires } = after[role];
  const was = previous?.[role];
  const before = was === undefined ? 'new' : `was ${was.version}`;
  const old = was === undefined ? '' : ` (was ${was.expires})`;
  return `${role} ${version} (${before}), ${expiry(expires, date)}${old}`;
}

function expiry(expires: string, date: number): string {
  const days = Math.round((parseExpires(expires) - date) / DAY_MS);
  return `expires ${expires}, ${days} ${Math.abs(days) === 1 ? 'day' : 'days'} after the ceremony`;
}

function keyLines(
  role: OfflineRole,
  after: Roles,
  previous: Roles | undefined,
  names: ReadonlyMap<string, string>,
  source: ProposalSource,
): string[] {
  const { oneTime } = source;
  const of = (roles: Roles): RoleKeys | undefined =>
    offlineRoles(roles).find((offline) => offline.role === role);
  const now = of(after);
  const was = previous && of(previous);
  if (now === undefined) return [];
  const once = new Set([...oneTime.targets, ...oneTime.bins].map(({ keyid }) => keyid));
  const label = (keyid: string): string => {
    const name = names.get(keyid);
    if (name !== undefined) return `${name}, key ${keyid}`;
    return once.has(keyid) ? `one-time key ${keyid}` : `key ${keyid}`;
  };
  const kept = role === 'targets' ? keptKeys(now, source) : [];
  const fresh = now.keyids.filter((keyid) => !kept.includes(keyid));
  return [
    `signed by ${thresholdWords(now, was)}`,
    ...keyDifference(
      fresh,
      was?.keyids.filter((keyid) => !kept.includes(keyid)),
      label,
    ),
    ...kept.map(
      (keyid) => `~ kept    key ${keyid}, which signed targets ${previous?.targets.version ?? '?'}`,
    ),
    ...(kept.length === 0
      ? []
      : ['          so that no client fails between root and targets; the next new targets ends it']),
  ];
}

/** The keys of the targets before that root goes on naming, though none of them signs any more. */
function keptKeys({ keyids }: RoleKeys, source: ProposalSource): string[] {
  const { plan, targetsSigners } = source;
  if (plan.targets === 'keep') return [];
  const planned = plannedTrust(source, 'targets', plan.targets.signers).keyids;
  return keyids.filter((keyid) => targetsSigners.includes(keyid) && !planned.includes(keyid));
}

/** `2 of 3 keys (was 2 of 4)`. */
function thresholdWords({ keyids, threshold }: RoleKeys, was: RoleKeys | undefined): string {
  const now = `${threshold} of ${keyids.length} ${keyids.length === 1 ? 'key' : 'keys'}`;
  if (was === undefined) return now;
  const same = was.threshold === threshold && was.keyids.length === keyids.length;
  return `${now} (${same ? 'as before' : `was ${was.threshold} of ${was.keyids.length}`})`;
}

function keyDifference(
  now: readonly string[],
  was: readonly string[] | undefined,
  label: (keyid: string) => string,
): string[] {
  return [
    ...now.map((keyid) => `${was?.includes(keyid) === true ? '  stays  ' : '+ added  '}${label(keyid)}`),
    ...(was ?? []).filter((keyid) => !now.includes(keyid)).map((keyid) => `- removed ${label(keyid)}`),
  ];
}

function rootOnline({ root }: Roles): RoleKeys {
  return root.roles.timestamp;
}

function onlineLines(what: string, now: RoleKeys, was: RoleKeys | undefined): string[] {
  return [
    `  ${what} are signed online by ${now.keyids.length === 1 ? 'one key' : `one of ${now.keyids.length} keys`}`,
    ...keyDifference(now.keyids, was?.keyids, (keyid) => `online key ${keyid}`).map((line) => `  ${line}`),
  ];
}

function binsLines(after: Roles, previous: Roles | undefined): string[] {
  const now = binsForm(after.bins);
  const was = previous && binsForm(previous.bins);
  const same = was?.count === now.count && was.format === now.format;
  const before =
    was === undefined ? '' : same ? ' (as before)' : ` (was ${was.count}, in the form ${was.format})`;
  return [
    `  delegates to ${now.count} bins, in the form ${now.format}${before}`,
    ...(previous === undefined
      ? []
      : layoutLines(binTrust(after.bins).layout, binTrust(previous.bins).layout)),
    ...onlineLines('the bins', binTrust(after.bins), previous && binTrust(previous.bins)),
  ];
}

/** New bins have new names: what is read aloud must say which. */
function layoutLines(now: BinLayout, was: BinLayout): string[] {
  if (now.isSame(was)) return [];
  const ends = ({ first, count }: BinLayout): readonly [number, number] => [first, first + count - 1];
  const [names, former] = [now, was].map((layout) =>
    ends(layout)
      .map((bin) => layout.name(bin))
      .join(' to '),
  );
  return [`  the bins are ${names ?? ''}; ${former ?? ''} are written no longer and stay in the snapshot`];
}
