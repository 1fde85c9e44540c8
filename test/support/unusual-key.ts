// A repository whose first root names a P-384 key, made by the program's own commands.
import { randomBytes } from 'node:crypto';
import { FileKey } from '../../keys-ceremony/key-file.ts';
import { holderPublicKeyFile } from '../../keys-ceremony/public-key-file.ts';
import { foundCeremony, type Computer, type PlanOptions } from './ceremony-people.ts';

/** A folder with a plan whose holder-1 has a P-384 key; nothing is made yet. */
export async function unusualCeremony(folder: string, options: PlanOptions): Promise<Computer> {
  const office = await foundCeremony(folder, 'genesis', options);
  const key = await FileKey.generate('p384', randomBytes);
  office.keys.set('holder-1', key);
  const { keyid, publicKey } = key;
  await office.write(
    'holders/holder-1.pub.json',
    holderPublicKeyFile({ name: 'holder-1', keyid, key: publicKey, made: 'file' }),
  );
  return office;
}

/** The bundle of a genesis that holder-1 and holder-2 sign. */
export async function unusualBundle(folder: string, options: PlanOptions): Promise<Buffer> {
  const office = await unusualCeremony(folder, { ...options, allow: 'ecdsa-p384' });
  await office.ask('one-time');
  const { phrase } = (await office.ask('build')) as { phrase: string };
  await office.ask('sign', '--key', 'holder-1', '--code', phrase);
  await office.ask('sign', '--key', 'holder-2', '--code', phrase);
  await office.ask('verify');
  await office.ask('bundle');
  return office.read('bundle.json');
}
