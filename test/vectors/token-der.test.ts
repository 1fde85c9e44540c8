// The DER that tokens speak, in every spelling that was seen.
import { createHash, generateKeyPairSync, sign, verify } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import {
  algorithmOf,
  derSignature,
  ED25519_PARAMS,
  P256_PARAMS,
  publicKeyOfPoint,
} from '../../src/signing/pkcs11/der.ts';
import { publicKeyOf } from '../../src/tuf/keys.ts';

test.each(['ed25519', 'ecdsa-p256'] as const)('a point of %s, raw, as OCTET STRING or BIT STRING', (algorithm) => {
  const { publicKey } =
    algorithm === 'ed25519' ? generateKeyPairSync('ed25519') : generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const spki = publicKey.export({ type: 'spki', format: 'der' });
  const point = spki.subarray(algorithm === 'ed25519' ? -32 : -65);
  const expected = publicKeyOf(publicKey);
  const octets = Buffer.concat([Buffer.from([4, point.length]), point]);
  const bits = Buffer.concat([Buffer.from([3, point.length + 1, 0]), point]);
  for (const form of [point, octets, bits]) expect(publicKeyOfPoint(algorithm, form)).toEqual(expected);
  for (const form of [Buffer.alloc(0), point.subarray(1), Buffer.concat([octets, Buffer.alloc(1)]), spki]) {
    expect(() => publicKeyOfPoint(algorithm, form)).toThrow('the public key on the token');
  }
});

test('a raw key that begins like an OCTET STRING is a key', () => {
  const raw = Buffer.alloc(32, 7);
  raw[0] = 4;
  raw[1] = 32;
  expect(publicKeyOfPoint('ed25519', raw).keyval.public).toBe(raw.toString('hex'));
});

test('65 bytes that are no point of P-256 are refused', () => {
  expect(() => publicKeyOfPoint('ecdsa-p256', Buffer.alloc(65, 4))).toThrow('no point of ecdsa-p256');
});

test('curves', () => {
  expect(algorithmOf(P256_PARAMS)).toBe('ecdsa-p256');
  for (const form of ED25519_PARAMS) expect(algorithmOf(form)).toBe('ed25519');
  // P-384 and Ed448: no client of every kind reads them.
  expect(algorithmOf(Buffer.from('06052b81040022', 'hex'))).toBeUndefined();
  expect(algorithmOf(Buffer.from('06032b6571', 'hex'))).toBeUndefined();
});

describe('r and s in DER', () => {
  test('are what node writes, for a thousand signatures', () => {
    const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    for (let i = 0; i < 1000; i++) {
      const message = createHash('sha256').update(String(i)).digest();
      const raw = sign('sha256', message, { key: privateKey, dsaEncoding: 'ieee-p1363' });
      expect(verify('sha256', message, publicKey, derSignature(raw))).toBe(true);
    }
  });

  test('have no superfluous zeros, and one where the first bit is set', () => {
    const raw = Buffer.alloc(64);
    raw[31] = 1;
    raw[32] = 0x80;
    expect(derSignature(raw).toString('hex')).toBe(`302602010102210080${'00'.repeat(31)}`);
    expect(derSignature(Buffer.alloc(64)).toString('hex')).toBe('3006020100020100');
    expect(() => derSignature(Buffer.alloc(63))).toThrow('63 bytes, not 64');
  });
});
