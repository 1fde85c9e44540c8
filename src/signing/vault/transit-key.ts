// A key of Vault's transit engine: its versions with their public keys, the one to sign with, and a new one.
import { createPublicKey } from 'node:crypto';
import { CountersignError } from '../../lib/errors.ts';
import { keyId, publicKeyOf } from '../../tuf/keys.ts';
import type { PublicKey } from '../../tuf/metadata.ts';
import type { KeyAlgorithm } from '../key-file.ts';
import type { VaultClient } from './client.ts';
import { field } from './failures.ts';

export interface TransitKeyName {
  /** Where the engine is mounted: `transit`. */
  readonly mount: string;
  readonly key: string;
}

export interface TransitVersion {
  readonly version: number;
  readonly keyid: string;
  readonly publicKey: PublicKey;
}

const DER_PREFIX = Buffer.from('302a300506032b6570032100', 'hex');

/**
 * The versions of a key that the server still has, newest first.
 * @throws CountersignError `signer-unavailable`; `config-invalid` when the key is of a kind that cannot be used.
 */
export async function readVersions(client: VaultClient, name: TransitKeyName): Promise<TransitVersion[]> {
  return versionsOf(await client.read(keyPath(name)), name);
}

/**
 * The wanted version; without one that which the repository trusts, or the newest when it trusts none of them, or is
 * not known yet.
 * @throws CountersignError `config-invalid` when the server does not have the wanted version.
 */
export function chooseVersion(
  versions: readonly TransitVersion[],
  { wanted, trusted = [] }: { readonly wanted?: number | undefined; readonly trusted?: readonly string[] },
): TransitVersion {
  const chosen =
    wanted === undefined
      ? (versions.find(({ keyid }) => trusted.includes(keyid)) ?? versions[0])
      : versions.find(({ version }) => version === wanted);
  if (chosen !== undefined) return chosen;
  const found = versions.map(({ version }) => version).join(', ');
  throw new CountersignError(
    'config-invalid',
    `the transit key has no version ${wanted ?? 1}; it has ${found === '' ? 'none' : found}`,
  );
}

/**
 * Makes a key that cannot be exported.
 * @throws CountersignError `file-exists` when there is one of this name.
 */
export async function generateTransitKey(
  client: VaultClient,
  name: TransitKeyName,
  algorithm: KeyAlgorithm,
): Promise<TransitVersion> {
  const path = keyPath(name);
  // Asked first: creating a key that exists is no error for Vault.
  if ((await client.find(path)) !== undefined) {
    throw new CountersignError(
      'file-exists',
      `vault ${client.address} has a key ${name.mount}/${name.key} already`,
    );
  }
  await client.write(path, { type: algorithm, exportable: false, allow_plaintext_backup: false });
  return chooseVersion(await readVersions(client, name), {});
}

function keyPath({ mount, key }: TransitKeyName): string {
  return `${mount}/keys/${key}`;
}

function versionsOf(answer: unknown, { mount, key }: TransitKeyName): TransitVersion[] {
  const data = field(answer, 'data');
  const type = field(data, 'type');
  const refuse = (problem: string): CountersignError =>
    new CountersignError('config-invalid', `transit key ${mount}/${key} ${problem}`);
  if (type !== 'ed25519' && type !== 'ecdsa-p256') {
    throw refuse(`is of type ${JSON.stringify(type)}, expected ed25519 or ecdsa-p256`);
  }
  if (field(data, 'derived') === true) throw refuse('is derived: every context would be another key');
  const keys = field(data, 'keys');
  const versions = Object.entries(typeof keys === 'object' && keys !== null ? keys : {}).map(
    ([text, entry]: [string, unknown]): TransitVersion => {
      const version = Number(text);
      const value = field(entry, 'public_key');
      if (!Number.isSafeInteger(version) || typeof value !== 'string') {
        throw refuse(`has no public key for version ${JSON.stringify(text)}`);
      }
      const publicKey = publicKeyFrom(type, value, () =>
        refuse(`has a public key that is none, version ${text}`),
      );
      return { version, keyid: keyId(publicKey), publicKey };
    },
  );
  if (versions.length === 0) throw refuse('has no versions');
  return versions.sort((a, b) => b.version - a.version);
}

function publicKeyFrom(type: KeyAlgorithm, value: string, refusal: () => CountersignError): PublicKey {
  try {
    const key =
      type === 'ed25519'
        ? createPublicKey({
            key: Buffer.concat([DER_PREFIX, Buffer.from(value, 'base64')]),
            format: 'der',
            type: 'spki',
          })
        : createPublicKey(value);
    const publicKey = publicKeyOf(key);
    if ((publicKey.keytype === 'ed25519') === (type === 'ed25519')) return publicKey;
  } catch {
    // Said below.
  }
  throw refusal();
}
