// How many bytes the metadata of an index has, and what a client downloads of it: PEP 458 "Metadata Scalability", for any
// index. The sizes are those of documents that the publisher's own code makes, with as many bins and paths as long.
import { BinDocument } from './bin-document.ts';
import { BinLayout } from './bins.ts';
import { binsPathPatterns, type DelegationFormat } from './delegations.ts';
import { metadataFile } from './metadata-file.ts';
import { MAX_METADATA_BYTES } from './metadata-limits.ts';
import { SPEC_VERSION, type PublicKey, type Targets } from './metadata.ts';
import { serializeTargets, serializeTimestamp } from './serialize.ts';
import { SnapshotDocument } from './snapshot-document.ts';

export interface IndexShape {
  readonly targets: number;
  readonly bins: number;
  readonly format: DelegationFormat;
  /** Bytes of a target path, on average. */
  readonly pathBytes: number;
  /** Of the versions of bins: they are renewed twice a day, so three after two months. */
  readonly versionDigits: number;
}

/** Bytes of each file, uncompressed, with Ed25519 signatures: one of the online key, two of one-time keys. */
export interface MetadataSizes {
  readonly timestamp: number;
  readonly snapshot: number;
  readonly targets: number;
  readonly bins: number;
  /** An average bin. */
  readonly bin: number;
}

const EXPIRES = '2030-01-01T00:00:00Z';
const KEYID = '0'.repeat(64);
const KEY: PublicKey = { keytype: 'ed25519', scheme: 'ed25519', keyval: { public: KEYID } };
const SIGNATURE = { keyid: KEYID, sig: '0'.repeat(128) };
/** Digits of a file's length: a file of some megabytes. */
const LENGTH = 1_234_567;

export function metadataSizes(shape: IndexShape): MetadataSizes {
  const layout = new BinLayout(shape.bins);
  const version = 10 ** (shape.versionDigits - 1);
  const edit = { version: version * 1000, expires: EXPIRES, targetsVersion: 1, binsVersion: 1 };
  const bins = layout.bins.map((bin) => ({ bin, version }));
  const online = (signed: Uint8Array): number => metadataFile(signed, [SIGNATURE]).length;
  const offline = (role: Targets): number =>
    metadataFile(serializeTargets(role), [SIGNATURE, SIGNATURE]).length;
  const snapshot = online(SnapshotDocument.first(layout, { ...edit, bins }).signed);
  const meta = { 'snapshot.json': { version: edit.version, length: snapshot, hashes: { sha256: KEYID } } };
  const timestamp = { _type: 'timestamp', spec_version: SPEC_VERSION, expires: EXPIRES } as const;
  const frame = { _type: 'targets', spec_version: SPEC_VERSION, version: 1, expires: EXPIRES } as const;
  const empty = { ...frame, targets: new Map() };
  const role = {
    name: 'bins',
    terminating: true,
    paths: binsPathPatterns(),
    keyids: [KEYID, KEYID],
    threshold: 2,
  };
  const keys = new Map([[KEYID, KEY]]);
  const twoKeys = new Map([
    [KEYID, KEY],
    [KEYID.replace('0', '1'), KEY],
  ]);
  return {
    timestamp: online(serializeTimestamp({ ...timestamp, version: edit.version, meta })),
    snapshot,
    targets: offline({ ...empty, delegations: { keys: twoKeys, roles: [role] } }),
    bins: offline({
      ...empty,
      delegations:
        shape.format === 'succinct'
          ? { keys, succinct_roles: layout.succinctRoles([KEYID], 1) }
          : { keys, roles: layout.prefixRoles([KEYID], 1) },
    }),
    bin: averageBin(shape, version),
  };
}

function averageBin({ targets, bins, pathBytes }: IndexShape, version: number): number {
  const sizeOf = (count: number): number => {
    const path = (n: number): string => String(n).padStart(Math.round(pathBytes), 'p');
    const target = { length: LENGTH, hashes: { sha256: KEYID } };
    const entries = new Map(Array.from({ length: count }, (_, n) => [path(n), target]));
    const { signed } = BinDocument.empty(version, EXPIRES).edit(entries, version, EXPIRES);
    return metadataFile(signed, [SIGNATURE]).length;
  };
  const entry = sizeOf(2) - sizeOf(1);
  // Between entries stands a comma, and there is none behind the last one.
  const average = targets / bins;
  return Math.round(sizeOf(0) + average * entry - Math.min(1, average));
}

/** What a client downloads to install some packages. */
export interface ClientCost {
  readonly packages: number;
  /** Bins that it needs: two packages may share one. */
  readonly binsRead: number;
  /** Bytes, for a client that has nothing but a root, and for one that was there before the last renewal. */
  readonly newBytes: number;
  readonly returningBytes: number;
}

export function clientCost(sizes: MetadataSizes, bins: number, packages: number): ClientCost {
  const binsRead = bins * (1 - (1 - 1 / bins) ** packages);
  const returningBytes = Math.round(sizes.timestamp + sizes.snapshot + binsRead * sizes.bin);
  return { packages, binsRead, newBytes: returningBytes + sizes.targets + sizes.bins, returningBytes };
}

/** Whether clients read files of these sizes (interop rule 15). A bin may become twice as large as the average one. */
export function isReadable({ snapshot, bins, bin }: MetadataSizes): boolean {
  return (
    snapshot <= MAX_METADATA_BYTES.snapshot &&
    bins <= MAX_METADATA_BYTES.targets &&
    2 * bin <= MAX_METADATA_BYTES.targets
  );
}

/** The number of bins for which a returning client downloads least; undefined: none is readable. */
export function bestBinCount(shape: Omit<IndexShape, 'bins'>, packages: number): number | undefined {
  let best: { readonly bins: number; readonly bytes: number } | undefined;
  for (let bins = 2; bins <= 2 ** 15; bins *= 2) {
    const sizes = metadataSizes({ ...shape, bins });
    const bytes = clientCost(sizes, bins, packages).returningBytes;
    if (isReadable(sizes) && (best === undefined || bytes < best.bytes)) best = { bins, bytes };
  }
  return best?.bins;
}

/** What a day costs the operator of the store. */
export interface DayLoad {
  /** Uploads of one file each, and updates of clients. */
  readonly uploads: number;
  readonly clients: number;
  /** Packages that a client installs in an update. */
  readonly packages: number;
  /** Seconds between two publications at least. */
  readonly intervalSeconds: number;
}

export interface DayCost {
  readonly publications: number;
  readonly writes: number;
  readonly writtenBytes: number;
  readonly reads: number;
  readonly readBytes: number;
}

const DAY_SECONDS = 86_400;
/** A bin is signed again when half of its day is over. */
const RENEWALS_A_DAY = 2;
/** Bins renewed in one publication. */
const RENEWAL_SLICE = 32;

export function dayCost(sizes: MetadataSizes, bins: number, load: DayLoad): DayCost {
  const withUploads = Math.min(load.uploads, DAY_SECONDS / Math.max(1, load.intervalSeconds));
  const renewed = RENEWALS_A_DAY * bins;
  const publications = withUploads + Math.ceil(renewed / RENEWAL_SLICE);
  const perPublication = withUploads === 0 ? 0 : load.uploads / withUploads;
  const touched = withUploads * bins * (1 - (1 - 1 / bins) ** perPublication);
  const { binsRead, returningBytes } = clientCost(sizes, bins, load.packages);
  return {
    publications: Math.round(publications),
    writes: Math.round(renewed + touched + 2 * publications),
    writtenBytes: Math.round(
      (renewed + touched) * sizes.bin + publications * (sizes.snapshot + sizes.timestamp),
    ),
    // Timestamp, snapshot, the question for the next root, and the bins.
    reads: Math.round(load.clients * (3 + binsRead)),
    readBytes: Math.round(load.clients * returningBytes),
  };
}
