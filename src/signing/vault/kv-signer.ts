// The signer whose key lies in Vault's key-value engine: read once into this process, then used like a key file. Faster
// than transit, and the key is in the memory of the service (docs/trust.md).
import { createPrivateKey, type KeyObject } from 'node:crypto';
import type { Clock } from '../../lib/clock.ts';
import { CountersignError, messageOf } from '../../lib/errors.ts';
import { decryptPrivateKey, MAX_KEY_FILE_BYTES } from '../../lib/passphrase-file.ts';
import { signerInMemory } from '../memory-signer.ts';
import type { Signer } from '../signer.ts';
import { VaultClient } from './client.ts';
import { field } from './failures.ts';
import type { SecretReader, VaultSettings } from './settings.ts';

export interface KvSecretName {
  readonly mount: string;
  readonly path: string;
  readonly field: string;
  /** Version of the key-value engine. */
  readonly engine: 1 | 2;
}

export interface KvOptions {
  readonly settings: VaultSettings;
  readonly name: KvSecretName;
  readonly clock: Clock;
  /** Asked for only when the key is encrypted. */
  readonly passphrase: SecretReader;
}

/** @throws CountersignError `signer-unavailable`; `secret-unreadable` that names the secret, never what is in it. */
export async function openKvSigner({ settings, name, clock, passphrase }: KvOptions): Promise<Signer> {
  const where = `vault ${settings.address}: ${name.mount}/${name.path}, field ${name.field},`;
  const text = await readField(settings, name, clock);
  if (text === undefined) {
    throw new CountersignError('secret-unreadable', `${where} is not there, or is not text`);
  }
  try {
    return signerInMemory(await privateKeyIn(text, passphrase));
  } catch (error) {
    throw new CountersignError('secret-unreadable', `${where} cannot be used: ${messageOf(error)}`);
  }
}

/** The server is asked once: a token that ends afterwards does no harm. */
async function readField(
  settings: VaultSettings,
  name: KvSecretName,
  clock: Clock,
): Promise<string | undefined> {
  const client = new VaultClient(settings, clock);
  try {
    const path = name.engine === 2 ? `${name.mount}/data/${name.path}` : `${name.mount}/${name.path}`;
    const data = field(await client.find(path), 'data');
    const value = field(name.engine === 2 ? field(data, 'data') : data, name.field);
    return typeof value === 'string' ? value : undefined;
  } finally {
    await client.close();
  }
}

async function privateKeyIn(text: string, passphrase: SecretReader): Promise<KeyObject> {
  if (text.length > MAX_KEY_FILE_BYTES) {
    throw new CountersignError(
      'secret-unreadable',
      `it has ${text.length} characters, at most ${MAX_KEY_FILE_BYTES}`,
    );
  }
  if (!text.startsWith('-----BEGIN PRIVATE KEY-----')) return decryptPrivateKey(text, await passphrase());
  try {
    return createPrivateKey(text);
  } catch {
    // No cause: an error of the parser might quote what it read.
    throw new CountersignError('secret-unreadable', 'it is no PKCS#8 private key');
  }
}
