// The same edge behind TLS, with a certificate made for the test.
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { request } from 'node:https';
import path from 'node:path';
import { expect, test } from 'vitest';
import { tempDir } from '../support/temp-dir.ts';
import { startService } from './service.ts';

function hasOpenssl(): boolean {
  try {
    execFileSync('openssl', ['version'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

test.skipIf(!hasOpenssl())(
  'a service with a certificate speaks TLS 1.2 or newer, and nothing else',
  async () => {
    const directory = await tempDir();
    const [key, certificate] = [path.join(directory, 'key.pem'), path.join(directory, 'cert.pem')];
    const subject = ['-subj', '/CN=localhost', '-addext', 'subjectAltName=IP:127.0.0.1'];
    const newKey = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-keyout', key];
    execFileSync('openssl', ['req', '-x509', ...newKey, '-out', certificate, '-days', '2', ...subject], {
      stdio: 'ignore',
    });
    const pem = { certificate: readFileSync(certificate, 'utf8'), key: readFileSync(key, 'utf8') };
    const service = await startService({ tls: pem });
    const origin = (await service.listen()).replace('http:', 'https:');
    const ask = (options: object) =>
      new Promise<number | undefined>((resolve, reject) => {
        const call = request(
          `${origin}/healthz`,
          { ca: pem.certificate, agent: false, ...options },
          (answer) => {
            answer.resume();
            resolve(answer.statusCode);
          },
        );
        call.on('error', reject);
        call.end();
      });
    expect(await ask({})).toBe(200);
    await expect(ask({ maxVersion: 'TLSv1.1', minVersion: 'TLSv1' })).rejects.toThrow();
    await expect(fetch(`${origin.replace('https:', 'http:')}/healthz`)).rejects.toThrow();
  },
);
