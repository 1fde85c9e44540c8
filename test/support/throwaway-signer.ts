// Signers for tests: the key follows from a number, so that Ed25519 signatures are the same in every run.
import { createHash, createPrivateKey, createPublicKey, sign, type KeyObject } from 'node:crypto';
import { CountersignError } from '../../src/lib/errors.ts';
import type { Signer } from '../../src/signing/signer.ts';
import { keyId, publicKeyOf } from '../../src/tuf/keys.ts';

/** DER before the 32 bytes of a private key: RFC 8410 for Ed25519, RFC 5915 in PKCS#8 for P-256. */
const PKCS8_PREFIX = {
  ed25519: '302e020100300506032b657004220420',
  'ecdsa-p256': '3041020100301306072a8648ce3d020106082a8648ce3d030107042730250201010420',
} as const;

export type ThrowawayAlgorithm = keyof typeof PKCS8_PREFIX;

/** The private key of a number; different numbers and algorithms give different keys. */
export function throwawayKey(seed: number, algorithm: ThrowawayAlgorithm = 'ed25519'): KeyObject {
  const scalar = createHash('sha256').update(`throwaway ${algorithm} ${seed}`).digest();
  const der = Buffer.concat([Buffer.from(PKCS8_PREFIX[algorithm], 'hex'), scalar]);
  return createPrivateKey({ key: der, format: 'der', type: 'pkcs8' });
}

export function throwawaySigner(seed: number, algorithm: ThrowawayAlgorithm = 'ed25519'): Signer {
  const key = throwawayKey(seed, algorithm);
  const publicKey = publicKeyOf(createPublicKey(key));
  const keyid = keyId(publicKey);
  const digest = algorithm === 'ed25519' ? null : 'sha256';
  let open = true;
  return {
    keyid,
    publicKey,
    get ownKey() {
      return open ? key : undefined;
    },
    sign: async (messages) => {
      await Promise.resolve();
      if (!open) throw new CountersignError('signer-unavailable', `signer with key ${keyid} is closed`);
      return messages.map((message) => sign(digest, message, key));
    },
    close: () => {
      open = false;
      return Promise.resolve();
    },
  };
}
