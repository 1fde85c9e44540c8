// Making the online key where the signer's URI says it is to be.
import type { SignerSetting } from '../config/backends.ts';
import type { Clock } from '../lib/clock.ts';
import { CountersignError } from '../lib/errors.ts';
import { pinOf, vaultSettings, type SignerSecrets } from '../open-signer.ts';
import { generateKeyFile, type KeyAlgorithm } from '../signing/key-file.ts';
import type { PublicKey } from '../tuf/metadata.ts';

/**
 * Never replaces a key.
 * @throws CountersignError `file-exists`; `usage` for a signer in which keys are made with other tools.
 */
export async function generateOnlineKey(
  signer: SignerSetting,
  secrets: SignerSecrets,
  algorithm: KeyAlgorithm,
  clock: Clock,
): Promise<PublicKey> {
  switch (signer.kind) {
    case 'file':
      return generateKeyFile({ path: signer.path, passphrase: await secrets.signerPassphrase(), algorithm });
    case 'vault': {
      const { VaultClient } = await import('../signing/vault/client.ts');
      const { generateTransitKey } = await import('../signing/vault/transit-key.ts');
      const client = new VaultClient(await vaultSettings(signer.vault, secrets), clock);
      try {
        return (await generateTransitKey(client, signer, algorithm)).publicKey;
      } finally {
        await client.close();
      }
    }
    case 'pkcs11': {
      const { generateTokenKey } = await import('../signing/pkcs11/generate-key.ts');
      return (await generateTokenKey(signer.uri, await pinOf(signer, secrets), algorithm)).publicKey;
    }
    case 'vault-kv':
      throw new CountersignError(
        'usage',
        'a key for vault-kv: is made as a file: run "countersign key generate --signer file:./online.key", put the ' +
          'content of that file into the field, and remove the file',
      );
    case 'awskms':
      throw new CountersignError(
        'usage',
        'a key in AWS KMS is made with the tools of AWS, as ECC_NIST_P256 for SIGN_VERIFY; ' +
          '"countersign key show" prints its public part',
      );
  }
}
