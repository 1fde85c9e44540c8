// The ceremonies after the first one, for tests: what a bundle is built on, and what it changes.
import type { Signer } from '../../src/signing/signer.ts';
import { nextBinLayout } from '../../src/tuf/bins.ts';
import { serializeBundle, type Bundle } from '../../src/tuf/bundle.ts';
import { binTrust, type DelegationFormat } from '../../src/tuf/delegations.ts';
import type { Envelope } from '../../src/tuf/envelope.ts';
import { formatExpires } from '../../src/tuf/lifetimes.ts';
import type { PublicKey, Root, Targets } from '../../src/tuf/metadata.ts';
import { serializeRoot, serializeTargets } from '../../src/tuf/serialize.ts';
import type { CeremonyKey } from '../../keys-ceremony/ceremony-key.ts';
import { DAY_MS } from './genesis-repository.ts';
import type { OfflineKeys } from './repository.ts';

export interface NextCeremony {
  /** Milliseconds since the epoch; what is signed expires a year later. */
  readonly now: number;
  /** The online keys afterwards; both while one replaces the other. */
  readonly online: readonly Signer[];
  /** Default true each: which files get a new version. */
  readonly root?: boolean;
  readonly targets?: boolean;
  readonly bins?: boolean;
  /** Keys of targets and bins from now on; those of before by default. */
  readonly offlineKeys?: Pick<OfflineKeys, 'targets' | 'bins'>;
  /** Keeps the targets keys of before in root beside the new ones. */
  readonly targetsOverlap?: boolean;
  /** Default: the count of before. */
  readonly binCount?: number;
  /** Default: that of before. */
  readonly format?: DelegationFormat;
}

/** Holds a ceremony on top of `previous`, whose root keys are in `keys`. */
export async function nextBundle(
  previous: Bundle,
  keys: OfflineKeys,
  ceremony: NextCeremony,
): Promise<Bundle> {
  const { targets: targetsKeys, bins: binsKeys } = ceremony.offlineKeys ?? keys;
  const root = previous.roots.at(-1)?.signed;
  if (root === undefined) throw new Error('a bundle without a root');
  const expires = formatExpires(ceremony.now + 365 * DAY_MS);
  const online = { keyids: ceremony.online.map(({ keyid }) => keyid), threshold: 1 };
  const onlineKeys = new Map(ceremony.online.map(({ keyid, publicKey }) => [keyid, publicKey]));
  const former = ceremony.targetsOverlap === true ? keys.targets : [];
  const allTargets = [...targetsKeys, ...former.filter((key) => !targetsKeys.includes(key))];
  const nextRoot: Root = {
    ...root,
    version: root.version + 1,
    expires,
    keys: new Map([...publicKeys(keys.root), ...publicKeys(allTargets), ...onlineKeys]),
    roles: {
      ...root.roles,
      targets: { keyids: allTargets.map(({ keyid }) => keyid), threshold: targetsKeys.length },
      timestamp: online,
      snapshot: online,
    },
  };
  const targets = previous.targets.signed;
  const nextTargets: Targets = {
    ...targets,
    version: targets.version + 1,
    expires,
    delegations: {
      keys: publicKeys(binsKeys),
      roles: (targets.delegations?.roles ?? []).map((role) => ({
        ...role,
        keyids: binsKeys.map(({ keyid }) => keyid),
        threshold: binsKeys.length,
      })),
    },
  };
  const bins = previous.bins.signed;
  const { layout, format: before } = binTrust(bins);
  const format = ceremony.format ?? before;
  const nextLayout = nextBinLayout(layout, ceremony.binCount ?? layout.count);
  const nextBins: Targets = {
    ...bins,
    version: bins.version + 1,
    expires,
    delegations:
      format === 'succinct'
        ? { keys: onlineKeys, succinct_roles: nextLayout.succinctRoles(online.keyids, 1) }
        : { keys: onlineKeys, roles: nextLayout.prefixRoles(online.keyids, 1) },
  };
  return {
    roots:
      ceremony.root === false
        ? previous.roots
        : [...previous.roots, await sign(nextRoot, serializeRoot(nextRoot), keys.root)],
    targets:
      ceremony.targets === false
        ? previous.targets
        : await sign(nextTargets, serializeTargets(nextTargets), targetsKeys),
    bins:
      ceremony.bins === false ? previous.bins : await sign(nextBins, serializeTargets(nextBins), binsKeys),
  };
}

/** A bundle as it is ordered. */
export function bundleText(bundle: Bundle): string {
  return serializeBundle(bundle).toString('utf8');
}

async function sign<T>(
  signed: T,
  signedBytes: Uint8Array,
  keys: readonly CeremonyKey[],
): Promise<Envelope<T>> {
  return { signed, signedBytes, signatures: await Promise.all(keys.map((key) => key.sign(signedBytes))) };
}

function publicKeys(keys: readonly CeremonyKey[]): Map<string, PublicKey> {
  return new Map(keys.map(({ keyid, publicKey }) => [keyid, publicKey]));
}
