// A kind of key that some clients cannot read: refused by name, or allowed by name, and then it works.
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import type { Finding } from '../../keys-ceremony/finding.ts';
import { FileKey } from '../../keys-ceremony/key-file.ts';
import { splitKey } from '../../keys-ceremony/paper-backup.ts';
import { parsePlan } from '../../keys-ceremony/parse-plan.ts';
import { parseBundle } from '../../src/tuf/bundle.ts';
import { parsePublicKey } from '../../src/tuf/keys.ts';
import { heldSigner, planText, type Computer } from '../support/ceremony-people.ts';
import { NOW } from '../support/genesis-repository.ts';
import { ManualClock } from '../support/manual-clock.ts';
import { expectSound } from '../support/oracle.ts';
import { foundRepository, publishPaths } from '../support/repository.ts';
import { tempDir } from '../support/temp-dir.ts';
import { unusualBundle, unusualCeremony } from '../support/unusual-key.ts';

async function algorithmFindings(office: Computer): Promise<Finding[]> {
  const { stdout } = await office.run(['plan', 'check', '--json']);
  const { findings } = JSON.parse(stdout) as { findings: Finding[] };
  return findings.filter(({ rule }) => rule === 'algorithm');
}

test('P-384 is refused with the clients that it loses, or allowed with a warning', async () => {
  const dir = await tempDir();
  const refused = await algorithmFindings(await unusualCeremony(join(dir, 'refused'), {}));
  expect(refused).toEqual([
    {
      rule: 'algorithm',
      severity: 'refuse',
      message: expect.stringMatching(
        /^key [0-9a-f]{64} of root is ecdsa-sha2-nistp384: tuf-js and tough cannot read it; .*allow-algorithms: \[ecdsa-p384\]"$/,
      ) as string,
    },
  ]);
  const allowed = await algorithmFindings(await unusualCeremony(join(dir, 'allowed'), { allow: 'ecdsa-p384' }));
  expect(allowed).toMatchObject([{ severity: 'warn' }]);
});

test('an online key of that kind is refused all the same', async () => {
  const office = await unusualCeremony(join(await tempDir(), 'online'), { allow: 'ecdsa-p384' });
  const text = (await office.read('holders/holder-1.pub.json')).toString();
  const { publicKey, keyid } = await FileKey.generate('p384', randomBytes);
  const online = { ...(JSON.parse(text) as object), name: 'online-1', keyid, key: publicKey };
  await office.write('online-1.pub.json', JSON.stringify(online));
  const found = await algorithmFindings(office);
  expect(found.filter(({ severity }) => severity === 'refuse')).toMatchObject([
    { message: expect.stringContaining('of timestamp is ecdsa-sha2-nistp384') as string },
  ]);
});

test('nothing else can be allowed', () => {
  expect(() => parsePlan(Buffer.from(planText('genesis', { allow: 'rsa-pss' })))).toThrow(
    'allow-algorithms.0 is "rsa-pss", expected ecdsa-p384',
  );
});

test('a holder signs root with it, and the repository is sound from root 1', async () => {
  const bundleBytes = await unusualBundle(join(await tempDir(), 'genesis'), {});
  const clock = new ManualClock(NOW + 60_000);
  const held = { bundleBytes, signer: await heldSigner('online-1') };
  const repository = await foundRepository({ bins: 4, clock, held });
  const schemes = [...(parseBundle(bundleBytes).roots[0]?.signed.keys.values() ?? [])].map(({ scheme }) => scheme);
  expect(schemes).toContain('ecdsa-sha2-nistp384');
  await publishPaths(repository, ['a/file']);
  const { store, rootBytes, ledger } = repository;
  await expectSound({ store, clock, rootBytes, ledger });
});

test('its signatures are over SHA-384, and it does not fit on paper', async () => {
  const key = await FileKey.generate('p384', randomBytes);
  const message = Buffer.from('root');
  const { sig } = await key.sign(message);
  const verifier = parsePublicKey(key.publicKey);
  expect(await verifier.verify(message, Buffer.from(sig, 'hex'))).toBe(true);
  expect(await verifier.verify(Buffer.from('toor'), Buffer.from(sig, 'hex'))).toBe(false);
  expect(await FileKey.of(key.privateKey())).toMatchObject({ keyid: key.keyid, algorithm: 'p384' });
  await expect(splitKey(key, { shares: 3, threshold: 2 }, randomBytes)).rejects.toThrow('does not fit on paper');
});
