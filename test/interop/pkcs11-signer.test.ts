// The contract of a signer with a key on a token of SoftHSM, and the command line around it.
import { execFile } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import process from 'node:process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { openPkcs11Signer } from '../../src/signing/pkcs11-signer.ts';
import { generateTokenKey } from '../../src/signing/pkcs11/generate-key.ts';
import { signerContract } from '../contracts/signer.contract.ts';
import { PIN, softHsm, startSoftHsm, type SoftHsm } from '../../scripts/interop/softhsm-tokens.ts';

const PROGRAM = fileURLToPath(new URL('../../dist/src/main.js', import.meta.url));
const ALGORITHMS = ['ed25519', 'ecdsa-p256'] as const;

describe.skipIf(softHsm.program === undefined)(`${softHsm.name} ${softHsm.reason}`, () => {
  let hsm: SoftHsm;
  beforeAll(async () => {
    hsm = await startSoftHsm();
    await hsm.initialize('online');
    for (const algorithm of ALGORITHMS) await generateTokenKey(uri(algorithm), PIN, algorithm);
  });
  afterAll(() => hsm.remove());

  const uri = (label: string): string => `pkcs11:token=online;object=${label}?module-path=${hsm.modulePath}`;

  for (const algorithm of ALGORITHMS) {
    signerContract(`PKCS#11 (SoftHSM), ${algorithm}`, () => openPkcs11Signer(uri(algorithm), PIN, true));
  }

  test('the command line makes a key on the token and shows it, with the PIN from a file', async () => {
    const folder = path.dirname(hsm.folder);
    await writeFile(path.join(folder, 'pin'), `${PIN}\n`, { mode: 0o600 });
    const signer = `${uri('fresh')}&pin-source=file:pin`;
    const key = async (...args: string[]): Promise<{ keyid: string }> => {
      const { stdout } = await promisify(execFile)(
        process.execPath,
        [PROGRAM, 'key', ...args, '--signer', signer, '--json'],
        { cwd: folder },
      );
      expect(stdout).not.toContain(PIN);
      return JSON.parse(stdout) as { keyid: string };
    };
    const made = await key('generate', '--algorithm', 'ecdsa-p256');
    expect(await key('show')).toEqual(made);
    await expect(key('generate')).rejects.toThrow('already; it is not replaced');
  });
});
