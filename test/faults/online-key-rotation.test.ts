// The online key is replaced while uploads arrive and clients (tuf-js and ours) update without a pause: no update fails,
// no version goes back, nothing that was published vanishes.
import { expect, test } from 'vitest';
import { systemClock } from '../../src/lib/clock.ts';
import { clientsUnderLoad } from '../support/clients-under-load.ts';
import { bundleText, nextBundle } from '../support/next-ceremony.ts';
import { ManualClock } from '../support/manual-clock.ts';
import { expectSound } from '../support/oracle.ts';
import { eventually, startPublisher } from '../support/publisher-process.ts';
import { foundRepository, makeOfflineKeys } from '../support/repository.ts';
import { RunningClock } from '../support/running-clock.ts';
import { throwawaySigner } from '../support/throwaway-signer.ts';

const BINS = 16;
const ROTATIONS = process.env['SLOW'] === '1' ? 10 : 1;

test('no client notices', { timeout: 60_000 + ROTATIONS * 30_000 }, async () => {
  const repository = await foundRepository({
    bins: BINS,
    clock: new ManualClock(systemClock.now() - 60_000),
  });
  const { store, ledger, rootBytes } = repository;
  const clock = new RunningClock(systemClock.now(), 1);
  const load = await clientsUnderLoad(repository, clock);
  const rotate = async (): Promise<void> => {
    let { bundle, offlineKeys: keys, signer: old } = repository;
    for (let n = 0; n < ROTATIONS; n++) {
      const next = throwawaySigner(100 + n, n % 2 === 0 ? 'ecdsa-p256' : 'ed25519');
      const both = startPublisher(repository.ports, {
        holder: `rotation ${n}`,
        clock,
        ports: { signer: old, nextSigner: next },
      });
      for (const online of [[old, next], [next]]) {
        // Targets and bins have one-time keys: new ones in every ceremony.
        const offlineKeys = await makeOfflineKeys(1000 + n * 2 + online.length);
        const plan = { now: clock.now(), online, offlineKeys, targetsOverlap: true };
        bundle = await nextBundle(bundle, keys, plan);
        keys = { root: keys.root, targets: offlineKeys.targets, bins: offlineKeys.bins };
        await load.settle('import', bundleText(bundle));
        if (online.length === 2) {
          await load.settle('renew-all', '');
          expect(both.publisher.status().nextKey).toEqual({ keyid: next.keyid, binsSigned: BINS });
        }
      }
      await both.publisher.stop();
      old = next;
    }
    const after = startPublisher(repository.ports, { holder: 'after', clock, ports: { signer: old } });
    await load.everybodyUpdated();
    await eventually('the key alone publishes', () => after.publisher.status().lastPublication !== undefined);
    await after.publisher.stop();
  };
  await load.during(rotate);
  expect(load.published.length).toBeGreaterThan(5);
  expect(await load.roots()).toEqual([1 + 2 * ROTATIONS, 1 + 2 * ROTATIONS]);
  await expectSound({ store, clock, rootBytes, ledger });
});
