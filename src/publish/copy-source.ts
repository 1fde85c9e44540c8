// The source of a copy, as it is at one timestamp: everything that it answers was verified as a client would verify it,
// but for expiry: a service that stood still can be moved.
import { sha256Hex } from '../lib/bytes.ts';
import { CountersignError, hasCode } from '../lib/errors.ts';
import type { BinState } from '../ledger/ledger.ts';
import type { ObjectStore } from '../storage/store.ts';
import { MAX_PAGE_BYTES } from '../simple/project-page.ts';
import type { BinDocument } from '../tuf/bin-document.ts';
import { binsTrust, binTrust, type BinsTrust } from '../tuf/delegations.ts';
import type { Envelope } from '../tuf/envelope.ts';
import { TARGETS_PREFIX, targetObjectName, TIMESTAMP_NAME, versionedName } from '../tuf/layout.ts';
import { MAX_METADATA_BYTES } from '../tuf/metadata-limits.ts';
import type { TargetFile, Targets, Timestamp } from '../tuf/metadata.ts';
import { parseRoot } from '../tuf/parse-root.ts';
import { parseTargets } from '../tuf/parse-targets.ts';
import { parseTimestamp } from '../tuf/parse-timestamp.ts';
import type { SnapshotDocument } from '../tuf/snapshot-document.ts';
import { verifyEnvelope, type RoleTrust } from '../tuf/threshold.ts';
import {
  checkBinPaths,
  checkSnapshotBytes,
  checkVersion,
  topLevelTrust,
  verifyBinFile,
  verifySnapshotFile,
} from '../tuf/verify-roles.ts';
import { readRootChain, type RootInStore } from './root-chain.ts';

export interface CopySourcePorts {
  readonly from: Pick<ObjectStore, 'get' | 'list'>;
  /** A root file that somebody trusts; the roots in the source must lead to it. */
  readonly trustedRoot?: Uint8Array;
  /** What the ledger of the source says of the bins of its head. Without it, two bins of one version may be exchanged. */
  readonly ledgerBins?: { readonly snapshot: number; readonly bins: ReadonlyMap<number, BinState> };
}

export interface NamedFile {
  readonly name: string;
  readonly bytes: Uint8Array;
}

export interface OfflineFiles {
  readonly trust: BinsTrust;
  readonly files: readonly NamedFile[];
}

export interface TimestampFile {
  readonly bytes: Uint8Array;
  readonly envelope: Envelope<Timestamp>;
}

export class CopySource {
  readonly roots: readonly RootInStore[];
  readonly timestamp: TimestampFile;
  readonly #ports: CopySourcePorts;
  readonly #offline = new Map<string, OfflineFiles>();

  private constructor(ports: CopySourcePorts, roots: readonly RootInStore[], timestamp: TimestampFile) {
    this.#ports = ports;
    this.roots = roots;
    this.timestamp = timestamp;
  }

  static async read(ports: CopySourcePorts): Promise<CopySource> {
    const trusted = ports.trustedRoot && parseRoot(ports.trustedRoot);
    const object = await ports.from.get(TIMESTAMP_NAME, MAX_METADATA_BYTES.timestamp);
    const roots = await readRootChain(ports.from, trusted);
    const newest = roots.at(-1)?.root;
    if (object === undefined || newest === undefined) throw missing(TIMESTAMP_NAME);
    const trust = topLevelTrust(newest, 'timestamp');
    const envelope = await verifyEnvelope('timestamp', trust, parseTimestamp(object.bytes));
    return new CopySource(ports, roots, { bytes: object.bytes, envelope });
  }

  /** What timestamp says of the current snapshot. */
  get reference(): Timestamp['meta']['snapshot.json'] {
    return this.timestamp.envelope.signed.meta['snapshot.json'];
  }

  /** Who may have signed a timestamp that is public somewhere, the newest first. */
  get timestampTrusts(): RoleTrust[] {
    return this.roots.map(({ root }) => topLevelTrust(root, 'timestamp')).reverse();
  }

  /** Whether a snapshot is there at this moment. */
  async holds(version: number): Promise<boolean> {
    const name = versionedName('snapshot', version);
    return (await this.#ports.from.get(name, MAX_METADATA_BYTES.snapshot)) !== undefined;
  }

  async snapshot(version: number): Promise<{ bytes: Uint8Array; snapshot: SnapshotDocument }> {
    const bytes = await this.#read(versionedName('snapshot', version), MAX_METADATA_BYTES.snapshot);
    if (version === this.reference.version) checkSnapshotBytes(bytes, this.reference);
    const snapshot = await this.#byAnyRoot('snapshot', (trust) => verifySnapshotFile(bytes, trust));
    checkVersion('snapshot', snapshot.version, version);
    return { bytes, snapshot };
  }

  /** The targets and bins roles that a snapshot names. */
  async offlineRoles({ targetsVersion, binsVersion }: SnapshotDocument): Promise<OfflineFiles> {
    const key = `${targetsVersion} ${binsVersion}`;
    const known = this.#offline.get(key);
    if (known !== undefined) return known;
    const read = async (
      role: string,
      version: number,
    ): Promise<NamedFile & { envelope: Envelope<Targets> }> => {
      const name = versionedName(role, version);
      const bytes = await this.#read(name, MAX_METADATA_BYTES.targets);
      const envelope = parseTargets(bytes);
      checkVersion(role, envelope.signed.version, version);
      return { name, bytes, envelope };
    };
    const targets = await read('targets', targetsVersion);
    await this.#byAnyRoot('targets', (trust) => verifyEnvelope('targets', trust, targets.envelope));
    const bins = await read('bins', binsVersion);
    await verifyEnvelope('bins', binsTrust(targets.envelope.signed), bins.envelope);
    const found = { trust: binTrust(bins.envelope.signed), files: [targets, bins] };
    this.#offline.set(key, found);
    return found;
  }

  /** A bin of the current layout, or of one that is being prepared: the same key signs them. */
  async bin(
    snapshot: SnapshotDocument,
    current: BinsTrust,
    index: number,
  ): Promise<NamedFile & { readonly bin: BinDocument }> {
    const version = snapshot.versionOf(index);
    const trust = { ...current, layout: snapshot.layoutOf(index) };
    const name = versionedName(trust.layout.name(index), version);
    const bytes = await this.#read(name, MAX_METADATA_BYTES.targets);
    const bin = await verifyBinFile(bytes, trust, index, version, { now: 0, expiry: 'ignored' });
    checkBinPaths(bin, trust.layout, index);
    const { ledgerBins } = this.#ports;
    const known = ledgerBins?.snapshot === snapshot.version ? ledgerBins.bins.get(index) : undefined;
    if (known !== undefined && (known.version !== version || known.sha256 !== sha256Hex(bytes))) {
      throw new CountersignError(
        'length-or-hash-mismatch',
        `${name} has sha256 ${sha256Hex(bytes)}, the ledger says version ${known.version} with sha256 ${known.sha256}`,
      );
    }
    return { name, bytes, bin };
  }

  /** Whether the store has pages of a simple index. */
  async hasPages(): Promise<boolean> {
    const pages = this.#ports.from.list(`${TARGETS_PREFIX}simple/`)[Symbol.asyncIterator]();
    const first = await pages.next();
    await pages.return?.();
    return first.done !== true;
  }

  /**
   * A page of the simple index that was rendered into this store; undefined when it is not here: then the index brought
   * it itself, and it lies where its files lie.
   * @throws CountersignError `length-or-hash-mismatch`.
   */
  async page(path: string, { length, hashes }: TargetFile): Promise<NamedFile | undefined> {
    const name = targetObjectName(path, hashes.sha256);
    const object = await this.#ports.from.get(name, MAX_PAGE_BYTES);
    if (object === undefined) return undefined;
    const actual = sha256Hex(object.bytes);
    if (actual === hashes.sha256 && object.bytes.length === length) return { name, bytes: object.bytes };
    throw new CountersignError(
      'length-or-hash-mismatch',
      `${name} has ${object.bytes.length} bytes with sha256 ${actual}, its bin says ${length} bytes`,
    );
  }

  /** An older snapshot may be from the time of an older root. */
  async #byAnyRoot<T>(role: 'snapshot' | 'targets', verify: (trust: RoleTrust) => Promise<T>): Promise<T> {
    let newest: unknown;
    for (const { root } of this.roots.toReversed()) {
      try {
        return await verify(topLevelTrust(root, role));
      } catch (error) {
        if (!hasCode(error, 'signature-invalid')) throw error;
        newest ??= error;
      }
    }
    throw newest;
  }

  async #read(name: string, maxBytes: number): Promise<Uint8Array> {
    const object = await this.#ports.from.get(name, maxBytes);
    if (object === undefined) throw missing(name);
    return object.bytes;
  }
}

/** The timestamp at this moment, not verified. */
export async function readTimestamp(from: CopySourcePorts['from']): Promise<Envelope<Timestamp> | undefined> {
  const object = await from.get(TIMESTAMP_NAME, MAX_METADATA_BYTES.timestamp);
  return object && parseTimestamp(object.bytes);
}

function missing(name: string): CountersignError {
  return new CountersignError('metadata-missing', `${name} is not in the source`);
}
