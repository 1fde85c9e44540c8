// Public keys of any repository. A key that cannot be used (an unknown type, a damaged value) never verifies anything,
// and does not spoil the role that names it: whether the threshold is met by the others decides (TUF 4.2.1).
import { constants, createPublicKey, verify as nodeVerify, type KeyObject } from 'node:crypto';
import type { JsonMap } from '../../tuf/json.ts';
import { asMap, asString, field, type Place } from '../../tuf/shape.ts';

interface Scheme {
  readonly keytypes: readonly string[];
  readonly digest: string | null;
  readonly padding?: number;
  readonly fits: (key: KeyObject) => boolean;
}

const rsa = (digest: string, padding: number): Scheme => ({
  keytypes: ['rsa'],
  digest,
  padding,
  fits: (key) => key.asymmetricKeyType === 'rsa' && (key.asymmetricKeyDetails?.modulusLength ?? 0) >= 2048,
});

const ecdsa = (scheme: string, digest: string, curve: string): Scheme => ({
  // The scheme's name as the key type: repositories founded before specification 1.0.20.
  keytypes: ['ecdsa', scheme],
  digest,
  fits: (key) => key.asymmetricKeyDetails?.namedCurve === curve,
});

/** TUF 4.2.1 names the first three; the others are in use. */
const SCHEMES = new Map<string, Scheme>([
  ['ed25519', { keytypes: ['ed25519'], digest: null, fits: (key) => key.asymmetricKeyType === 'ed25519' }],
  ['ecdsa-sha2-nistp256', ecdsa('ecdsa-sha2-nistp256', 'sha256', 'prime256v1')],
  ['rsassa-pss-sha256', rsa('sha256', constants.RSA_PKCS1_PSS_PADDING)],
  ['ecdsa-sha2-nistp384', ecdsa('ecdsa-sha2-nistp384', 'sha384', 'secp384r1')],
  ['rsassa-pss-sha384', rsa('sha384', constants.RSA_PKCS1_PSS_PADDING)],
  ['rsassa-pss-sha512', rsa('sha512', constants.RSA_PKCS1_PSS_PADDING)],
]);

/** DER prefixes of a SubjectPublicKeyInfo, in hex: Ed25519 (RFC 8410), an uncompressed point of P-256 (RFC 5480). */
const ED25519_SPKI = '302a300506032b6570032100';
const P256_SPKI = '3059301306072a8648ce3d020106082a8648ce3d030107034200';

interface Usable {
  readonly node: KeyObject;
  readonly scheme: Scheme;
  readonly identity: string;
}

/** Bytes; a signature of a shorter message is verified at once: sending it to a thread of the pool would take longer. */
const MIN_POOLED_BYTES = 8192;

export class ClientKey {
  readonly #keytype: string;
  readonly #scheme: string;
  readonly #value: string;
  /** Imported at the first use: a root may hold keys that no role needs. Null: cannot be used. */
  #usable: Usable | null | undefined;

  /** @throws CountersignError `metadata-invalid` when the key is not even an object of strings. */
  constructor(place: Place) {
    const map: JsonMap = asMap(place);
    this.#keytype = asString(field(map, place.where, 'keytype'));
    this.#scheme = asString(field(map, place.where, 'scheme'));
    const keyval = field(map, place.where, 'keyval');
    const value = asMap(keyval).get('public');
    this.#value = typeof value === 'string' ? value : '';
  }

  /** The key itself, however it is written and whatever its id: thresholds count these. Undefined: cannot be used. */
  get identity(): string | undefined {
    return this.#import()?.identity;
  }

  /** False for a signature that does not verify, for whatever reason; never throws. */
  verify(message: Uint8Array, signatureHex: string): Promise<boolean> {
    const usable = this.#import();
    if (usable === null || !/^(?:[0-9a-fA-F]{2}){1,1024}$/.test(signatureHex)) return Promise.resolve(false);
    const { node, scheme } = usable;
    const key = { key: node, ...(scheme.padding === undefined ? {} : { padding: scheme.padding }) };
    const signature = Buffer.from(signatureHex, 'hex');
    return new Promise((resolve) => {
      if (message.length >= MIN_POOLED_BYTES) {
        nodeVerify(scheme.digest, message, key, signature, (error, valid) => {
          resolve(error === null && valid);
        });
        return;
      }
      try {
        resolve(nodeVerify(scheme.digest, message, key, signature));
      } catch {
        resolve(false);
      }
    });
  }

  #import(): Usable | null {
    if (this.#usable !== undefined) return this.#usable;
    const scheme = SCHEMES.get(this.#scheme);
    const key = scheme?.keytypes.includes(this.#keytype) === true ? importKey(this.#value) : undefined;
    this.#usable =
      scheme !== undefined && key !== undefined && scheme.fits(key.node) ? { ...key, scheme } : null;
    return this.#usable;
  }
}

type ImportedKey = Pick<Usable, 'node' | 'identity'>;

function importKey(value: string): ImportedKey | undefined {
  try {
    if (/^[0-9a-fA-F]{64}$/.test(value)) return ed25519(value);
    if (/^04[0-9a-fA-F]{128}$/.test(value)) return p256(value);
    // createPublicKey would also take a private key or a certificate.
    if (/^\s*-----BEGIN (?:RSA )?PUBLIC KEY-----/.test(value)) {
      const node = createPublicKey(value);
      return { node, identity: node.export({ type: 'spki', format: 'der' }).toString('hex') };
    }
  } catch {
    // Not a key: see above.
  }
  return undefined;
}

/** As a JWK: OpenSSL looks for a decoder of DER for longer than it verifies. The identity is that of the same key in PEM. */
function ed25519(hex: string): ImportedKey {
  const x = Buffer.from(hex, 'hex').toString('base64url');
  const node = createPublicKey({ key: { kty: 'OKP', crv: 'Ed25519', x }, format: 'jwk' });
  return { node, identity: ED25519_SPKI + hex.toLowerCase() };
}

function p256(point: string): ImportedKey {
  const identity = P256_SPKI + point.toLowerCase();
  return {
    node: createPublicKey({ key: Buffer.from(identity, 'hex'), format: 'der', type: 'spki' }),
    identity,
  };
}
