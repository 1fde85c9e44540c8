// What tired people and worn-out sticks do to a ceremony: a mistyped name, a medium that is not mounted, a file of another
// ceremony, a copy that ended too early. Each makes no difference, or is refused with what to do about it.
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { runInProcess } from '../support/cli-command.ts';
import { foundCeremony } from '../support/ceremony-people.ts';
import { fakeTransit } from '../support/fake-transit.ts';
import { tempDir } from '../support/temp-dir.ts';

test('the public key of a service whose key is in Vault is what "key show --json" prints', async () => {
  const service = await fakeTransit(1);
  const dir = await tempDir();
  const uri = `vault:transit/online?address=${service.address}&version=1`;
  const shown = await runInProcess(dir, { VAULT_TOKEN: 't' }, ['key', 'show', '--signer', uri, '--json']);
  expect(shown).toMatchObject({ status: 0 });
  const office = await foundCeremony(join(dir, 'office'), 'genesis');
  await office.write('online-1.pub.json', shown.out);
  const { findings } = await office.ask('plan', 'check');
  expect(findings).toEqual([]);
});
