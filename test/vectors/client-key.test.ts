// TUF 4.2.1: what counts is the key, however it is written (src/client/roles/client-key.ts).
import { generateKeyPairSync, sign, type KeyObject } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { ClientKey } from '../../src/client/roles/client-key.ts';

function clientKey(keytype: string, scheme: string, value: string): ClientKey {
  const fields = new Map<string, string | Map<string, string>>([
    ['keytype', keytype],
    ['scheme', scheme],
    ['keyval', new Map([['public', value]])],
  ]);
  return new ClientKey({ value: fields, where: 'key' });
}

function pem(key: KeyObject): string {
  return key.export({ type: 'spki', format: 'pem' }).toString();
}

/** The last bytes of a SubjectPublicKeyInfo. */
function raw(key: KeyObject, length: number): string {
  return key.export({ type: 'spki', format: 'der' }).subarray(-length).toString('hex');
}

const KINDS = [
  { scheme: 'ed25519', keytype: 'ed25519', digest: null, pair: generateKeyPairSync('ed25519'), rawLength: 32 },
  {
    scheme: 'ecdsa-sha2-nistp256',
    keytype: 'ecdsa',
    digest: 'sha256',
    pair: generateKeyPairSync('ec', { namedCurve: 'P-256' }),
    rawLength: 65,
  },
];

describe.each(KINDS)('$scheme', ({ scheme, keytype, digest, pair, rawLength }) => {
  const hex = raw(pair.publicKey, rawLength);
  const forms = [hex, hex.toUpperCase(), pem(pair.publicKey)].map((value) => clientKey(keytype, scheme, value));

  test('in hex, in capitals and in PEM it is one key', () => {
    const identity = pair.publicKey.export({ type: 'spki', format: 'der' }).toString('hex');
    expect(forms.map((key) => key.identity)).toEqual([identity, identity, identity]);
  });

  test.each([0, 1, 2000, 8191, 8192, 500_000])('verifies %i bytes in each form', async (length) => {
    const message = Buffer.alloc(length, 'a');
    const signature = sign(digest, message, pair.privateKey);
    const wrong = Buffer.from(signature);
    wrong[wrong.length - 1]! ^= 1;
    for (const key of forms) {
      expect(await key.verify(message, signature.toString('hex'))).toBe(true);
      for (const other of [wrong, signature.subarray(1), Buffer.from('30')]) {
        expect(await key.verify(message, other.toString('hex'))).toBe(false);
      }
      expect(await key.verify(Buffer.alloc(length + 1), signature.toString('hex'))).toBe(false);
    }
  });

  test('what is no such key has no identity and verifies nothing', async () => {
    const values = ['', hex.slice(2), `${hex}00`, `04${'ff'.repeat(64)}`, pem(pair.publicKey).slice(0, 60)];
    for (const key of values.map((value) => clientKey(keytype, scheme, value))) {
      expect(key.identity).toBeUndefined();
      expect(await key.verify(Buffer.alloc(1), '00'.repeat(64))).toBe(false);
    }
  });
});
