// Targets and bins get one-time keys in every ceremony. Real ceremonies, imported one after the other while uploads
// arrive and clients (tuf-js and ours) update without a pause: none of them fails once.
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { systemClock } from '../../src/lib/clock.ts';
import { parseBundle, verifyBundle } from '../../src/tuf/bundle.ts';
import { heldSigner, holdCeremony } from '../support/ceremony-people.ts';
import { clientsUnderLoad } from '../support/clients-under-load.ts';
import { NOW } from '../support/genesis-repository.ts';
import { ManualClock } from '../support/manual-clock.ts';
import { expectSound } from '../support/oracle.ts';
import { startPublisher } from '../support/publisher-process.ts';
import { foundRepository } from '../support/repository.ts';
import { RunningClock } from '../support/running-clock.ts';
import { tempDir } from '../support/temp-dir.ts';

const RENEWALS = process.env['SLOW'] === '1' ? 8 : 2;
const DAY_MS = 86_400_000;

test('one-time keys of targets follow one another, and no client notices', { timeout: 300_000 }, async () => {
  const day = Math.floor((systemClock.now() - NOW) / DAY_MS);
  const dir = await tempDir();
  const signers = ['holder-1', 'holder-3'];
  const genesis = await holdCeremony(join(dir, 'genesis'), 'genesis', signers, { day });
  const repository = await foundRepository({
    bins: 4,
    clock: new ManualClock(systemClock.now() - 60_000),
    held: { bundleBytes: await genesis.read('bundle.json'), signer: await heldSigner('online-1') },
  });
  const { store, ledger, rootBytes } = repository;
  const clock = new RunningClock(systemClock.now(), 1);
  const load = await clientsUnderLoad(repository, clock);
  const { publisher } = startPublisher(repository.ports, { holder: 'renewals', clock });

  let bytes = await genesis.read('bundle.json');
  let former: readonly string[] = [];
  await load.during(async () => {
    for (let n = 1; n <= RENEWALS; n++) {
      const office = await holdCeremony(
        ...[join(dir, `renewal-${n}`), `renewal-${n}`, signers, { kind: 'update', day } as const, bytes],
      );
      const before = parseBundle(bytes);
      bytes = await office.read('bundle.json');
      const { root, targets } = (await verifyBundle(parseBundle(bytes), clock.now())).trusted;
      // Two that signed what is public, two that signed what comes; those of the generation before are gone.
      const wanted = [...targets.signatures, ...before.targets.signatures].map(({ keyid }) => keyid);
      expect(root.signed.roles.targets).toMatchObject({ threshold: 2 });
      expect(root.signed.roles.targets.keyids.toSorted()).toEqual(wanted.toSorted());
      expect(root.signed.roles.targets.keyids.some((keyid) => former.includes(keyid))).toBe(false);
      former = before.targets.signatures.map(({ keyid }) => keyid);

      expect(await load.settle('import', bytes.toString('utf8'))).toEqual({ rootWentAhead: true });
    }
    await publisher.stop();
  });
  expect(load.published.length).toBeGreaterThan(5);
  expect(await load.roots()).toEqual([1 + RENEWALS, 1 + RENEWALS]);
  await expectSound({ store, clock, rootBytes, ledger });
});
