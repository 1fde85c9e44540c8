// What a client of a repository sees now, and what a plain list of statements says it should see.
import { sha256Hex } from '../../src/lib/bytes.ts';
import type { Change, Head } from '../../src/ledger/ledger.ts';
import {
  loadOfflineRoles,
  loadSnapshot,
  loadTimestamp,
  type OfflineRoles,
} from '../../src/publish/verified-reads.ts';
import type { ObjectStore } from '../../src/storage/store.ts';
import type { BinDocument } from '../../src/tuf/bin-document.ts';
import { versionedName } from '../../src/tuf/layout.ts';
import type { TargetFile } from '../../src/tuf/metadata.ts';
import type { SnapshotDocument } from '../../src/tuf/snapshot-document.ts';
import { checkBinPaths, verifyBinFile } from '../../src/tuf/verify-roles.ts';

export interface PublicState {
  readonly timestamp: number;
  readonly snapshot: number;
  readonly binVersions: readonly number[];
  /** Path to `length sha256`, ascending by path. */
  readonly targets: Readonly<Record<string, string>>;
}

/** Follows timestamp, snapshot and every bin, verifying each; throws when anything is missing or wrong. */
export async function publicState(
  store: ObjectStore,
  { history }: { readonly history: { head(): Promise<Head | undefined> } },
): Promise<PublicState> {
  const head = await history.head();
  if (head === undefined) throw new Error('no repository');
  const roles = await loadOfflineRoles(store, head);
  const timestamp = (await loadTimestamp(store, roles))?.envelope.signed;
  if (timestamp === undefined) throw new Error('no timestamp');
  const reference = timestamp.meta['snapshot.json'];
  const file = await store.get(versionedName('snapshot', reference.version), 10_000_000);
  if (file === undefined) throw new Error(`snapshot ${reference.version} is missing`);
  if (file.bytes.length !== reference.length || sha256Hex(file.bytes) !== reference.hashes.sha256) {
    throw new Error(`timestamp ${timestamp.version} does not describe snapshot ${reference.version}`);
  }
  const snapshot = await loadSnapshot(store, roles, reference.version);
  const targets = new Map<string, string>();
  const binVersions: number[] = [];
  for (const index of snapshot.layout.bins) {
    const bin = await readBin(store, roles, snapshot, index);
    checkBinPaths(bin, snapshot.layout, index);
    binVersions.push(bin.version);
    for (const [path, target] of bin.entries()) targets.set(path, describeTarget(target));
  }
  return {
    timestamp: timestamp.version,
    snapshot: snapshot.version,
    binVersions,
    targets: Object.fromEntries([...targets].sort(([a], [b]) => (a < b ? -1 : 1))),
  };
}

export function describeTarget({ length, hashes }: TargetFile): string {
  return `${length} ${hashes.sha256}`;
}

/** The naive catalogue: statements applied one by one. */
export class NaiveCatalogue {
  readonly #targets = new Map<string, TargetFile>();

  /** Applies an event whole, or refuses it whole; false when it was refused. */
  apply(changes: readonly Change[]): boolean {
    const draft = new Map(this.#targets);
    for (const change of changes) {
      const current = draft.get(change.path);
      if (change.op === 'remove') {
        if (current === undefined) return false;
        draft.delete(change.path);
      } else {
        const differs = current !== undefined && JSON.stringify(current) !== JSON.stringify(change.target);
        if (change.op === 'add' && differs) return false;
        draft.set(change.path, change.target);
      }
    }
    this.#targets.clear();
    for (const [path, target] of draft) this.#targets.set(path, target);
    return true;
  }

  get(path: string): TargetFile | undefined {
    return this.#targets.get(path);
  }

  /** As in `PublicState.targets`. */
  listing(): Record<string, string> {
    const pairs = [...this.#targets].sort(([a], [b]) => (a < b ? -1 : 1));
    return Object.fromEntries(pairs.map(([path, target]) => [path, describeTarget(target)]));
  }
}

/** A bin as a client reads it: by its signature and the version that the snapshot names, without the ledger. */
export async function readBin(
  store: ObjectStore,
  roles: OfflineRoles,
  snapshot: SnapshotDocument,
  index: number,
): Promise<BinDocument> {
  const version = snapshot.versionOf(index);
  const file = await store.get(versionedName(snapshot.layout.name(index), version), 10_000_000);
  if (file === undefined) throw new Error(`bin ${index} version ${version} is missing`);
  return verifyBinFile(file.bytes, roles.binTrust, index, version, { now: 0, expiry: 'ignored' });
}
