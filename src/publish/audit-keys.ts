// Who could have signed a file: every key of an online role that a root or a bins file of the store names.
import { CountersignError } from '../lib/errors.ts';
import type { ObjectStore } from '../storage/store.ts';
import { binTrust } from '../tuf/delegations.ts';
import { parseVersionedName } from '../tuf/layout.ts';
import { splitMetadataFile } from '../tuf/metadata-file.ts';
import { MAX_METADATA_BYTES } from '../tuf/metadata-limits.ts';
import { parseRoot } from '../tuf/parse-root.ts';
import { parseBins } from '../tuf/parse-targets.ts';
import { verifyThreshold, type RoleTrust } from '../tuf/threshold.ts';
import { topLevelTrust } from '../tuf/verify-roles.ts';

export class OnlineKeys {
  readonly #trusts: RoleTrust[] = [];

  static async read(store: Pick<ObjectStore, 'get'>, names: ReadonlySet<string>): Promise<OnlineKeys> {
    const keys = new OnlineKeys();
    for (const name of names) {
      const role = parseVersionedName(name)?.role;
      if (role !== 'root' && role !== 'bins') continue;
      const object = await store.get(name, MAX_METADATA_BYTES.targets);
      if (object === undefined) continue;
      try {
        if (role === 'bins') keys.#trusts.push(binTrust(parseBins(object.bytes).signed));
        else {
          const { signed } = parseRoot(object.bytes);
          keys.#trusts.push(topLevelTrust(signed, 'timestamp'), topLevelTrust(signed, 'snapshot'));
        }
      } catch (error) {
        // Not ours to judge: fsck names it.
        if (!(error instanceof CountersignError)) throw error;
      }
    }
    return keys;
  }

  /** Ids of the online keys whose signatures on this file are valid. */
  async validOn(name: string, bytes: Uint8Array): Promise<string[]> {
    let file: ReturnType<typeof splitMetadataFile>;
    try {
      file = splitMetadataFile(bytes);
    } catch {
      return [];
    }
    const valid = new Set<string>();
    for (const { keys, keyids } of this.#trusts) {
      for (const { keyid } of file.signatures) {
        if (valid.has(keyid) || !keyids.includes(keyid)) continue;
        const role = { keyids: [keyid], threshold: 1 };
        const holds = await verifyThreshold(name, keys, role, file.signed, file.signatures).then(
          () => true,
          () => false,
        );
        if (holds) valid.add(keyid);
      }
    }
    return [...valid];
  }
}
