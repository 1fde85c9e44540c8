// Whoever can sign for the online roles. An adapter never retries, never logs what it is given, and is not trusted to
// be right: the caller verifies each signature before it uses it. test/contracts/signer.contract.ts is the suite.
import type { KeyObject } from 'node:crypto';
import type { PublicKey } from '../tuf/metadata.ts';

export interface Signer {
  /** May throw `signer-unavailable` until the signer was reached for the first time (./late-signer.ts). */
  readonly keyid: string;
  readonly publicKey: PublicKey;
  /** The private key, where it is in this process's memory anyway: back-signing hands it to its threads. */
  readonly ownKey?: KeyObject | undefined;

  /**
   * Signatures over each message, in their order: Ed25519 64 bytes, ECDSA the DER form. May sign in parallel.
   * @throws CountersignError `signer-unavailable` when any of them cannot be made.
   */
  sign(messages: readonly Uint8Array[]): Promise<Uint8Array[]>;

  /** Forgets the key and closes connections; `sign` fails afterwards. */
  close(): Promise<void>;
}
