// The signer whose key is in this process: from a file (./file-signer.ts), or on a thread that was handed it.
import { createPublicKey, sign as nodeSign, type KeyObject } from 'node:crypto';
import { mapConcurrent } from '../lib/concurrency.ts';
import { CountersignError, messageOf } from '../lib/errors.ts';
import { keyId, publicKeyOf } from '../tuf/keys.ts';
import type { PublicKey } from '../tuf/metadata.ts';
import type { Signer } from './signer.ts';

/** Signatures at once: the number of threads in libuv's pool. More would only queue up in front of file access. */
const PARALLEL_SIGNATURES = 4;

/** Where signatures are made: on libuv's pool, or on the thread that asks for them, because it is there for that. */
export type SigningPlace = 'pool' | 'this thread';

/**
 * Signs with a key that is in this process already.
 * @throws CountersignError `metadata-invalid` for a key that is neither Ed25519 nor P-256.
 */
export function signerInMemory(key: KeyObject, place: SigningPlace = 'pool'): Signer {
  return new MemorySigner(key, publicKeyOf(createPublicKey(key)), place);
}

class MemorySigner implements Signer {
  readonly publicKey: PublicKey;
  readonly keyid: string;
  readonly #place: SigningPlace;
  #key: KeyObject | undefined;

  constructor(key: KeyObject, publicKey: PublicKey, place: SigningPlace) {
    this.#key = key;
    this.#place = place;
    this.publicKey = publicKey;
    this.keyid = keyId(publicKey);
  }

  get ownKey(): KeyObject | undefined {
    return this.#key;
  }

  async sign(messages: readonly Uint8Array[]): Promise<Uint8Array[]> {
    const key = this.#key;
    if (key === undefined) {
      throw new CountersignError('signer-unavailable', `signer with key ${this.keyid} is closed`);
    }
    if (this.#place === 'this thread') return messages.map((message) => this.#signHere(key, message));
    return mapConcurrent(messages, PARALLEL_SIGNATURES, (message) => this.#signOne(key, message));
  }

  close(): Promise<void> {
    this.#key = undefined;
    return Promise.resolve();
  }

  get #digest(): string | null {
    return this.publicKey.keytype === 'ed25519' ? null : 'sha256';
  }

  #signHere(key: KeyObject, message: Uint8Array): Uint8Array {
    try {
      return nodeSign(this.#digest, message, key);
    } catch (error) {
      throw this.#unavailable(error);
    }
  }

  #signOne(key: KeyObject, message: Uint8Array): Promise<Uint8Array> {
    return new Promise((resolve, reject) => {
      // With a callback the work leaves the event loop: 1.6 times the signatures on two cores.
      nodeSign(this.#digest, message, key, (error, signature) => {
        if (error === null) resolve(signature);
        else reject(this.#unavailable(error));
      });
    });
  }

  #unavailable(error: unknown): CountersignError {
    return new CountersignError('signer-unavailable', `key ${this.keyid}: ${messageOf(error)}`);
  }
}
