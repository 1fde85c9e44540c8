// The store and the online keys on their way to another thread of this process: values that can be copied, and made
// whole again there. A key goes as a handle, its bytes are not exported.
import type { KeyObject } from 'node:crypto';
import { signerInMemory } from '../signing/memory-signer.ts';
import { directCalls } from '../storage/file-calls.ts';
import { openFileStore } from '../storage/file-store.ts';
import type { Root, Targets } from '../tuf/metadata.ts';
import type { BinPorts } from './bin-desk.ts';
import { offlineRoles, type OfflineRoles } from './verified-reads.ts';

export interface ThreadPorts {
  readonly storeDirectory: string;
  readonly roles: {
    readonly versions: OfflineRoles['versions'];
    readonly root: Root;
    readonly targets: Targets;
    readonly bins: Targets;
  };
  readonly keys: readonly KeyObject[];
}

/** `storeDirectory`: of the file store. Undefined when a key is not in this process. */
export function portable({ roles, signers }: BinPorts, storeDirectory: string): ThreadPorts | undefined {
  const keys: KeyObject[] = [];
  for (const signer of [signers?.signer, signers?.nextSigner]) {
    if (signer === undefined) continue;
    if (signer.ownKey === undefined) return undefined;
    keys.push(signer.ownKey);
  }
  const { versions, root, targets, bins } = roles;
  return { storeDirectory, roles: { versions, root, targets, bins }, keys };
}

/** The same ports for the thread that calls this, which makes system calls and signatures itself. */
export async function arrived({ storeDirectory, roles, keys }: ThreadPorts): Promise<BinPorts> {
  const [signer, nextSigner] = keys.map((key) => signerInMemory(key, 'this thread'));
  return {
    store: await openFileStore(storeDirectory, directCalls),
    roles: offlineRoles(roles.versions, roles.root, roles.targets, roles.bins),
    ...(signer && { signers: { signer, ...(nextSigner && { nextSigner }) } }),
  };
}
