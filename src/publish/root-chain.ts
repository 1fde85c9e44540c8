// Every root that a store holds, each signed as its predecessor says: what a client does who has been away since the
// first one.
import { equalBytes } from '../lib/bytes.ts';
import { CountersignError } from '../lib/errors.ts';
import type { ObjectStore } from '../storage/store.ts';
import type { Envelope } from '../tuf/envelope.ts';
import { versionedName } from '../tuf/layout.ts';
import { MAX_METADATA_BYTES, MAX_ROOT_ROTATIONS } from '../tuf/metadata-limits.ts';
import type { Root } from '../tuf/metadata.ts';
import { parseRoot } from '../tuf/parse-root.ts';
import { verifyEnvelope } from '../tuf/threshold.ts';
import { topLevelTrust, verifyNextRoot } from '../tuf/verify-roles.ts';

export interface RootInStore {
  readonly name: string;
  readonly bytes: Uint8Array;
  readonly root: Root;
}

/**
 * Reads the roots from version 1 on, ascending.
 * @param trusted A root that somebody trusts: the store must hold the same, and no other of that version.
 * @throws CountersignError `metadata-missing`, `metadata-invalid`, `signature-invalid`, `version-rollback`.
 */
export async function readRootChain(
  store: Pick<ObjectStore, 'get'>,
  trusted?: Envelope<Root>,
): Promise<RootInStore[]> {
  const chain: RootInStore[] = [];
  // TUF 5.3.2, 5.3.3: one version after the other, until there is no next one.
  for (let version = 1; version <= MAX_ROOT_ROTATIONS; version++) {
    const name = versionedName('root', version);
    const bytes = (await store.get(name, MAX_METADATA_BYTES.root))?.bytes;
    if (bytes === undefined) break;
    const envelope = parseRoot(bytes);
    const before = chain.at(-1)?.root;
    if (before === undefined) await verifyEnvelope('root', topLevelTrust(envelope.signed, 'root'), envelope);
    else await verifyNextRoot(before, envelope);
    if (envelope.signed.version !== version) {
      throw new CountersignError('metadata-invalid', `${name} holds root version ${envelope.signed.version}`);
    }
    if (trusted?.signed.version === version && !equalBytes(trusted.signedBytes, envelope.signedBytes)) {
      throw new CountersignError(
        'metadata-invalid',
        `${name} is not the root of version ${version} that is trusted`,
      );
    }
    chain.push({ name, bytes, root: envelope.signed });
  }
  const wanted = Math.max(1, trusted?.signed.version ?? 1);
  if (chain.length < wanted) {
    const missing = versionedName('root', chain.length + 1);
    throw new CountersignError('metadata-missing', `${missing} is not in the store`);
  }
  return chain;
}
