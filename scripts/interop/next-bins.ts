// A ceremony on a rehearsed installation that gives it another number of bins: new one-time keys for targets and bins, and a
// root that names them beside those of before.
import { randomBytes } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { CeremonyKey } from '../../keys-ceremony/ceremony-key.ts';
import { nextBinLayout } from '../../src/tuf/bins.ts';
import { parseBundle, serializeBundle } from '../../src/tuf/bundle.ts';
import { binTrust } from '../../src/tuf/delegations.ts';
import type { PublicKey, Root, Targets } from '../../src/tuf/metadata.ts';
import { serializeRoot, serializeTargets } from '../../src/tuf/serialize.ts';
import { holderKey } from './next-root.ts';

/** Holds it in `folder`; the name of the bundle there. */
export async function holdBinsCeremony(folder: string, binCount: number): Promise<string> {
  const bundle = parseBundle(await readFile(path.join(folder, 'bundle.json')));
  const last = bundle.roots.at(-1)?.signed;
  if (last === undefined) throw new Error('a bundle without a root');
  const holders = await Promise.all(['holder-1', 'holder-2'].map((holder) => holderKey(folder, holder)));
  const [targetsKeys, binsKeys] = [await oneTimeKeys(), await oneTimeKeys()];
  const former = last.roles.targets.keyids;
  const root: Root = {
    ...last,
    version: last.version + 1,
    keys: new Map([...last.keys, ...publicKeys(targetsKeys)]),
    roles: {
      ...last.roles,
      targets: {
        keyids: [...former, ...targetsKeys.map(({ keyid }) => keyid)],
        threshold: targetsKeys.length,
      },
    },
  };
  const before = bundle.targets.signed;
  const targets: Targets = {
    ...before,
    version: before.version + 1,
    delegations: {
      keys: publicKeys(binsKeys),
      roles: (before.delegations?.roles ?? []).map((role) => ({
        ...role,
        keyids: binsKeys.map(({ keyid }) => keyid),
        threshold: binsKeys.length,
      })),
    },
  };
  const { layout, keyids } = binTrust(bundle.bins.signed);
  const next = nextBinLayout(layout, binCount);
  const bins: Targets = {
    ...bundle.bins.signed,
    version: bundle.bins.signed.version + 1,
    delegations: {
      keys: bundle.bins.signed.delegations?.keys ?? new Map(),
      succinct_roles: next.succinctRoles(keyids, 1),
    },
  };
  const signed = serializeBundle({
    roots: [...bundle.roots, await sign(root, serializeRoot(root), holders)],
    targets: await sign(targets, serializeTargets(targets), targetsKeys),
    bins: await sign(bins, serializeTargets(bins), binsKeys),
  });
  const name = `bundle-${binCount}.json`;
  await writeFile(path.join(folder, name), signed);
  return name;
}

async function oneTimeKeys(): Promise<CeremonyKey[]> {
  const one = (): Promise<CeremonyKey> => CeremonyKey.generate((count) => randomBytes(count));
  return [await one(), await one()];
}

function publicKeys(keys: readonly CeremonyKey[]): Map<string, PublicKey> {
  return new Map(keys.map(({ keyid, publicKey }) => [keyid, publicKey]));
}

async function sign<T>(signed: T, signedBytes: Uint8Array, keys: readonly CeremonyKey[]) {
  return { signed, signedBytes, signatures: await Promise.all(keys.map((key) => key.sign(signedBytes))) };
}
