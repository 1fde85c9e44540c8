// The first root, targets and bins of a repository: who signs what, for how long (docs/bundle-format.md).
import type { BinLayout } from '../src/tuf/bins.ts';
import type { Bundle } from '../src/tuf/bundle.ts';
import { binsPathPatterns, type DelegationFormat } from '../src/tuf/delegations.ts';
import type { Envelope } from '../src/tuf/envelope.ts';
import { formatExpires } from '../src/tuf/lifetimes.ts';
import { SPEC_VERSION, type PublicKey, type RoleKeys, type Root, type Targets } from '../src/tuf/metadata.ts';
import { serializeRoot, serializeTargets } from '../src/tuf/serialize.ts';
import type { CeremonyKey } from './ceremony-key.ts';

export interface GenesisPlan {
  /** Root keys, one a holder, and how many of them must sign. */
  readonly rootKeys: readonly CeremonyKey[];
  readonly rootThreshold: number;
  /** One-time keys; all of them sign. */
  readonly targetsKeys: readonly CeremonyKey[];
  readonly binsKeys: readonly CeremonyKey[];
  /** Signs timestamp, snapshot and the bins from now on. Only its public part is used here. */
  readonly onlineKey: PublicKey;
  readonly onlineKeyid: string;
  readonly layout: BinLayout;
  readonly format: DelegationFormat;
  /** Milliseconds since the epoch. */
  readonly expires: { readonly root: number; readonly targets: number; readonly bins: number };
}

/** Builds and signs version 1 of root, targets and bins. Every holder signs root, not only a threshold of them. */
export async function signGenesis(plan: GenesisPlan): Promise<Bundle> {
  const root = genesisRoot(plan);
  const targets = genesisTargets(plan);
  const bins = genesisBins(plan);
  return {
    roots: [await sign(root, serializeRoot(root), plan.rootKeys)],
    targets: await sign(targets, serializeTargets(targets), plan.targetsKeys),
    bins: await sign(bins, serializeTargets(bins), plan.binsKeys),
  };
}

async function sign<T>(
  signed: T,
  signedBytes: Uint8Array,
  keys: readonly CeremonyKey[],
): Promise<Envelope<T>> {
  return { signed, signedBytes, signatures: await Promise.all(keys.map((key) => key.sign(signedBytes))) };
}

function genesisRoot(plan: GenesisPlan): Root {
  const online: RoleKeys = { keyids: [plan.onlineKeyid], threshold: 1 };
  return {
    _type: 'root',
    spec_version: SPEC_VERSION,
    consistent_snapshot: true,
    version: 1,
    expires: formatExpires(plan.expires.root),
    keys: new Map([
      ...publicKeys(plan.rootKeys),
      ...publicKeys(plan.targetsKeys),
      [plan.onlineKeyid, plan.onlineKey],
    ]),
    roles: {
      root: { ...allOf(plan.rootKeys), threshold: plan.rootThreshold },
      targets: allOf(plan.targetsKeys),
      snapshot: online,
      timestamp: online,
    },
  };
}

function genesisTargets(plan: GenesisPlan): Targets {
  const role = { name: 'bins', terminating: true, paths: binsPathPatterns(), ...allOf(plan.binsKeys) };
  return {
    _type: 'targets',
    spec_version: SPEC_VERSION,
    version: 1,
    expires: formatExpires(plan.expires.targets),
    targets: new Map(),
    delegations: { keys: publicKeys(plan.binsKeys), roles: [role] },
  };
}

function genesisBins({ layout, format, onlineKeyid, onlineKey, expires }: GenesisPlan): Targets {
  const keys = new Map([[onlineKeyid, onlineKey]]);
  return {
    _type: 'targets',
    spec_version: SPEC_VERSION,
    version: 1,
    expires: formatExpires(expires.bins),
    targets: new Map(),
    delegations:
      format === 'succinct'
        ? { keys, succinct_roles: layout.succinctRoles([onlineKeyid], 1) }
        : { keys, roles: layout.prefixRoles([onlineKeyid], 1) },
  };
}

function publicKeys(keys: readonly CeremonyKey[]): ReadonlyMap<string, PublicKey> {
  return new Map(keys.map(({ keyid, publicKey }) => [keyid, publicKey]));
}

function allOf(keys: readonly CeremonyKey[]): RoleKeys {
  return { keyids: keys.map(({ keyid }) => keyid), threshold: keys.length };
}
