// The public bins and the online key on their way to another thread of this process: values that can be copied, and made
// whole again there. A key goes as a handle, its bytes are not exported.
import type { KeyObject } from 'node:crypto';
import type { Signers } from '../publish/signers.ts';
import { offlineRoles, type PublishedBins } from '../publish/verified-reads.ts';
import { signerInMemory } from '../signing/file-signer.ts';
import { openFileStore } from '../storage/file-store.ts';
import type { Root, Targets } from '../tuf/metadata.ts';
import { SnapshotDocument } from '../tuf/snapshot-document.ts';

/** The bins that are public, and who signs what follows; without signers they can only be read. */
export interface BinPorts extends PublishedBins {
  readonly signers?: Signers;
}

export interface ThreadBins {
  readonly storeDirectory: string;
  readonly roles: {
    readonly versions: { readonly root: number; readonly targets: number; readonly bins: number };
    readonly root: Root;
    readonly targets: Targets;
    readonly bins: Targets;
  };
  /** The signed part of the snapshot. */
  readonly snapshot: Uint8Array;
  readonly digests: readonly string[];
  readonly keys: readonly KeyObject[];
}

/** Undefined when a key is not in this process. */
export function portable(
  { roles: { versions, root, targets, bins }, snapshot, digests, signers }: BinPorts,
  storeDirectory: string,
): ThreadBins | undefined {
  const keys: KeyObject[] = [];
  for (const signer of [signers?.signer, signers?.nextSigner]) {
    if (signer === undefined) continue;
    if (signer.ownKey === undefined) return undefined;
    keys.push(signer.ownKey);
  }
  const roles = { versions, root, targets, bins };
  return { storeDirectory, roles, snapshot: Uint8Array.from(snapshot.signed), digests, keys };
}

export async function arrived({
  storeDirectory,
  roles,
  snapshot,
  digests,
  keys,
}: ThreadBins): Promise<BinPorts> {
  const [signer, nextSigner] = keys.map((key) => signerInMemory(key));
  return {
    store: await openFileStore(storeDirectory),
    roles: offlineRoles(roles.versions, roles.root, roles.targets, roles.bins),
    snapshot: SnapshotDocument.parse(snapshot),
    digests,
    ...(signer && { signers: { signer, ...(nextSigner && { nextSigner }) } }),
  };
}
