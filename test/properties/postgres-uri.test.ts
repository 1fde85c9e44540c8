// The address of a PostgreSQL ledger: read strictly, and never a password in it or in a message about it.
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { parseLedger } from '../../src/config/backends.ts';
import { parseConfig } from '../../src/config.ts';
import { tempDir } from '../support/temp-dir.ts';

const parse = (value: string) => parseLedger({ value, source: 'ledger' }, '/srv/index');

describe('postgres://', () => {
  test.each([
    [
      'postgres://countersign@db.example/ledger',
      { host: 'db.example', port: 5432, database: 'ledger', tls: 'verify-full' },
    ],
    ['postgresql://countersign@127.0.0.1:6432/l', { host: '127.0.0.1', port: 6432, tls: 'disable' }],
    ['postgres://countersign@[::1]:1/l', { host: '::1', port: 1, tls: 'disable' }],
    ['postgres://a%40b@db/l%2Fm?sslmode=disable', { user: 'a@b', database: 'l/m', tls: 'disable' }],
    [
      'postgres://u@localhost/l?sslrootcert=ca.pem',
      { tls: 'verify-full', rootCertificate: '/srv/index/ca.pem' },
    ],
    ['postgres://u@/l?host=/run/postgresql', { host: '/run/postgresql', port: 5432, tls: 'disable' }],
    ['postgres://u@/l?host=/run/postgresql&port=5433', { host: '/run/postgresql', port: 5433 }],
    ['postgres://u@pooler:6432/l?listen=db:5433', { port: 6432, listen: { host: 'db', port: 5433 } }],
    ['postgres://u@pooler:6432/l?listen=none', { listen: 'none' }],
  ])('%s', (text, expected) => {
    expect(parse(text)).toMatchObject({ kind: 'postgres', ...expected });
  });

  test.each([
    ['postgres://u:hunter2@db/l'],
    ['postgres://u@db/l?password=hunter2'],
    ['postgres://u:hunter2@a@db/l'],
    ['postgres://u:hunt/er2@db/l'],
    ['postgresql://u:hunter2@db'],
    ['postgres://:hunter2@db/l'],
  ])('a password is refused, not shown, and told where it belongs: %s', (text) => {
    let message = '';
    try {
      parse(text);
    } catch (error) {
      message = String(error);
    }
    expect(message).toMatch(/has a password.*ledger-password.*PGPASSWORD/);
    expect(message).not.toMatch(/hunt|er2/);
  });

  test.each([
    ['postgres://db/l', /no user/],
    ['postgres://u@db', /no user or no database/],
    ['postgres://u@db/', /no database/],
    ['postgres://u@a,b/l', /no single host/],
    ['postgres://u@db:0/l', /port that is none/],
    ['postgres://u@db:99999/l', /port that is none/],
    ['postgres://u@db/l?sslmode=require', /"require" as its sslmode, expected verify-full or disable/],
    ['postgres://u@db/l?sslmode=prefer', /sslmode/],
    ['postgres://u@db/l?sslmode=disable&sslrootcert=x', /does not use it/],
    ['postgres://u@db/l?sslmod=verify-full', /unknown parameter "sslmod", did you mean sslmode/],
    ['postgres://u@db/l?listen=db&listen=db', /twice/],
    ['postgres://u@db/l?listen=', /without a value/],
    ['postgres://u@db/l?host=/run', /Unix socket only/],
    ['postgres://u@%zz/l', /no single host/],
    ['postgres://%00@db/l', /not a name/],
    ['postgres://u@db/l#x', /no user or no database/],
  ])('%s is refused', (text, reason) => {
    expect(() => parse(text)).toThrow(reason);
  });
});

describe('the password of the ledger', () => {
  const load = (env: Record<string, string>, base = '/srv') =>
    parseConfig({ file: 'countersign.yaml', text: 'ledger: postgres://u@db/l', base, env });

  test('comes from the environment, or from a private file that is read each time', async () => {
    expect(load({}).secrets.ledgerPassword).toBeUndefined();
    expect(await load({ COUNTERSIGN_LEDGER_PASSWORD: 'one' }).secrets.ledgerPassword?.()).toBe('one');
    const file = path.join(await tempDir(), 'password');
    await writeFile(file, 'two\n', { mode: 0o600 });
    const { config, secrets } = load({ COUNTERSIGN_LEDGER_PASSWORD_FILE: file });
    expect(await secrets.ledgerPassword?.()).toBe('two');
    await writeFile(file, 'three\n');
    expect(await secrets.ledgerPassword?.()).toBe('three');
    expect(JSON.stringify({ config, secrets })).not.toMatch(/two|three/);
  });

  test('in both places is a mistake, and in a public file too', async () => {
    const both = { COUNTERSIGN_LEDGER_PASSWORD: 'one', COUNTERSIGN_LEDGER_PASSWORD_FILE: '/srv/p' };
    expect(() => load(both)).toThrow(/are both set/);
    const file = path.join(await tempDir(), 'password');
    await writeFile(file, 'two\n', { mode: 0o644 });
    const { secrets } = load({ COUNTERSIGN_LEDGER_PASSWORD_FILE: file });
    await expect(secrets.ledgerPassword?.()).rejects.toThrow(/open to other users/);
  });
});
