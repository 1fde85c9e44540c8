// From a plan to the roles that it asks for: root, targets and bins as they would be signed. Pure; whether it is wise is
// for the lint rules to say.
import { BinLayout, nextBinLayout } from '../src/tuf/bins.ts';
import { binsPathPatterns, binsTrust, binTrust, type DelegationFormat } from '../src/tuf/delegations.ts';
import { formatExpires } from '../src/tuf/lifetimes.ts';
import { SPEC_VERSION, type PublicKey, type RoleKeys, type Root, type Targets } from '../src/tuf/metadata.ts';
import type { RoleTrust } from '../src/tuf/threshold.ts';
import { CountersignError } from '../src/lib/errors.ts';
import type { Plan, PlannedBins, PlannedRoot, PlannedSigners, PlannedTargets } from './plan.ts';
import type { Proposal } from './payload.ts';
import type { HolderPublicKey, PublicPart } from './public-key-file.ts';
import { withOverlap } from './targets-overlap.ts';

/** The offline roles that are in force before a ceremony. */
export interface Roles {
  readonly root: Root;
  readonly targets: Targets;
  readonly bins: Targets;
}

/** A key that a root named and a later one left out. */
export interface RetiredKey {
  readonly key: PublicKey;
  /** Version of the root that left it out. */
  readonly leftOutBy: number;
}

/** Everything that a proposal follows from. */
export interface ProposalSource {
  readonly plan: Plan;
  /** Absent in a genesis. */
  readonly previous?: Roles;
  /** Ids of the keys that signed the targets before; none in a genesis. */
  readonly targetsSigners: readonly string[];
  readonly retired: readonly RetiredKey[];
  /** In the order of the plan. */
  readonly holders: readonly HolderPublicKey[];
  readonly online: readonly PublicPart[];
  readonly oneTime: Readonly<Record<'targets' | 'bins', readonly PublicPart[]>>;
}

/** Root, targets and bins as they are after the ceremony: what it makes anew, and what it keeps. */
export function rolesAfter({ previous }: Pick<ProposalSource, 'previous'>, proposal: Proposal): Roles {
  const { root = previous?.root, targets = previous?.targets, bins = previous?.bins } = proposal;
  if (root === undefined || targets === undefined || bins === undefined) {
    throw new CountersignError('internal', 'a ceremony without a previous one keeps a role');
  }
  return { root, targets, bins };
}

export function propose(source: ProposalSource): Proposal {
  const { root, targets, bins } = source.plan;
  return {
    ...(root === 'keep' ? {} : { root: proposeRoot(source, root) }),
    ...(targets === 'keep' ? {} : { targets: proposeTargets(source, targets) }),
    ...(bins === 'keep' ? {} : { bins: proposeBins(source, bins) }),
  };
}

function proposeRoot(source: ProposalSource, planned: PlannedRoot): Root {
  const { plan, previous, online } = source;
  const holders = { parts: named(source, planned.holders), threshold: planned.threshold };
  const targets = targetsKeys(source);
  const root = trust(holders);
  const service = trust({ parts: online, threshold: 1 });
  return {
    _type: 'root',
    spec_version: SPEC_VERSION,
    consistent_snapshot: true,
    version: (previous?.root.version ?? 0) + 1,
    expires: formatExpires(plan.date + planned.lifetimeMs),
    keys: new Map([...used(root), ...used(targets), ...used(service)]),
    roles: {
      root: keysOf(root),
      targets: keysOf(targets),
      snapshot: keysOf(service),
      timestamp: keysOf(service),
    },
  };
}

/** Who signs targets under the new root, those of before included as long as clients may hold the old file. */
function targetsKeys(source: ProposalSource): RoleTrust {
  const { plan, previous, targetsSigners } = source;
  if (plan.targets === 'keep') return trustOf(previous?.root.keys, previous?.root.roles.targets);
  const planned = plannedTrust(source, 'targets', plan.targets.signers);
  if (previous === undefined || !plan.targets.overlap) return planned;
  return withOverlap(planned, { root: previous.root, signers: targetsSigners });
}

function proposeTargets(source: ProposalSource, planned: PlannedTargets): Targets {
  const { plan, previous } = source;
  const bins =
    plan.bins === 'keep'
      ? previous && binsTrust(previous.targets)
      : plannedTrust(source, 'bins', plan.bins.signers);
  if (bins === undefined) throw new CountersignError('internal', 'a genesis keeps bins');
  const role = { name: 'bins', terminating: true, paths: binsPathPatterns(), ...keysOf(bins) };
  return {
    ...frame(source, 'targets', planned.lifetimeMs),
    delegations: { keys: used(bins), roles: [role] },
  };
}

function proposeBins(source: ProposalSource, planned: PlannedBins): Targets {
  const keys = new Map(source.online.map(({ keyid, key }) => [keyid, key]));
  const before = source.previous && binTrust(source.previous.bins).layout;
  const layout = before === undefined ? new BinLayout(planned.count) : nextBinLayout(before, planned.count);
  const keyids = source.online.map(({ keyid }) => keyid);
  return {
    ...frame(source, 'bins', planned.lifetimeMs),
    delegations:
      planned.format === 'succinct'
        ? { keys, succinct_roles: layout.succinctRoles(keyids, 1) }
        : { keys, roles: layout.prefixRoles(keyids, 1) },
  };
}

function frame({ plan, previous }: ProposalSource, role: 'targets' | 'bins', lifetimeMs: number): Targets {
  return {
    _type: 'targets',
    spec_version: SPEC_VERSION,
    version: (previous?.[role].version ?? 0) + 1,
    expires: formatExpires(plan.date + lifetimeMs),
    targets: new Map(),
  };
}

interface Signers {
  readonly parts: readonly PublicPart[];
  readonly threshold: number;
}

/** The keys that the plan itself names for targets or bins, and how many of them sign. */
export function plannedTrust(
  source: ProposalSource,
  role: 'targets' | 'bins',
  planned: PlannedSigners,
): RoleTrust {
  return trust(signers(source, role, planned));
}

/** PEP 458 "Key management": one-time keys all sign, none of them is there a second time. */
function signers(source: ProposalSource, role: 'targets' | 'bins', planned: PlannedSigners): Signers {
  if (planned.use === 'holders') {
    return { parts: named(source, planned.holders), threshold: planned.threshold };
  }
  return { parts: source.oneTime[role], threshold: planned.keys };
}

function named({ holders }: ProposalSource, names: readonly string[]): HolderPublicKey[] {
  return holders.filter(({ name }) => names.includes(name));
}

function trust({ parts, threshold }: Signers): RoleTrust {
  return {
    keys: new Map(parts.map(({ keyid, key }) => [keyid, key])),
    keyids: parts.map(({ keyid }) => keyid),
    threshold,
  };
}

function trustOf(keys: ReadonlyMap<string, PublicKey> | undefined, role: RoleKeys | undefined): RoleTrust {
  if (keys === undefined || role === undefined) throw new CountersignError('internal', 'nothing to keep');
  return { keys, ...role };
}

function keysOf({ keyids, threshold }: RoleKeys): RoleKeys {
  return { keyids, threshold };
}

/** Only the keys that the role names: root carries no others. */
function used({ keys, keyids }: RoleTrust): Map<string, PublicKey> {
  return new Map(
    keyids.flatMap((keyid) => {
      const key = keys.get(keyid);
      return key === undefined ? [] : [[keyid, key] as const];
    }),
  );
}

/** How many bins there are and how they are delegated. */
export function binsForm(bins: Targets): { readonly count: number; readonly format: DelegationFormat } {
  const { layout, format } = binTrust(bins);
  return { count: layout.count, format };
}
