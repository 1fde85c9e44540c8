// Reading the store, which is not trusted: nothing leaves this module that did not verify against the root in the
// ledger. Whoever can write to the bucket must not be able to launder a change through our key (docs/trust.md).
import { sha256Hex } from '../lib/bytes.ts';
import { CountersignError, FatalError, hasCode, messageOf } from '../lib/errors.ts';
import type { Head } from '../ledger/ledger.ts';
import type { ObjectStore, VersionToken } from '../storage/store.ts';
import { BinDocument, type BinOutline } from '../tuf/bin-document.ts';
import type { BinLayout } from '../tuf/bins.ts';
import { binsTrust, binTrust, type BinsTrust } from '../tuf/delegations.ts';
import type { Envelope } from '../tuf/envelope.ts';
import { TIMESTAMP_NAME, versionedName } from '../tuf/layout.ts';
import { splitMetadataFile } from '../tuf/metadata-file.ts';
import { MAX_METADATA_BYTES } from '../tuf/metadata-limits.ts';
import type { Root, Targets, Timestamp } from '../tuf/metadata.ts';
import { parseRoot } from '../tuf/parse-root.ts';
import { parseTargets } from '../tuf/parse-targets.ts';
import { parseTimestamp } from '../tuf/parse-timestamp.ts';
import type { SnapshotDocument } from '../tuf/snapshot-document.ts';
import { verifyEnvelope, type RoleTrust } from '../tuf/threshold.ts';
import { checkVersion, topLevelTrust, verifySnapshotFile } from '../tuf/verify-roles.ts';

/** The offline roles of a repository, verified down from the root that the ledger holds. */
export interface OfflineRoles {
  readonly versions: Head['roles'];
  readonly root: Root;
  readonly targets: Targets;
  readonly bins: Targets;
  readonly targetsTrust: RoleTrust;
  readonly binsTrust: RoleTrust;
  readonly snapshotTrust: RoleTrust;
  readonly timestampTrust: RoleTrust;
  readonly binTrust: BinsTrust;
}

/**
 * Reads the offline roles of what is public: those that the head names, or, while an import is being carried out, those
 * that it replaces. Errors as `loadSnapshot`.
 */
export async function loadOfflineRoles(store: ObjectStore, head: Head): Promise<OfflineRoles> {
  const { trustedRoot, roles } = head.unfinished?.replaces ?? head;
  const root = parseRoot(Buffer.from(trustedRoot)).signed;
  const targetsBytes = await read(store, versionedName('targets', roles.targets));
  const targets = await verifyEnvelope('targets', topLevelTrust(root, 'targets'), parseTargets(targetsBytes));
  checkVersion('targets', targets.signed.version, roles.targets);
  const binsBytes = await read(store, versionedName('bins', roles.bins));
  const bins = await verifyEnvelope('bins', binsTrust(targets.signed), parseTargets(binsBytes));
  checkVersion('bins', bins.signed.version, roles.bins);
  return offlineRoles(roles, root, targets.signed, bins.signed);
}

/** Puts roles together that were verified already (a ceremony's bundle). */
export function offlineRoles(
  versions: Head['roles'],
  root: Root,
  targets: Targets,
  bins: Targets,
): OfflineRoles {
  return {
    versions,
    root,
    targets,
    bins,
    targetsTrust: topLevelTrust(root, 'targets'),
    binsTrust: binsTrust(targets),
    snapshotTrust: topLevelTrust(root, 'snapshot'),
    timestampTrust: topLevelTrust(root, 'timestamp'),
    binTrust: binTrust(bins),
  };
}

/**
 * Reads one version of the snapshot.
 * @throws CountersignError `metadata-missing`, `metadata-invalid`, `signature-invalid`, `store-unavailable`.
 */
export async function loadSnapshot(
  store: ObjectStore,
  roles: OfflineRoles,
  version: number,
): Promise<SnapshotDocument> {
  const bytes = await read(store, versionedName('snapshot', version), MAX_METADATA_BYTES.snapshot);
  const snapshot = await verifySnapshotFile(bytes, roles.snapshotTrust);
  checkVersion('snapshot', snapshot.version, version);
  return snapshot;
}

/** The file that a bin must be: the version that the snapshot names, and the SHA-256 that the ledger has. */
export interface PublicBin {
  readonly bin: number;
  readonly version: number;
  readonly sha256: string;
}

/** The bins of a snapshot, and what they must be. */
export interface PublicBins {
  readonly roles: OfflineRoles;
  readonly snapshot: SnapshotDocument;
  /** SHA-256 of each bin's file, as the ledger has them, from the first bin of the layout on. */
  readonly digests: readonly string[];
}

export function publicBin(
  { snapshot, digests }: Pick<PublicBins, 'snapshot' | 'digests'>,
  bin: number,
): PublicBin {
  const sha256 = digests[bin - snapshot.layout.first] ?? 'none';
  return { bin, version: snapshot.versionOf(bin), sha256 };
}

/**
 * Reads a bin in the version that the snapshot names. Its file must be, to the byte, the one whose signature was
 * verified when it was written. (The signature alone would not do: a bin does not name its role, and all bins have one
 * key, so another bin of the same version verifies in its place.) `outline`: of the same bin, when it was read before.
 * @throws CountersignError `bin-altered` when it is missing or something else; `store-unavailable`.
 */
export async function loadBin(
  store: ObjectStore,
  layout: BinLayout,
  { bin: index, version, sha256 }: PublicBin,
  outline?: BinOutline,
): Promise<BinDocument> {
  const role = layout.name(index);
  const name = versionedName(role, version);
  try {
    const bytes = await read(store, name);
    const digest = sha256Hex(bytes);
    if (digest !== sha256) {
      throw new CountersignError(
        'length-or-hash-mismatch',
        `its sha256 is ${digest}, the ledger says ${sha256}`,
      );
    }
    const { signed } = splitMetadataFile(bytes);
    const bin = outline === undefined ? BinDocument.parse(signed) : BinDocument.again(signed, outline);
    checkVersion(role, bin.version, version);
    return bin;
  } catch (error) {
    if (hasCode(error, 'store-unavailable') || !(error instanceof CountersignError)) throw error;
    throw new CountersignError(
      'bin-altered',
      `${name} in the store is not what was published (${messageOf(error)}); ` +
        'it is not re-signed, and events for this bin wait until the object is restored',
      { cause: error, details: { object: name } },
    );
  }
}

/** Bins as they are public, each read and verified when it is asked for. */
export type BaseDocument = (bin: number) => Promise<BinDocument>;

/** What `timestamp.json` in the store says, if it verifies, and the token to replace it with. */
export interface PublicTimestamp {
  readonly token: VersionToken;
  readonly envelope: Envelope<Timestamp>;
}

/**
 * Reads the public timestamp; undefined when there is none.
 * @throws FatalError `timestamp-conflict` when it does not verify: somebody else wrote it.
 */
export async function loadTimestamp(
  store: ObjectStore,
  roles: Pick<OfflineRoles, 'timestampTrust'>,
): Promise<PublicTimestamp | undefined> {
  try {
    const object = await store.get(TIMESTAMP_NAME, MAX_METADATA_BYTES.timestamp);
    if (object === undefined) return undefined;
    const envelope = await verifyEnvelope('timestamp', roles.timestampTrust, parseTimestamp(object.bytes));
    return { token: object.token, envelope };
  } catch (error) {
    if (hasCode(error, 'store-unavailable') || !(error instanceof CountersignError)) throw error;
    throw new FatalError(
      'timestamp-conflict',
      `${TIMESTAMP_NAME} in the store was not made by this service: ${messageOf(error)}`,
      { cause: error },
    );
  }
}

async function read(
  store: ObjectStore,
  name: string,
  maxBytes: number = MAX_METADATA_BYTES.targets,
): Promise<Uint8Array> {
  const object = await store.get(name, maxBytes);
  if (object === undefined) throw new CountersignError('metadata-missing', `${name} is not in the store`);
  return object.bytes;
}
