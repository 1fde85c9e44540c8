// What the ceremony before left, as answers that change nothing: whoever only presses Enter must not bring back a holder
// who was left out, and not change the number of bins.
import type { DelegationFormat } from '../src/tuf/delegations.ts';
import { FILES, listFolder, MAX_BYTES, readIfPresent, readRequired } from './ceremony-folder.ts';
import { readPreviousBundle } from './load-ceremony.ts';
import { binsForm } from './propose.ts';
import { parseHolderPublicKey, parseOnlinePublicKey } from './public-key-file.ts';

export interface StateBefore {
  /** Version of the last root. */
  readonly root: number;
  readonly threshold: number;
  /** Holders whose keys the last root names, as far as the folder has their public keys. */
  readonly holders: readonly string[];
  /** Ids of the others. */
  readonly unnamed: readonly string[];
  readonly bins: { readonly count: number; readonly format: DelegationFormat };
  /** Files beside the plan with the online keys that the last root names. */
  readonly online: readonly string[];
  /** Ids of those that no file has. */
  readonly onlineUnnamed: readonly string[];
}

/**
 * Reads previous.json and the public keys beside it; undefined when there is no previous.json.
 * @throws CountersignError `ceremony-file-invalid`.
 */
export async function readStateBefore(folder: string): Promise<StateBefore | undefined> {
  const bytes = await readIfPresent(folder, FILES.previous, MAX_BYTES.bundle);
  if (bytes === undefined) return undefined;
  const { root, bins } = (await readPreviousBundle(bytes)).verified.trusted;
  const { keyids, threshold } = root.signed.roles.root;
  const online = await onlineFiles(folder, root.signed.roles.timestamp.keyids);
  const names = new Map<string, string>();
  for (const file of (await listFolder(folder, 'holders')).filter((name) => name.endsWith('.pub.json'))) {
    const where = `holders/${file}`;
    const { keyid, name } = parseHolderPublicKey(
      await readRequired(folder, where, MAX_BYTES.publicKey),
      where,
    );
    if (keyids.includes(keyid)) names.set(keyid, name);
  }
  return {
    root: root.signed.version,
    threshold,
    holders: [...names.values()].sort(),
    unnamed: keyids.filter((keyid) => !names.has(keyid)),
    bins: binsForm(bins.signed),
    online: [...online.values()],
    onlineUnnamed: root.signed.roles.timestamp.keyids.filter((keyid) => !online.has(keyid)),
  };
}

/** Files beside the plan by the key that is in them, of the keys that are asked for, in their order. */
async function onlineFiles(folder: string, keyids: readonly string[]): Promise<ReadonlyMap<string, string>> {
  const files = new Map<string, string>();
  for (const file of (await listFolder(folder, '.')).filter((name) => name.endsWith('.pub.json'))) {
    const { keyid } = parseOnlinePublicKey(await readRequired(folder, file, MAX_BYTES.publicKey), file);
    if (!files.has(keyid)) files.set(keyid, file);
  }
  return new Map(
    keyids.flatMap((keyid) => {
      const file = files.get(keyid);
      return file === undefined ? [] : [[keyid, file] as const];
    }),
  );
}
