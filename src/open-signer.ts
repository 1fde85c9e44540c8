// Opens the signer that the configuration names. Key services and tokens are loaded when they are needed: their
// clients are larger than the rest of the program.
import { readFile } from 'node:fs/promises';
import type { Config } from './config.ts';
import type { SignerSetting } from './config/backends.ts';
import type { VaultSetting } from './config/signer-uri.ts';
import type { History } from './ledger/ledger.ts';
import { utf8 } from './lib/bytes.ts';
import type { Clock } from './lib/clock.ts';
import { CountersignError, messageOf } from './lib/errors.ts';
import { readSecretFile, type Secrets } from './secrets.ts';
import { openNowOrLater } from './signing/late-signer.ts';
import type { Signer } from './signing/signer.ts';
import type { VaultLogin, VaultSettings } from './signing/vault/settings.ts';
import { parseRoot } from './tuf/parse-root.ts';

/** The setting that names a signer. */
export type SignerName = 'signer' | 'next-signer';

export interface SignerUse {
  readonly clock: Clock;
  /** Key ids that the repository names for its online roles: they choose between the versions of a key. */
  readonly trusted: () => Promise<readonly string[]>;
  /** Told what the operator should know although the signer works. */
  readonly warn: (message: string) => void;
  /** False when a person has just given the PIN. */
  readonly unattended: boolean;
  /** Given: a signer that is not available now is opened later, and this is told why (./signing/late-signer.ts). */
  readonly waiting?: (reason: CountersignError, setting: SignerName) => void;
}

/** The secrets of one signer. */
export type SignerSecrets = Pick<Secrets, 'signerPassphrase' | 'vaultToken'>;

/**
 * @throws CountersignError `signer-unavailable` when a later try may succeed; `secret-unreadable`, `config-invalid`.
 */
export function openSigner(
  { signer }: Pick<Config, 'signer'>,
  secrets: SignerSecrets,
  use: SignerUse,
  setting: SignerName = 'signer',
): Promise<Signer> {
  const { waiting, clock } = use;
  const open = (): Promise<Signer> => openNow(signer, secrets, use);
  if (waiting === undefined) return open();
  return openNowOrLater(
    open,
    (reason) => {
      waiting(reason, setting);
    },
    clock,
  );
}

async function openNow(signer: SignerSetting, secrets: SignerSecrets, use: SignerUse): Promise<Signer> {
  const { clock, warn } = use;
  switch (signer.kind) {
    case 'file': {
      const { openFileSigner } = await import('./signing/file-signer.ts');
      return openFileSigner({ path: signer.path, passphrase: await secrets.signerPassphrase() });
    }
    case 'vault': {
      const { openTransitSigner } = await import('./signing/vault/transit-signer.ts');
      const settings = await vaultSettings(signer.vault, secrets);
      const trusted = await use.trusted();
      return openTransitSigner({ settings, name: signer, version: signer.version, clock, trusted, warn });
    }
    case 'vault-kv': {
      const { openKvSigner } = await import('./signing/vault/kv-signer.ts');
      const settings = await vaultSettings(signer.vault, secrets);
      return openKvSigner({ settings, name: signer, clock, passphrase: () => secrets.signerPassphrase() });
    }
    case 'pkcs11': {
      const { openPkcs11Signer } = await import('./signing/pkcs11-signer.ts');
      return openPkcs11Signer(signer.uri, await pinOf(signer, secrets), use.unattended);
    }
    case 'awskms': {
      const { openKmsSigner } = await import('./signing/kms-signer.ts');
      return openKmsSigner(signer);
    }
  }
}

/** @throws CountersignError `secret-unreadable`. */
export function pinOf(
  { pinFile }: Extract<SignerSetting, { kind: 'pkcs11' }>,
  secrets: SignerSecrets,
): Promise<string> {
  return pinFile === undefined ? secrets.signerPassphrase() : readSecretFile(pinFile, 'PIN file');
}

/** @throws CountersignError `config-invalid` when the CA file cannot be read. */
export async function vaultSettings(
  { address, namespace, caFile, login }: VaultSetting,
  secrets: SignerSecrets,
): Promise<VaultSettings> {
  return {
    address,
    ...(namespace === undefined ? {} : { namespace }),
    ...(caFile === undefined ? {} : { ca: await readText(caFile, 'config-invalid', 'CA file') }),
    login: vaultLogin(login, secrets),
  };
}

function vaultLogin(login: VaultSetting['login'], secrets: SignerSecrets): VaultLogin {
  switch (login.method) {
    case 'token':
      return { method: 'token', token: () => secrets.vaultToken(login.tokenFile) };
    case 'approle': {
      const { method, mount, roleId, secretIdFile } = login;
      return { method, mount, roleId, secretId: () => readSecretFile(secretIdFile, 'secret id file') };
    }
    case 'kubernetes': {
      const { method, mount, role, jwtFile } = login;
      // Kubernetes chooses the mode of this file, and renews it.
      const jwt = async (): Promise<string> =>
        (await readText(jwtFile, 'secret-unreadable', 'token file')).trim();
      return { method, mount, role, jwt };
    }
  }
}

/** The keys that the root in the ledger names for the online roles; none before bootstrap. */
export async function trustedOnlineKeys(history: Pick<History, 'head'>): Promise<readonly string[]> {
  const head = await history.head();
  if (head === undefined) return [];
  return parseRoot(utf8(head.trustedRoot)).signed.roles.timestamp.keyids;
}

async function readText(
  file: string,
  code: 'config-invalid' | 'secret-unreadable',
  what: string,
): Promise<string> {
  try {
    return await readFile(file, 'utf8');
  } catch (error) {
    throw new CountersignError(code, `cannot read ${what} ${file}: ${messageOf(error)}`, { cause: error });
  }
}
