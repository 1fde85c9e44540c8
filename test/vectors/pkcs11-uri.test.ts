// The examples of RFC 7512, section 3, and what is no PKCS#11 URI, or none that names a key.
import { describe, expect, test } from 'vitest';
import { parseKeyUri, parsePkcs11Uri } from '../../src/lib/pkcs11-uri.ts';

const EXAMPLES: readonly (readonly [uri: string, attributes: Record<string, unknown>])[] = [
  ['pkcs11:', {}],
  ['pkcs11:object=my-pubkey;type=public', { object: 'my-pubkey', type: 'public' }],
  [
    'pkcs11:object=my-key;type=private?pin-source=file:/etc/token',
    { object: 'my-key', type: 'private', pinSource: 'file:/etc/token' },
  ],
  [
    'pkcs11:token=The%20Software%20PKCS%2311%20Softtoken;manufacturer=Snake%20Oil,%20Inc.;model=1.0;object=my-certificate;type=cert;id=%69%95%3E%5C%F4%BD%EC%91;serial=?pin-source=file:/etc/token_pin',
    {
      token: 'The Software PKCS#11 Softtoken',
      manufacturer: 'Snake Oil, Inc.',
      model: '1.0',
      object: 'my-certificate',
      type: 'cert',
      id: Buffer.from('69953e5cf4bdec91', 'hex'),
      serial: '',
      pinSource: 'file:/etc/token_pin',
    },
  ],
  [
    'pkcs11:object=my-sign-key;type=private?module-name=mypkcs11',
    { object: 'my-sign-key', type: 'private', moduleName: 'mypkcs11' },
  ],
  [
    'pkcs11:object=my-sign-key;type=private?module-path=/mnt/libmypkcs11.so.1',
    { object: 'my-sign-key', type: 'private', modulePath: '/mnt/libmypkcs11.so.1' },
  ],
  [
    'pkcs11:token=Software%20PKCS%2311%20softtoken;manufacturer=Snake%20Oil,%20Inc.?pin-value=the-pin',
    { token: 'Software PKCS#11 softtoken', manufacturer: 'Snake Oil, Inc.', pinValue: 'the-pin' },
  ],
  ['pkcs11:slot-description=Sun%20Metaslot', { slotDescription: 'Sun Metaslot' }],
  [
    'pkcs11:library-manufacturer=Snake%20Oil,%20Inc.;library-description=Soft%20Token%20Library;library-version=1.23',
    {
      libraryManufacturer: 'Snake Oil, Inc.',
      libraryDescription: 'Soft Token Library',
      libraryVersion: '1.23',
    },
  ],
  [
    'pkcs11:token=My%20token%25%20created%20by%20Joe;library-version=3;id=%01%02%03%Ba%dd%Ca%fe%04%05%06',
    {
      token: 'My token% created by Joe',
      libraryVersion: '3',
      id: Buffer.from('010203badd' + 'cafe040506', 'hex'),
    },
  ],
  [
    'pkcs11:token=A%20name%20with%20a%20substring%20%25%3B;object=my-certificate;type=cert',
    { token: 'A name with a substring %;', object: 'my-certificate', type: 'cert' },
  ],
  [
    'pkcs11:token=Name%20with%20a%20small%20A%20with%20acute:%20%C3%A1;object=my-certificate;type=cert',
    { token: 'Name with a small A with acute: \u00e1', object: 'my-certificate', type: 'cert' },
  ],
  [
    'pkcs11:token=my-token;object=my-certificate;type=cert;vendor-aaa=value-a?pin-source=file:/etc/token_pin&vendor-bbb=value-b',
    {
      token: 'my-token',
      object: 'my-certificate',
      type: 'cert',
      pinSource: 'file:/etc/token_pin',
      vendor: ['vendor-aaa', 'vendor-bbb'],
    },
  ],
];

describe('the examples of RFC 7512', () => {
  test.each(EXAMPLES)('%s', (uri, attributes) => {
    expect(parsePkcs11Uri(uri)).toEqual({ vendor: [], ...attributes });
  });
});

test('the scheme has no case, a semicolon and an ampersand are separators only where they should be', () => {
  expect(parsePkcs11Uri('PKCS11:object=a&b')).toEqual({ object: 'a&b', vendor: [] });
  expect(parsePkcs11Uri('pkcs11:?pin-source=|/bin/pin%20x')).toEqual({
    pinSource: '|/bin/pin x',
    vendor: [],
  });
  expect(parsePkcs11Uri('pkcs11:slot-id=327')).toEqual({ slotId: 327, vendor: [] });
});

describe('is no PKCS#11 URI', () => {
  test.each([
    ['pkcs12:token=a', 'does not begin with "pkcs11:"'],
    ['pkcs11:token', 'NAME=VALUE'],
    ['pkcs11:=a', 'NAME=VALUE'],
    ['pkcs11:token=a;', 'NAME=VALUE'],
    ['pkcs11:;token=a', 'NAME=VALUE'],
    ['pkcs11:token=a?', 'NAME=VALUE'],
    ['pkcs11:to%6ben=a', 'NAME=VALUE'],
    ['pkcs11:token=a b', 'must be written as %XX'],
    ['pkcs11:token=a/b', 'must be written as %XX'],
    ['pkcs11:token=a#b', 'must be written as %XX'],
    ['pkcs11:token=\u00e1', 'must be written as %XX'],
    ['pkcs11:token=a%4', 'must be written as %XX'],
    ['pkcs11:token=a%zz', 'must be written as %XX'],
    ['pkcs11:token=a?module-path=/a;b', 'must be written as %XX'],
    ['pkcs11:token=%ff', 'not UTF-8'],
    ['pkcs11:token=a;token=a', 'token twice'],
    ['pkcs11:?pin-source=a&pin-source=b', 'pin-source twice'],
    ['pkcs11:pin-source=file:a', 'belongs on the other side'],
    ['pkcs11:?token=a', 'belongs on the other side'],
    ['pkcs11:slot-id=x', 'expected digits'],
    ['pkcs11:slot-id=', 'expected digits'],
    ['pkcs11:type=key', 'expected one of public'],
    ['pkcs11:library-version=1.', 'expected digits such as'],
    ['pkcs11:?module-path=/a&module-name=b', 'both module-name and module-path'],
    [`pkcs11:token=${'a'.repeat(5000)}`, 'at most 4096'],
  ])('%s', (uri, problem) => {
    expect(() => parsePkcs11Uri(uri)).toThrow(problem);
  });
});

describe('names no key', () => {
  const good = 'pkcs11:token=t;object=o?module-path=/lib/p11.so';
  test('unless it has token, object and module', () => {
    expect(parseKeyUri(good)).toEqual({ token: 't', object: 'o', modulePath: '/lib/p11.so', vendor: [] });
    expect(parseKeyUri('pkcs11:serial=1;id=%01;type=private?module-path=/p').id).toEqual(Buffer.from([1]));
  });
  test.each([
    ['pkcs11:object=o?module-path=/p', 'neither token nor serial'],
    ['pkcs11:token=t?module-path=/p', 'neither object nor id'],
    ['pkcs11:token=t;object=o', 'no module-path='],
    ['pkcs11:token=t;object=o?module-path=p11.so', 'no module-path='],
    ['pkcs11:token=t;object=o?module-name=p', 'use module-path'],
    ['pkcs11:token=t;object=o;type=public?module-path=/p', 'only a private key signs'],
    ['pkcs11:token=t;object=o;slot-id=1?module-path=/p', 'slot-id, which changes'],
    ['pkcs11:token=t;objekt=o;object=o?module-path=/p', 'did you mean object'],
    ['pkcs11:token=t;object=o?module-path=/p&x-mode=1', 'not of RFC 7512'],
  ])('%s', (uri, problem) => {
    expect(() => parseKeyUri(uri)).toThrow(problem);
  });

  test('and a PIN in it is refused without showing it', () => {
    const thrown = (): unknown => parseKeyUri(`${good}&pin-value=98761234`);
    expect(thrown).toThrow('use pin-source');
    expect(thrown).not.toThrow('98761234');
  });
});
