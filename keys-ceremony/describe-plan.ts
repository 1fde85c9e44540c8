// A plan in full sentences: what will happen, why, who takes part, and what it asks of each.
import { formatDuration } from '../src/lib/duration.ts';
import { formatExpires } from '../src/tuf/lifetimes.ts';
import { oneTimeRoles, type Ceremony } from './ceremony.ts';
import type { PlannedSigners } from './plan.ts';
import { plannedTrust, type ProposalSource } from './propose.ts';
import { rolesOfKey, type SigningGroup } from './signing-groups.ts';
import { keptForOverlap } from './targets-overlap.ts';

/** Paragraphs, a line each. */
export function describePlan(
  ceremony: Ceremony,
  source: ProposalSource,
  groups: readonly SigningGroup[],
): string[] {
  const { plan, previous } = ceremony;
  const before = previous?.verified.trusted.root.signed.version;
  return [
    plan.kind === 'genesis'
      ? `The ceremony ${plan.ceremony} makes the first root, targets and bins of a repository.`
      : `The ceremony ${plan.ceremony} follows root ${before ?? '?'} of a repository that exists.`,
    `Why: ${plan.why.replace(/\s+/g, ' ')}`,
    `It is held on ${formatExpires(plan.date)}; every expiry counts from then. The next one is planned for ` +
      `${formatExpires(plan.nextCeremony)}.`,
    ...rootSentences(ceremony),
    ...(['targets', 'bins'] as const).map((role) => {
      const planned = plan[role];
      if (planned === 'keep') return `The file ${role} stays as it is.`;
      const form =
        'count' in planned ? ` It delegates to ${planned.count} bins, in the form ${planned.format}.` : '';
      return `A new ${role} lives for ${formatDuration(planned.lifetimeMs)}. ${signersSentence(planned.signers)}${form}`;
    }),
    ...overlapSentences(source),
    onlineSentence(source),
    ...signerSentences(ceremony, groups),
  ];
}

function rootSentences({ plan }: Ceremony): string[] {
  if (plan.root === 'keep') return ['The root stays as it is.'];
  const { holders, threshold, lifetimeMs } = plan.root;
  const spare = holders.length - threshold;
  return [
    `A new root lives for ${formatDuration(lifetimeMs)}. ${threshold} of ${holders.length} holders sign it: ` +
      `${holders.join(', ')}.`,
    `From then on whoever has ${threshold} of these keys can replace everything. ` +
      (spare === 0
        ? 'Losing one of them ends the repository.'
        : `${spare} of them can be lost; losing ${spare + 1} ends the repository.`),
  ];
}

function signersSentence(signers: PlannedSigners): string {
  if (signers.use === 'holders') {
    return `${signers.threshold} of ${signers.holders.length} holders sign it: ${signers.holders.join(', ')}.`;
  }
  const keys = signers.keys === 1 ? '1 key is' : `${signers.keys} keys are`;
  return `${keys} made for it, sign it, and are destroyed in the same moment.`;
}

function overlapSentences(source: ProposalSource): string[] {
  const { plan, previous, targetsSigners } = source;
  if (plan.targets === 'keep' || previous === undefined || !plan.targets.overlap) return [];
  const planned = plannedTrust(source, 'targets', plan.targets.signers);
  const kept = keptForOverlap(planned, { root: previous.root, signers: targetsSigners }).length;
  if (kept === 0) return [];
  const keys = kept === 1 ? 'the key' : `the ${kept} keys`;
  return [
    `The new root also names ${keys} that signed targets ${previous.targets.version}, until the next new targets: ` +
      'a client that reads one file before the import and the other after it does not fail.',
  ];
}

function onlineSentence({ online, previous }: ProposalSource): string {
  const ids = online.map(({ keyid }) => keyid);
  const before = previous?.root.roles.timestamp.keyids ?? [];
  const state = (keyid: string): string =>
    previous === undefined ? '' : before.includes(keyid) ? ' (as before)' : ' (new)';
  const gone = before.filter((keyid) => !ids.includes(keyid));
  return (
    `The service signs with ${ids.map((keyid) => `key ${keyid}${state(keyid)}`).join(' or ')}.` +
    (gone.length === 0 ? '' : ` No longer with ${gone.map((keyid) => `key ${keyid}`).join(' or ')}.`)
  );
}

function signerSentences(ceremony: Ceremony, groups: readonly SigningGroup[]): string[] {
  const lines: string[] = [];
  const once = oneTimeRoles(ceremony.plan);
  if (once.length > 0)
    lines.push(`First one computer runs "one-time", for ${once.join(' and ')}; then "build".`);
  else lines.push('First one computer runs "build".');
  const names = new Map(ceremony.holders.map(({ keyid, name }) => [keyid, name]));
  const keyids = [...new Set(groups.flatMap(({ trust }) => trust.keyids))];
  for (const keyid of keyids) {
    const roles = rolesOfKey(groups, keyid).join(', ');
    lines.push(`${names.get(keyid) ?? `The holder of key ${keyid}, who leaves,`} can sign ${roles}.`);
  }
  for (const { role, label, trust } of groups) {
    lines.push(
      `Needed for ${role}: signatures of ${trust.threshold} of the ${trust.keyids.length} ${label}.`,
    );
  }
  return lines;
}
