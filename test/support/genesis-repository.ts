// A small signed repository in memory, made by the ceremony's own code with a counter for randomness: the same keys and
// bytes on every run. Tests corrupt it.
import { createHash } from 'node:crypto';
import { CeremonyKey } from '../../keys-ceremony/ceremony-key.ts';
import { signGenesis } from '../../keys-ceremony/genesis.ts';
import { sha256Hex } from '../../src/lib/bytes.ts';
import { BinDocument } from '../../src/tuf/bin-document.ts';
import { BinLayout } from '../../src/tuf/bins.ts';
import type { Bundle } from '../../src/tuf/bundle.ts';
import type { DelegationFormat } from '../../src/tuf/delegations.ts';
import { envelopeFile } from '../../src/tuf/envelope.ts';
import { formatExpires } from '../../src/tuf/lifetimes.ts';
import { metadataFile } from '../../src/tuf/metadata-file.ts';
import { SPEC_VERSION, type Root, type Targets } from '../../src/tuf/metadata.ts';
import { serializeRoot, serializeTargets, serializeTimestamp } from '../../src/tuf/serialize.ts';
import { SnapshotDocument } from '../../src/tuf/snapshot-document.ts';

export const DAY_MS = 86_400_000;
/** 2026-01-01T00:00:00Z */
export const NOW = 1_767_225_600_000;

export async function testKey(name: string): Promise<CeremonyKey> {
  return CeremonyKey.generate(() => createHash('sha256').update(name).digest());
}

export interface GenesisRepository {
  readonly root: readonly CeremonyKey[];
  readonly targets: readonly CeremonyKey[];
  readonly bins: readonly CeremonyKey[];
  readonly online: CeremonyKey;
  readonly layout: BinLayout;
  readonly bundle: Bundle;
}

export async function genesisRepository(
  binCount = 4,
  format: DelegationFormat = 'succinct',
): Promise<GenesisRepository> {
  const several = (role: string, count: number): Promise<CeremonyKey[]> =>
    Promise.all(Array.from({ length: count }, (_, index) => testKey(`${role} ${index}`)));
  const root = await several('root', 3);
  const targets = await several('targets', 2);
  const bins = await several('bins', 2);
  const online = await testKey('online');
  const layout = new BinLayout(binCount);
  const expires = NOW + 365 * DAY_MS;
  const bundle = await signGenesis({
    rootKeys: root,
    rootThreshold: 2,
    targetsKeys: targets,
    binsKeys: bins,
    onlineKey: online.publicKey,
    onlineKeyid: online.keyid,
    layout,
    format,
    expires: { root: expires, targets: expires, bins: expires },
  });
  return { root, targets, bins, online, layout, bundle };
}

export async function signed(bytes: Uint8Array, ...keys: readonly CeremonyKey[]): Promise<Buffer> {
  return metadataFile(bytes, await Promise.all(keys.map((key) => key.sign(bytes))));
}

/** A signed root like `root` with some fields changed. */
export function rootFile(root: Root, change: Partial<Root>, keys: readonly CeremonyKey[]): Promise<Buffer> {
  return signed(serializeRoot({ ...root, ...change }), ...keys);
}

/** A signed targets or bins file like `targets` with some fields changed. */
export function targetsFile(
  targets: Targets,
  change: Partial<Targets>,
  keys: readonly CeremonyKey[],
): Promise<Buffer> {
  return signed(serializeTargets({ ...targets, ...change }), ...keys);
}

export interface OnlineVersions {
  readonly timestamp?: number;
  readonly snapshot?: number;
  readonly targets?: number;
  readonly bins?: number;
  readonly bin?: readonly { readonly bin: number; readonly version: number }[];
  readonly layout?: BinLayout;
  /** Milliseconds after NOW. */
  readonly timestampExpires?: number;
  readonly snapshotExpires?: number;
}

export interface OnlineFiles {
  readonly timestamp: Buffer;
  readonly snapshot: Buffer;
}

/** A timestamp and the snapshot it names. */
export async function onlineFiles(
  { online, layout }: Pick<GenesisRepository, 'online' | 'layout'>,
  versions: OnlineVersions = {},
): Promise<OnlineFiles> {
  const snapshotVersion = versions.snapshot ?? 1;
  const document = SnapshotDocument.first(versions.layout ?? layout, {
    version: snapshotVersion,
    expires: formatExpires(NOW + (versions.snapshotExpires ?? DAY_MS)),
    targetsVersion: versions.targets ?? 1,
    binsVersion: versions.bins ?? 1,
    bins: versions.bin ?? [],
  });
  const snapshot = await signed(document.signed, online);
  return { snapshot, timestamp: await timestampFile(snapshot, snapshotVersion, versions, [online]) };
}

export function timestampFile(
  snapshot: Uint8Array,
  snapshotVersion: number,
  versions: OnlineVersions,
  keys: readonly CeremonyKey[],
): Promise<Buffer> {
  const reference = {
    version: snapshotVersion,
    length: snapshot.length,
    hashes: { sha256: sha256Hex(snapshot) },
  };
  const bytes = serializeTimestamp({
    _type: 'timestamp',
    spec_version: SPEC_VERSION,
    version: versions.timestamp ?? snapshotVersion,
    expires: formatExpires(NOW + (versions.timestampExpires ?? DAY_MS)),
    meta: { 'snapshot.json': reference },
  });
  return signed(bytes, ...keys);
}

/** A bin file that lists the paths given, each with some hash. */
export function binFile(
  paths: readonly string[],
  version: number,
  expires: number,
  keys: readonly CeremonyKey[],
): Promise<Buffer> {
  const edits = new Map(
    paths.map((path) => [path, { length: 1, hashes: { sha256: sha256Hex(path) } }] as const),
  );
  const bin = BinDocument.empty(version, formatExpires(expires)).edit(edits, version, formatExpires(expires));
  return signed(bin.signed, ...keys);
}

/** The files of the first bundle as they are published. */
export function bundleFiles({ roots, targets, bins }: Bundle): {
  root: Buffer;
  targets: Buffer;
  bins: Buffer;
} {
  const [root] = roots;
  if (root === undefined) throw new Error('bundle without a root');
  return { root: envelopeFile(root), targets: envelopeFile(targets), bins: envelopeFile(bins) };
}
