// The URIs of key services: what each means, and refusals that name the parameter.
import { describe, expect, test } from 'vitest';
import { parseSigner } from '../../src/config/backends.ts';
import { secretFiles, type KeyServiceSetting } from '../../src/config/signer-uri.ts';

const parse = (value: string) => parseSigner({ value, source: 'signer' }, '/etc/countersign');

const address = 'https://vault.example.org:8200';

describe('means', () => {
  const cases: readonly (readonly [uri: string, setting: object])[] = [
    [
      `vault:transit/online?address=${address}`,
      { kind: 'vault', mount: 'transit', key: 'online', vault: { address, login: { method: 'token' } } },
    ],
    [
      `vault:team/a/transit/online?address=${address}/&namespace=ns/x&ca=ca.pem&version=3&token-file=token`,
      {
        kind: 'vault',
        mount: 'team/a/transit',
        key: 'online',
        version: 3,
        vault: {
          address,
          namespace: 'ns/x',
          caFile: '/etc/countersign/ca.pem',
          login: { method: 'token', tokenFile: '/etc/countersign/token' },
        },
      },
    ],
    [
      `vault:transit/online?address=${address}&auth=approle&role-id=a-b&secret-id-file=/run/id&auth-mount=ci/approle`,
      {
        kind: 'vault',
        mount: 'transit',
        key: 'online',
        vault: {
          address,
          login: { method: 'approle', mount: 'ci/approle', roleId: 'a-b', secretIdFile: '/run/id' },
        },
      },
    ],
    [
      'vault-kv:secret/a/b?address=http://127.0.0.1:8200&kv=1&auth=kubernetes&role=signer#key',
      {
        kind: 'vault-kv',
        mount: 'secret',
        path: 'a/b',
        field: 'key',
        engine: 1,
        vault: {
          address: 'http://127.0.0.1:8200',
          login: {
            method: 'kubernetes',
            mount: 'kubernetes',
            role: 'signer',
            jwtFile: '/var/run/secrets/kubernetes.io/serviceaccount/token',
          },
        },
      },
    ],
    [
      'pkcs11:token=t;object=o?module-path=/p.so&pin-source=file:pin',
      {
        kind: 'pkcs11',
        uri: 'pkcs11:token=t;object=o?module-path=/p.so&pin-source=file:pin',
        pinFile: '/etc/countersign/pin',
      },
    ],
    ['awskms:alias/a?region=eu-west-1', { kind: 'awskms', key: 'alias/a', region: 'eu-west-1' }],
    [
      'awskms:arn:aws:kms:eu-west-1:123456789012:key/1234abcd-12ab?endpoint=http://localhost:5000',
      {
        kind: 'awskms',
        key: 'arn:aws:kms:eu-west-1:123456789012:key/1234abcd-12ab',
        endpoint: 'http://localhost:5000',
      },
    ],
  ];
  test.each(cases)('%s', (uri, setting) => {
    expect(parse(uri)).toEqual(setting);
  });

  test('a PIN file by either form of a file URI, or none', () => {
    const pinFile = (source: string) => {
      const setting = parse(`pkcs11:token=t;object=o?module-path=/p.so${source}`);
      return setting.kind === 'pkcs11' ? setting.pinFile : 'no';
    };
    expect(pinFile('&pin-source=file:///run/pin')).toBe('/run/pin');
    expect(pinFile('&pin-source=file:/run/pin')).toBe('/run/pin');
    expect(pinFile('')).toBeUndefined();
  });

  test('which files hold secrets', () => {
    const files = (uri: string) => secretFiles(parse(uri) as KeyServiceSetting);
    expect(files(`vault:transit/online?address=${address}&token-file=/t`)).toEqual(['/t']);
    expect(files(`vault:t/o?address=${address}&auth=approle&role-id=r&secret-id-file=/s`)).toEqual(['/s']);
    expect(files('pkcs11:token=t;object=o?module-path=/p.so&pin-source=file:/pin')).toEqual(['/pin']);
    expect(files('awskms:alias/a')).toEqual([]);
  });
});

describe('is refused', () => {
  test.each([
    ['vault:online', 'does not name a mount and a key'],
    ['vault:transit/online', 'has no address='],
    ['vault:transit/../sys?address=https://a', 'as its mount'],
    ['vault:transit/on%2Fline?address=https://a', 'as its key'],
    ['vault:transit/online?address=http://vault.example.org:8200', 'use https:'],
    ['vault:transit/online?address=https://a/path', 'no plain origin'],
    ['vault:transit/online?address=https://u:p@a', 'no plain origin'],
    ['vault:transit/online?adress=https://a', 'did you mean address'],
    ['vault:transit/online?address=https://a&address=https://b', 'address twice'],
    ['vault:transit/online?address=https://a&auth=ldap', 'expected one of token, approle, kubernetes'],
    ['vault:transit/online?address=https://a&auth=approle&role-id=x', 'has no secret-id-file='],
    ['vault:transit/online?address=https://a&role=x', 'does not go with auth=token'],
    ['vault:transit/online?address=https://a&version=0', 'a whole number from 1'],
    ['vault:transit/online?address=https://a&kv=1', 'unknown parameter "kv"'],
    ['vault-kv:secret/a?address=https://a', 'a mount, a path and a field'],
    ['vault-kv:secret/a?address=https://a&kv=3#f', 'expected 1 or 2'],
    ['pkcs11:object=o', 'cannot be used: the PKCS#11 URI has no module-path'],
    ['pkcs11:token=t;object=o?module-path=/p.so&pin-source=|/bin/pin', 'commands are not run'],
    ['pkcs11:token=t;object=o?module-path=/p.so&pin-source=file://host/pin', 'no file:PATH'],
    ['awskms:', 'expected alias/NAME'],
    ['awskms:alias/a?region=a/b', 'as its region'],
    ['awskms:alias/a?endpoint=http://kms.example.org', 'use https:'],
    ['awskms:alias/a?profile=x', 'unknown parameter "profile"'],
  ])('%s', (uri, problem) => {
    expect(() => parse(uri)).toThrow(problem);
  });

  test('a PIN in a URI is not repeated', () => {
    const uri = 'pkcs11:token=t;object=o?module-path=/p.so&pin-value=918273';
    expect(() => parse(uri)).toThrow('use pin-source');
    expect(() => parse(uri)).not.toThrow('918273');
  });
});
