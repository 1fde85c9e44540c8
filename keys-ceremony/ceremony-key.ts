// Ed25519 keys of a ceremony. Signed with @noble/ed25519: audited, small, pure JavaScript, the same on every computer.
// Every signature is then checked by node:crypto, a second implementation, before it leaves this module.
import { createPrivateKey, createPublicKey, type KeyObject } from 'node:crypto';
import { getPublicKeyAsync, signAsync } from '@noble/ed25519';
import { CountersignError } from '../src/lib/errors.ts';
import { keyId, parsePublicKey, publicKeyOf } from '../src/tuf/keys.ts';
import type { PublicKey, Signature } from '../src/tuf/metadata.ts';

/** `bytes` random bytes fit for keys; node:crypto's randomBytes outside tests. */
export type RandomSource = (bytes: number) => Uint8Array;

const SEED_BYTES = 32;

/** DER prefix of an Ed25519 private key (RFC 8410, PKCS#8); the 32 bytes of the seed follow. */
const PKCS8_PREFIX = Buffer.from('302e020100300506032b657004220420', 'hex');

export class CeremonyKey {
  readonly keyid: string;
  readonly publicKey: PublicKey;
  readonly #seed: Uint8Array;

  private constructor(seed: Uint8Array, publicKey: PublicKey) {
    this.#seed = seed;
    this.publicKey = publicKey;
    this.keyid = keyId(publicKey);
  }

  /**
   * Makes a key.
   * @throws CountersignError `internal` when the two implementations disagree about its public part.
   */
  static generate(random: RandomSource): Promise<CeremonyKey> {
    return CeremonyKey.#of(random(SEED_BYTES));
  }

  /**
   * The key in an Ed25519 private key that was read.
   * @throws CountersignError `internal` when the two implementations disagree about its public part.
   */
  static fromPrivateKey(key: KeyObject): Promise<CeremonyKey> {
    const der = key.export({ format: 'der', type: 'pkcs8' });
    const seed = Uint8Array.from(der.subarray(-SEED_BYTES));
    der.fill(0);
    return CeremonyKey.#of(seed);
  }

  static async #of(seed: Uint8Array): Promise<CeremonyKey> {
    const hex = Buffer.from(await getPublicKeyAsync(seed)).toString('hex');
    const publicKey = publicKeyOf(createPublicKey(ed25519PrivateKey(seed)));
    if (publicKey.keyval.public !== hex) {
      throw new CountersignError('internal', `two Ed25519 implementations disagree about public key ${hex}`);
    }
    return new CeremonyKey(seed, publicKey);
  }

  /**
   * A signature that node:crypto has verified.
   * @throws CountersignError `internal` when it does not verify.
   */
  async sign(message: Uint8Array): Promise<Signature> {
    const signature = await signAsync(message, this.#seed);
    if (!(await parsePublicKey(this.publicKey).verify(message, signature))) {
      throw new CountersignError('internal', `a fresh signature of key ${this.keyid} does not verify`);
    }
    return { keyid: this.keyid, sig: Buffer.from(signature).toString('hex') };
  }

  /** The private key. It must not reach a disk unencrypted. */
  privateKey(): KeyObject {
    return ed25519PrivateKey(this.#seed);
  }

  /** Overwrites the seed; `sign` and `privateKey` are of no use afterwards. */
  forget(): void {
    this.#seed.fill(0);
  }
}

/** The private key of a seed of 32 bytes. */
export function ed25519PrivateKey(seed: Uint8Array): KeyObject {
  return createPrivateKey({ key: Buffer.concat([PKCS8_PREFIX, seed]), format: 'der', type: 'pkcs8' });
}
