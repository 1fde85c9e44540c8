// A private key that a person answers for: in an encrypted file, on a token, or in memory for one ceremony. What a
// ceremony does with it is the same in each case.
import type { PublicKey, Signature } from '../src/tuf/metadata.ts';
import type { Terminal } from './terminal.ts';

export type KeyOrigin = 'file' | 'token' | 'one-time';

export interface HolderKey {
  readonly keyid: string;
  readonly publicKey: PublicKey;
  readonly origin: KeyOrigin;
  /** Of the token, as its maker engraved it. */
  readonly serial?: string;

  /**
   * A signature that node:crypto has verified, whoever made it.
   * @throws CountersignError `signer-invalid` when it does not verify, `signer-unavailable` when a token does not answer.
   */
  sign(message: Uint8Array): Promise<Signature>;

  /** Overwrites the key in memory, or closes the session with the token; `sign` is of no use afterwards. */
  forget(): void;
}

/**
 * Opens a private key: `reference` is the path of a key file, or the URI of a key on a token (`pkcs11:…`). Asks for the
 * passphrase or the PIN at the terminal.
 */
export type OpenHolderKey = (reference: string, terminal: Terminal) => Promise<HolderKey>;
