// Interop rule 3: which clients lose a repository when root names a key of this kind.
import { generateKeyPairSync, type KeyObject } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { clientsThatCannotRead } from '../../keys-ceremony/client-support.ts';
import { publicKeyOf } from '../../src/tuf/keys.ts';

function curve(namedCurve: string): string {
  return pem(generateKeyPairSync('ec', { namedCurve }).publicKey);
}

function pem(key: KeyObject): string {
  return key.export({ type: 'spki', format: 'pem' }).toString();
}

const EVERYONE = ['python-tuf', 'tuf-js', 'go-tuf', 'tough'];

describe('clients that cannot read a key', () => {
  test('none, for what countersign makes', () => {
    for (const { publicKey } of [
      generateKeyPairSync('ed25519'),
      generateKeyPairSync('ec', { namedCurve: 'P-256' }),
    ]) {
      expect(clientsThatCannotRead(publicKeyOf(publicKey))).toEqual([]);
    }
  });

  test.each([
    ['ecdsa', 'ecdsa-sha2-nistp384', curve('P-384'), ['tuf-js', 'tough']],
    ['ecdsa', 'ecdsa-sha2-nistp256', curve('P-384'), EVERYONE],
    ['ecdsa-sha2-nistp256', 'ecdsa-sha2-nistp256', curve('P-256'), EVERYONE],
    ['ecdsa', 'ecdsa-sha2-nistp521', curve('P-521'), EVERYONE],
    ['ecdsa', 'ecdsa-sha2-nistp256', 'not a key', EVERYONE],
    ['ed25519', 'ed25519', 'AB'.repeat(32), EVERYONE],
    ['ed448', 'ed448', pem(generateKeyPairSync('ed448').publicKey), EVERYONE],
  ])('%s with %s', (keytype, scheme, value, clients) => {
    expect(clientsThatCannotRead({ keytype, scheme, keyval: { public: value } })).toEqual(clients);
  });

  test('RSA by its padding and its size', () => {
    const keyOf = (modulusLength: number): string => pem(generateKeyPairSync('rsa', { modulusLength }).publicKey);
    const clients = (scheme: string, value: string): string[] =>
      clientsThatCannotRead({ keytype: 'rsa', scheme, keyval: { public: value } });
    const key = keyOf(2048);
    expect(clients('rsassa-pss-sha256', key)).toEqual([]);
    expect(clients('rsassa-pss-sha256', keyOf(1024))).toEqual(['tough']);
    expect(clients('rsa-pkcs1v15-sha256', key)).toContain('tuf-js');
    expect(clients('rsassa-pss-sha256', curve('P-256'))).toEqual(EVERYONE);
  });
});
