// Public keys: ids, parsing, verification (interop rule 3). node:crypto's verification runs on the thread pool, so
// that two cores verify 1.7 times as fast as one; a thread that is there to sign and verify does it itself.
import { createPublicKey, verify as nodeVerify, type KeyObject } from 'node:crypto';
import { sha256Hex } from '../lib/bytes.ts';
import { CountersignError } from '../lib/errors.ts';
import { canonicalJson } from './canonical-json.ts';
import type { PublicKey } from './metadata.ts';

/** TUF 4.2: "KEYID … SHA-256 of the canonical form of the key". Over all fields: tough recomputes it so. */
export function keyId(key: PublicKey): string {
  return sha256Hex(canonicalJson({ ...key }));
}

/** DER prefix of an Ed25519 SubjectPublicKeyInfo (RFC 8410); the 32 key bytes follow. */
const ED25519_SPKI_PREFIX = Buffer.from('302a300506032b6570032100', 'hex');

/** The TUF form of an Ed25519 or P-256 public key.
 * @throws CountersignError `metadata-invalid` for any other kind of key, which some TUF client could not read. */
export function publicKeyOf(key: KeyObject): PublicKey {
  if (key.asymmetricKeyType === 'ed25519') {
    const der = key.export({ type: 'spki', format: 'der' });
    return { keytype: 'ed25519', scheme: 'ed25519', keyval: { public: der.subarray(-32).toString('hex') } };
  }
  if (key.asymmetricKeyType === 'ec' && key.asymmetricKeyDetails?.namedCurve === 'prime256v1') {
    const pem = key.export({ type: 'spki', format: 'pem' }).toString();
    return { keytype: 'ecdsa', scheme: 'ecdsa-sha2-nistp256', keyval: { public: pem } };
  }
  const kind = key.asymmetricKeyDetails?.namedCurve ?? key.asymmetricKeyType ?? key.type;
  throw new CountersignError('metadata-invalid', `key type ${kind} is not Ed25519 or ECDSA P-256`);
}

/** Whether this thread leaves verification to the pool. */
let pooled = true;

/** From now on this thread verifies signatures itself. */
export function verifyOnThisThread(): void {
  pooled = false;
}

/** What a scheme signs: the message itself, or its digest. */
const DIGESTS: Readonly<Record<PublicKey['scheme'], string | null>> = {
  ed25519: null,
  'ecdsa-sha2-nistp256': 'sha256',
  'ecdsa-sha2-nistp384': 'sha384',
  'rsassa-pss-sha256': 'sha256',
};

/** OpenSSL's name of the curve of a scheme. */
const CURVES: Readonly<Partial<Record<PublicKey['scheme'], string>>> = {
  'ecdsa-sha2-nistp256': 'prime256v1',
  'ecdsa-sha2-nistp384': 'secp384r1',
};

/** A public key that was parsed and is ready to verify. */
export interface VerificationKey {
  readonly keyid: string;
  /** False for a wrong signature and for one of a wrong form; never throws. */
  verify(message: Uint8Array, signature: Uint8Array): Promise<boolean>;
}

/**
 * Parses a TUF public key.
 * @throws CountersignError `metadata-invalid` when type, scheme and value do not belong together.
 */
export function parsePublicKey(key: PublicKey): VerificationKey {
  const keyid = keyId(key);
  const node = importKey(key, keyid);
  const digest = DIGESTS[key.scheme];
  const options =
    key.keytype === 'rsa' ? { key: node, padding: 6 /* RSA_PKCS1_PSS_PADDING */ } : { key: node };
  return {
    keyid,
    verify: (message, signature) =>
      new Promise((resolve) => {
        if (pooled) {
          nodeVerify(digest, message, options, signature, (error, valid) => {
            resolve(error === null && valid);
          });
          return;
        }
        try {
          resolve(nodeVerify(digest, message, options, signature));
        } catch {
          resolve(false);
        }
      }),
  };
}

function importKey(key: PublicKey, keyid: string): KeyObject {
  const wrong = (problem: string, cause?: unknown): CountersignError =>
    new CountersignError('metadata-invalid', `key ${keyid} ${problem}`, cause === undefined ? {} : { cause });
  const value = key.keyval.public;
  try {
    if (key.keytype === 'ed25519' && key.scheme === 'ed25519') {
      if (!/^[0-9a-f]{64}$/.test(value)) throw wrong('is not 64 lower-case hex digits');
      const der = Buffer.concat([ED25519_SPKI_PREFIX, Buffer.from(value, 'hex')]);
      return createPublicKey({ key: der, format: 'der', type: 'spki' });
    }
    if (!value.startsWith('-----BEGIN PUBLIC KEY-----')) throw wrong('is not a PEM public key');
    const node = createPublicKey({ key: value, format: 'pem' });
    const curve = CURVES[key.scheme];
    if (key.keytype === 'ecdsa' && curve !== undefined) {
      if (node.asymmetricKeyDetails?.namedCurve === curve) return node;
      throw wrong(
        `is ${node.asymmetricKeyDetails?.namedCurve ?? 'not an EC key'}, not ${curve === 'prime256v1' ? 'P-256' : 'P-384'}`,
      );
    }
    if (key.keytype === 'rsa' && key.scheme === 'rsassa-pss-sha256') {
      if (node.asymmetricKeyType === 'rsa') return node;
      throw wrong('is not an RSA key');
    }
  } catch (error) {
    if (error instanceof CountersignError) throw error;
    throw wrong('cannot be read', error);
  }
  throw wrong(`has keytype ${key.keytype} with scheme ${key.scheme}`);
}
