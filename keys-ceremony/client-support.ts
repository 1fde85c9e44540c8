// Which TUF clients cannot read a public key. A root with a key that a client does not know is lost to that client:
// python-tuf refuses the whole file, others never reach the threshold. Interop rule 3; versions as they were tried.
import { createPublicKey, type KeyObject } from 'node:crypto';
import type { PublicKey } from '../src/tuf/metadata.ts';

/** The clients that the rules below speak of. */
const PYTHON_TUF = 'python-tuf';
const TUF_JS = 'tuf-js';
const GO_TUF = 'go-tuf';
const TOUGH = 'tough';
const ALL = [PYTHON_TUF, TUF_JS, GO_TUF, TOUGH] as const;

/** Bits of an RSA modulus that tough's library verifies (RSA_PSS_2048_8192_SHA256). */
const TOUGH_RSA_BITS = { least: 2048, most: 8192 } as const;

/** A public key as it stands in metadata, of whatever kind. */
type AnyKey = Omit<PublicKey, 'keytype' | 'scheme'> & { readonly keytype: string; readonly scheme: string };

/**
 * Names of the clients that cannot verify with this key; empty for Ed25519 and ECDSA P-256, which all of them can. A
 * kind of key that the specification does not name (TUF 4.2) counts as read by none.
 */
export function clientsThatCannotRead({ keytype, scheme, keyval }: AnyKey): string[] {
  if (keytype === 'ed25519' && scheme === 'ed25519') {
    return /^[0-9a-f]{64}$/.test(keyval.public) ? [] : [...ALL];
  }
  const key = readPem(keyval.public);
  if (key === undefined) return [...ALL];
  if (keytype === 'rsa') return rsaReaders(key, scheme);
  if (keytype !== 'ecdsa') return [...ALL];
  const curve = key.asymmetricKeyDetails?.namedCurve;
  if (scheme === 'ecdsa-sha2-nistp256' && curve === 'prime256v1') return [];
  // tuf-js 5 leaves the digest to OpenSSL, which takes SHA-256; tough knows P-256 only.
  if (scheme === 'ecdsa-sha2-nistp384' && curve === 'secp384r1') return [TUF_JS, TOUGH];
  return [...ALL];
}

function rsaReaders(key: KeyObject, scheme: string): string[] {
  if (key.asymmetricKeyType !== 'rsa') return [...ALL];
  // PKCS#1 v1.5 is not of the specification; python-tuf alone was seen to read it.
  if (scheme === 'rsa-pkcs1v15-sha256') return ALL.filter((client) => client !== PYTHON_TUF);
  if (scheme !== 'rsassa-pss-sha256') return [...ALL];
  const bits = key.asymmetricKeyDetails?.modulusLength ?? 0;
  return bits >= TOUGH_RSA_BITS.least && bits <= TOUGH_RSA_BITS.most ? [] : [TOUGH];
}

function readPem(text: string): KeyObject | undefined {
  if (!text.startsWith('-----BEGIN PUBLIC KEY-----')) return undefined;
  try {
    return createPublicKey({ key: text, format: 'pem' });
  } catch {
    return undefined;
  }
}
