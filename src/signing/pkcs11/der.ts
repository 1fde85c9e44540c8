// The little DER that tokens speak: curve names, EC points, and ECDSA signatures, which a token gives as r and s one
// after the other where TUF wants a SEQUENCE of two INTEGERs.
import { createPublicKey } from 'node:crypto';
import { CountersignError } from '../../lib/errors.ts';
import { publicKeyOf } from '../../tuf/keys.ts';
import type { PublicKey } from '../../tuf/metadata.ts';

export type TokenAlgorithm = 'ed25519' | 'ecdsa-p256';

/** CKA_EC_PARAMS of P-256: the OID 1.2.840.10045.3.1.7. */
export const P256_PARAMS = Buffer.from('06082a8648ce3d030107', 'hex');

/** CKA_EC_PARAMS of Ed25519, which tokens spell in three ways; the first is that of PKCS#11 3.0. */
export const ED25519_PARAMS: readonly Buffer[] = [
  // PrintableString "edwards25519"
  Buffer.from('130c656477617264733235353139', 'hex'),
  // OID 1.3.101.112 (RFC 8410)
  Buffer.from('06032b6570', 'hex'),
  // OID 1.3.6.1.4.1.11591.15.1 (GNU)
  Buffer.from('06092b06010401da470f01', 'hex'),
];

/** DER in front of the key's bytes in a SubjectPublicKeyInfo. */
const SPKI_PREFIX: Readonly<Record<TokenAlgorithm, Buffer>> = {
  ed25519: Buffer.from('302a300506032b6570032100', 'hex'),
  'ecdsa-p256': Buffer.from('3059301306072a8648ce3d020106082a8648ce3d030107034200', 'hex'),
};

const POINT_BYTES: Readonly<Record<TokenAlgorithm, number>> = { ed25519: 32, 'ecdsa-p256': 65 };

/** The algorithm of a CKA_EC_PARAMS value, or undefined for a curve that no TUF client reads. */
export function algorithmOf(params: Buffer): TokenAlgorithm | undefined {
  if (params.equals(P256_PARAMS)) return 'ecdsa-p256';
  return ED25519_PARAMS.some((form) => form.equals(params)) ? 'ed25519' : undefined;
}

/**
 * The TUF form of a CKA_EC_POINT: the point itself, in an OCTET STRING (PKCS#11 2.40) or a BIT STRING (3.0 has both).
 * @throws CountersignError `metadata-invalid` for anything else.
 */
export function publicKeyOfPoint(algorithm: TokenAlgorithm, point: Buffer): PublicKey {
  const length = POINT_BYTES[algorithm];
  const wrappers = [Buffer.from([0x04, length]), Buffer.from([0x03, length + 1, 0])];
  const wrapper = wrappers.find(
    (prefix) => point.length === prefix.length + length && point.subarray(0, prefix.length).equals(prefix),
  );
  const raw = wrapper === undefined ? point : point.subarray(wrapper.length);
  if (raw.length !== length) {
    throw new CountersignError(
      'metadata-invalid',
      `the public key on the token has ${point.length} bytes, expected ${length} for ${algorithm}`,
    );
  }
  const der = Buffer.concat([SPKI_PREFIX[algorithm], raw]);
  try {
    return publicKeyOf(createPublicKey({ key: der, format: 'der', type: 'spki' }));
  } catch (error) {
    throw new CountersignError(
      'metadata-invalid',
      `the public key on the token is no point of ${algorithm}`,
      {
        cause: error,
      },
    );
  }
}

/**
 * The DER form of a P-256 signature that a token gave as r and s of 32 bytes each.
 * @throws CountersignError `signer-invalid` for another length.
 */
export function derSignature(raw: Uint8Array): Buffer {
  if (raw.length !== 64) {
    throw new CountersignError(
      'signer-invalid',
      `the token gave a P-256 signature of ${raw.length} bytes, not 64`,
    );
  }
  const body = Buffer.concat([integer(raw.subarray(0, 32)), integer(raw.subarray(32))]);
  return Buffer.concat([Buffer.from([0x30, body.length]), body]);
}

/** X.690 8.3: the shortest form, with a zero in front of a number whose first bit is set. */
function integer(bytes: Uint8Array): Buffer {
  let start = 0;
  while (start < bytes.length - 1 && bytes[start] === 0) start += 1;
  const digits = bytes.subarray(start);
  const sign = (digits[0] ?? 0) >= 0x80 ? [0] : [];
  return Buffer.from([0x02, digits.length + sign.length, ...sign, ...digits]);
}
