import { generateKeyPairSync, sign as nodeSign } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { keyId, parsePublicKey, publicKeyOf } from '../../src/tuf/keys.ts';
import type { PublicKey } from '../../src/tuf/metadata.ts';

const ED25519: PublicKey = {
  keytype: 'ed25519',
  scheme: 'ed25519',
  // RFC 8032, section 7.1, test 3.
  keyval: { public: 'fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025' },
};
const P256: PublicKey = {
  keytype: 'ecdsa',
  scheme: 'ecdsa-sha2-nistp256',
  keyval: {
    public:
      '-----BEGIN PUBLIC KEY-----\n' +
      'MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEA9AqYRmX4yVb46G3cZUphN35c58R\n' +
      'l0i+KgKNPXO0shc7pdyHGurVKbW8U8zzaqdn5tmrrlNkiyZ2eDQwlL6cBg==\n' +
      '-----END PUBLIC KEY-----\n',
  },
};

describe('keyId', () => {
  // Computed with securesystemslib 1.6.0: sha256 of encode_canonical.
  test.each([
    [
      '4cc3f338069d638e761ed397f5c53df4129a276face46a446c202617331ca1b3',
      {
        ...ED25519,
        keyval: { public: '3b6a27bcceb6a42d62a3a8d02a6f0d73653215771de243a63ac048a18b59da29' },
      },
    ],
    ['4daa4d8885b7ad0f5e00a1ef8399a7a77e65eb7eb86043e411492faa9243d054', P256],
  ] as const)('is the one that python computes: %s', (expected, key) => {
    expect(keyId(key)).toBe(expected);
  });
});

describe('parsePublicKey', () => {
  test('verifies the RFC 8032 vector, and no other message or signature', async () => {
    const message = Buffer.from('af82', 'hex');
    const signature = Buffer.from(
      '6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac' +
        '18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a',
      'hex',
    );
    const key = parsePublicKey(ED25519);
    expect(await key.verify(message, signature)).toBe(true);
    expect(await key.verify(Buffer.from('af83', 'hex'), signature)).toBe(false);
    expect(await key.verify(message, signature.subarray(1))).toBe(false);
    expect(await key.verify(message, Buffer.alloc(0))).toBe(false);
  });

  test.each([
    ['Ed25519', () => generateKeyPairSync('ed25519'), null],
    ['P-256', () => generateKeyPairSync('ec', { namedCurve: 'prime256v1' }), 'sha256'],
  ] as const)('round-trips a fresh %s key', async (_name, generate, digest) => {
    const { publicKey, privateKey } = generate();
    const key = parsePublicKey(publicKeyOf(publicKey));
    const message = Buffer.from('message');
    expect(await key.verify(message, nodeSign(digest, message, privateKey))).toBe(true);
    expect(key.keyid).toBe(keyId(publicKeyOf(publicKey)));
  });

  test.each<[string, PublicKey, string]>([
    ['upper-case hex', { ...ED25519, keyval: { public: ED25519.keyval.public.toUpperCase() } }, 'hex'],
    ['short hex', { ...ED25519, keyval: { public: 'ab' } }, 'hex'],
    ['a scheme of another type', { ...ED25519, scheme: 'rsassa-pss-sha256' }, 'PEM'],
    ['no PEM', { ...P256, keyval: { public: 'x' } }, 'PEM'],
    ['broken PEM', { ...P256, keyval: { public: P256.keyval.public.slice(0, 80) } }, 'cannot be read'],
  ])('refuses %s', (_what, key, message) => {
    expect(() => parsePublicKey(key)).toThrow(message);
  });

  test('refuses curves and kinds that some client cannot read', () => {
    const p384 = generateKeyPairSync('ec', { namedCurve: 'secp384r1' }).publicKey;
    expect(() => publicKeyOf(p384)).toThrow('secp384r1');
    const pem = p384.export({ type: 'spki', format: 'pem' }).toString();
    expect(() => parsePublicKey({ ...P256, keyval: { public: pem } })).toThrow('not P-256');
  });
});
