// ECDSA P-256 keys of a ceremony, for those who cannot use Ed25519. node:crypto makes them, signs and verifies.
import { createECDH, createPrivateKey, createPublicKey, sign, type KeyObject } from 'node:crypto';
import { CountersignError } from '../src/lib/errors.ts';
import { keyId, parsePublicKey, publicKeyOf } from '../src/tuf/keys.ts';
import type { PublicKey, Signature } from '../src/tuf/metadata.ts';
import type { RandomSource } from './ceremony-key.ts';

const SCALAR_BYTES = 32;

/** Draws until one is a scalar of the curve; one in 2^32 is not. */
const MAX_DRAWS = 4;

export class P256Key {
  readonly keyid: string;
  readonly publicKey: PublicKey;
  #key: KeyObject | undefined;

  constructor(key: KeyObject) {
    this.publicKey = publicKeyOf(createPublicKey(key));
    this.keyid = keyId(this.publicKey);
    this.#key = key;
  }

  /**
   * Makes a key.
   * @throws CountersignError `internal` when the random source gives no scalar of the curve.
   */
  static generate(random: RandomSource): P256Key {
    for (let draw = 0; draw < MAX_DRAWS; draw += 1) {
      const scalar = Buffer.from(random(SCALAR_BYTES));
      const key = p256PrivateKey(scalar);
      scalar.fill(0);
      if (key !== undefined) return new P256Key(key);
    }
    throw new CountersignError('internal', `${MAX_DRAWS} random draws gave no P-256 key`);
  }

  /**
   * A signature (DER, SHA-256) that was verified.
   * @throws CountersignError `internal` when it does not verify, or the key was forgotten.
   */
  async sign(message: Uint8Array): Promise<Signature> {
    const signature = sign('sha256', message, this.privateKey());
    if (!(await parsePublicKey(this.publicKey).verify(message, signature))) {
      throw new CountersignError('internal', `a fresh signature of key ${this.keyid} does not verify`);
    }
    return { keyid: this.keyid, sig: signature.toString('hex') };
  }

  /** The private key. It must not reach a disk unencrypted. */
  privateKey(): KeyObject {
    if (this.#key === undefined) throw new CountersignError('internal', `key ${this.keyid} was forgotten`);
    return this.#key;
  }

  /** Lets go of the key: OpenSSL overwrites it when it is collected. */
  forget(): void {
    this.#key = undefined;
  }
}

/** The private key of a scalar of 32 bytes; undefined when that is 0 or not below the order of the curve. */
export function p256PrivateKey(scalar: Buffer): KeyObject | undefined {
  const pair = createECDH('prime256v1');
  try {
    pair.setPrivateKey(scalar);
  } catch {
    return undefined;
  }
  // Uncompressed: 04, then x and y of 32 bytes each.
  const point = pair.getPublicKey();
  const part = (bytes: Buffer): string => bytes.toString('base64url');
  return createPrivateKey({
    format: 'jwk',
    key: {
      kty: 'EC',
      crv: 'P-256',
      d: part(scalar),
      x: part(point.subarray(1, 1 + SCALAR_BYTES)),
      y: part(point.subarray(1 + SCALAR_BYTES)),
    },
  });
}
