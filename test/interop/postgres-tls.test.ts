// Encrypted connections to PostgreSQL: the server must prove the name that it was asked for, to an authority that was
// named.
import { execFile } from 'node:child_process';
import { readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';
import { expect, onTestFinished, test } from 'vitest';
import { openPostgresLedger } from '../../src/ledger/postgres-ledger.ts';
import { refused } from '../contracts/ledger.contract.ts';
import { event } from '../support/ledger-fixtures.ts';
import { tempDir } from '../support/temp-dir.ts';
import { startPostgres } from '../../scripts/interop/postgres-server.ts';

const run = promisify(execFile);

/** A certificate that signs itself, for one address. */
async function certificateFor(address: string, folder: string, name: string) {
  const [file, key] = [path.join(folder, `${name}.crt`), path.join(folder, `${name}.key`)];
  await run('openssl', [
    ...['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2'],
    ...['-subj', '/CN=ledger', '-addext', `subjectAltName=${address}`, '-keyout', key, '-out', file],
  ]);
  return { file, certificate: await readFile(file, 'utf8'), key: await readFile(key, 'utf8') };
}

test('verify-full takes the server that proves its address, and nobody else', async () => {
  const folder = await tempDir();
  const own = await certificateFor('IP:127.0.0.1', folder, 'own');
  const other = await certificateFor('IP:127.0.0.1', folder, 'other');
  const server = await startPostgres(own);
  onTestFinished(() => server.stop());
  const plain = await server.createDatabase('tls');
  const open = (rootCertificate: string | undefined, host = plain.host) =>
    openPostgresLedger(
      server.access({
        ...plain,
        host,
        tls: 'verify-full',
        ...(rootCertificate === undefined ? {} : { rootCertificate }),
      }),
    );

  const ledger = await open(own.file);
  await ledger.append([event('a')], 1);
  const sessions = await server.sql<{ ssl: boolean }>(
    'postgres',
    `SELECT DISTINCT s.ssl FROM pg_stat_ssl AS s JOIN pg_stat_activity AS a USING (pid) WHERE a.usename = 'countersign'`,
  );
  expect(sessions).toEqual([{ ssl: true }]);
  await ledger.close();

  expect((await refused('ledger-unavailable', open(other.file))).message).toMatch(/self-signed|certificate/);
  expect((await refused('ledger-unavailable', open(undefined))).message).toMatch(/self-signed|certificate/);
  expect((await refused('ledger-unavailable', open(own.file, 'localhost'))).message).toMatch(/altnames/);
  await refused('config-invalid', open(path.join(folder, 'missing.pem')));
  await writeFile(path.join(folder, 'empty.pem'), '');
  await refused('ledger-unavailable', open(path.join(folder, 'empty.pem')));
});

test('a server without TLS is refused, not spoken to in the clear', async () => {
  const own = await certificateFor('IP:127.0.0.1', await tempDir(), 'own');
  const server = await startPostgres();
  onTestFinished(() => server.stop());
  const location = await server.createDatabase('plain');
  const access = server.access({ ...location, tls: 'verify-full', rootCertificate: own.file });
  const error = await refused('ledger-unavailable', openPostgresLedger(access));
  expect(error.message).toContain('does not support SSL');
});
