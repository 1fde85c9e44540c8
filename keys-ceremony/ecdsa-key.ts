// ECDSA keys of a ceremony, for those who cannot use Ed25519: P-256, and P-384 where a plan allows it. node:crypto makes
// them, signs and verifies.
import { createECDH, createPrivateKey, createPublicKey, sign, type KeyObject } from 'node:crypto';
import { CountersignError } from '../src/lib/errors.ts';
import { keyId, parsePublicKey } from '../src/tuf/keys.ts';
import type { PublicKey, Signature } from '../src/tuf/metadata.ts';
import type { RandomSource } from './ceremony-key.ts';

interface Curve {
  /** As OpenSSL names it. */
  readonly name: string;
  /** As RFC 7518 names it. */
  readonly crv: string;
  readonly scalarBytes: number;
  readonly scheme: PublicKey['scheme'];
  readonly digest: string;
}

const CURVES = {
  p256: {
    name: 'prime256v1',
    crv: 'P-256',
    scalarBytes: 32,
    scheme: 'ecdsa-sha2-nistp256',
    digest: 'sha256',
  },
  p384: { name: 'secp384r1', crv: 'P-384', scalarBytes: 48, scheme: 'ecdsa-sha2-nistp384', digest: 'sha384' },
} as const satisfies Readonly<Record<string, Curve>>;

export type CurveName = keyof typeof CURVES;

/** The curve of a key; undefined for one that no ceremony uses. */
export function curveOf(key: KeyObject): CurveName | undefined {
  const name = key.asymmetricKeyDetails?.namedCurve;
  return (['p256', 'p384'] as const).find((curve) => CURVES[curve].name === name);
}

/** Draws until one is a scalar of the curve; one in 2^32 is not. */
const MAX_DRAWS = 4;

export class EcdsaKey {
  readonly curve: CurveName;
  readonly keyid: string;
  readonly publicKey: PublicKey;
  #key: KeyObject | undefined;

  constructor(key: KeyObject, curve: CurveName) {
    const pem = createPublicKey(key).export({ type: 'spki', format: 'pem' }).toString();
    this.curve = curve;
    this.publicKey = { keytype: 'ecdsa', scheme: CURVES[curve].scheme, keyval: { public: pem } };
    this.keyid = keyId(this.publicKey);
    this.#key = key;
  }

  /**
   * Makes a key.
   * @throws CountersignError `internal` when the random source gives no scalar of the curve.
   */
  static generate(curve: CurveName, random: RandomSource): EcdsaKey {
    for (let draw = 0; draw < MAX_DRAWS; draw += 1) {
      const scalar = Buffer.from(random(CURVES[curve].scalarBytes));
      const key = ecdsaPrivateKey(curve, scalar);
      scalar.fill(0);
      if (key !== undefined) return new EcdsaKey(key, curve);
    }
    throw new CountersignError('internal', `${MAX_DRAWS} random draws gave no ${CURVES[curve].crv} key`);
  }

  /**
   * A signature (DER) that was verified.
   * @throws CountersignError `internal` when it does not verify, or the key was forgotten.
   */
  async sign(message: Uint8Array): Promise<Signature> {
    const signature = sign(CURVES[this.curve].digest, message, this.privateKey());
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

/** The private key of a scalar; undefined when that is 0 or not below the order of the curve. */
export function ecdsaPrivateKey(curve: CurveName, scalar: Buffer): KeyObject | undefined {
  const { name, crv, scalarBytes } = CURVES[curve];
  const pair = createECDH(name);
  try {
    pair.setPrivateKey(scalar);
  } catch {
    return undefined;
  }
  // Uncompressed: 04, then x and y, each as long as the scalar.
  const point = pair.getPublicKey();
  const part = (bytes: Buffer): string => bytes.toString('base64url');
  return createPrivateKey({
    format: 'jwk',
    key: {
      kty: 'EC',
      crv,
      d: part(scalar),
      x: part(point.subarray(1, 1 + scalarBytes)),
      y: part(point.subarray(1 + scalarBytes)),
    },
  });
}
