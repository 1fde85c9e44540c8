// Lint rules about what changes from one ceremony to the next, and what clients do when it does.
import type { BinLayout } from '../src/tuf/bins.ts';
import { binsTrust, binTrust } from '../src/tuf/delegations.ts';
import { MAX_METADATA_BYTES } from '../src/tuf/metadata-limits.ts';
import type { RoleKeys } from '../src/tuf/metadata.ts';
import { refusal, warning, type Finding } from './finding.ts';
import type { LintSubject } from './lint-subject.ts';
import { binsForm } from './propose.ts';

/** Bytes of one signature in a file, key id and punctuation included: the longest kind, RSA with 4,096 bits. */
const SIGNATURE_BYTES = 1_200;

export function lintChanges(subject: LintSubject): Finding[] {
  return [...kept(subject), ...sizes(subject), ...online(subject), ...bins(subject)];
}

/** A file that stays as it is must still be signed by the keys that its delegator names, and name the right ones. */
function kept({ plan, after, online: keys, oneTime, holders }: LintSubject): Finding[] {
  const found: Finding[] = [];
  const onlineIds = keys.map(({ keyid }) => keyid);
  if (plan.root === 'keep') {
    if (!sameIds(after.root.roles.timestamp.keyids, onlineIds)) {
      found.push(
        refusal('root-keep', 'root is kept, but the online keys change: only root can name the new ones'),
      );
    }
    if (plan.targets !== 'keep') {
      const { signers } = plan.targets;
      const wanted =
        signers.use === 'one-time'
          ? oneTime.targets.map(({ keyid }) => keyid)
          : holders.filter(({ name }) => signers.holders.includes(name)).map(({ keyid }) => keyid);
      const threshold = signers.use === 'one-time' ? signers.keys : signers.threshold;
      if (!sameRole(after.root.roles.targets, { keyids: wanted, threshold })) {
        found.push(
          refusal(
            'root-keep',
            'root is kept, but the keys of targets change: only root can name the new ones',
          ),
        );
      }
    }
  }
  if (plan.targets === 'keep' && plan.bins !== 'keep') {
    const { signers } = plan.bins;
    const wanted =
      signers.use === 'one-time'
        ? oneTime.bins.map(({ keyid }) => keyid)
        : holders.filter(({ name }) => signers.holders.includes(name)).map(({ keyid }) => keyid);
    const threshold = signers.use === 'one-time' ? signers.keys : signers.threshold;
    if (!sameRole(binsTrust(after.targets), { keyids: wanted, threshold })) {
      found.push(
        refusal(
          'targets-keep',
          'targets is kept, but the keys of bins change: only targets can name the new ones',
        ),
      );
    }
  }
  if (plan.bins === 'keep' && !sameIds(binTrust(after.bins).keyids, onlineIds)) {
    found.push(
      refusal('bins-keep', 'bins is kept, but the online keys change: bins has to name the new ones'),
    );
  }
  return found;
}

/** Interop rule 15: the sizes at which clients stop reading. */
function sizes({ signedBytes, after, previous }: LintSubject): Finding[] {
  const signers = {
    root: after.root.roles.root.keyids.length + (previous?.root.roles.root.keyids.length ?? 0),
    targets: after.root.roles.targets.keyids.length,
    bins: binsTrust(after.targets).keyids.length,
  };
  return [...signedBytes].flatMap(([role, bytes]) => {
    const length = bytes.length + signers[role] * SIGNATURE_BYTES;
    const limit = role === 'root' ? MAX_METADATA_BYTES.root : MAX_METADATA_BYTES.targets;
    return length <= limit
      ? []
      : [refusal('size', `${role} would have up to ${length} bytes, clients read at most ${limit}`)];
  });
}

function online({ after, previous, online: keys }: LintSubject): Finding[] {
  const found: Finding[] = [];
  if (keys.length === 2) {
    found.push(
      warning(
        'online-two',
        'two online keys are trusted: each of them alone can sign until another ceremony removes one',
      ),
    );
  }
  if (previous === undefined) return found;
  const before = previous.root.roles.timestamp.keyids;
  const now = after.root.roles.timestamp.keyids;
  if (!before.some((keyid) => now.includes(keyid))) {
    found.push(
      warning(
        'online-overlap',
        'the online key changes without overlap: from the import on nothing that the old key signed is accepted; ' +
          'right after a compromise, otherwise take two ceremonies',
      ),
    );
  }
  return found;
}

function bins({ after, previous, proposal }: LintSubject): Finding[] {
  if (previous === undefined || proposal.bins === undefined) return [];
  const found: Finding[] = [];
  const before = binsForm(previous.bins);
  const now = binsForm(after.bins);
  if (before.format !== now.format) {
    const clients = now.format === 'succinct' ? 'tough cannot read it' : 'go-tuf up to 2.4.2 cannot read it';
    found.push(
      warning('bins-format', `bins are delegated as ${now.format} (was ${before.format}): ${clients}`),
    );
  }
  const layouts = [binTrust(previous.bins).layout, binTrust(after.bins).layout] as const;
  if (!layouts[0].isSame(layouts[1])) {
    const names = `${layouts[1].prefix}-… instead of ${layouts[0].prefix}-…`;
    found.push(
      warning(
        'bins-count',
        `there are ${now.count} bins (was ${before.count}), named ${names}: the import writes all of them before it ` +
          'publishes this role, and every client reads its bins anew',
      ),
    );
    found.push(...onlineKeyOfBins(...layouts, after, previous));
  }
  return found;
}

/** New bins are written while the ones of before are read: one online key must be good for both. */
function onlineKeyOfBins(
  { count: before }: BinLayout,
  { count }: BinLayout,
  after: LintSubject['after'],
  previous: NonNullable<LintSubject['previous']>,
): Finding[] {
  const now = binTrust(after.bins).keyids;
  if (binTrust(previous.bins).keyids.some((keyid) => now.includes(keyid))) return [];
  return [
    refusal(
      'bins-key',
      `${count} bins instead of ${before}, and another online key for them: take two ceremonies, one for the bins and one ` +
        'for the key',
    ),
  ];
}

function sameRole(a: RoleKeys, b: RoleKeys): boolean {
  return a.threshold === b.threshold && sameIds(a.keyids, b.keyids);
}

function sameIds(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.every((keyid) => b.includes(keyid));
}
