// A collection that is interrupted leaves a sound repository behind, not only one that the next collection mends.
import { expect, test } from 'vitest';
import { CountersignError } from '../../src/lib/errors.ts';
import { collectGarbage } from '../../src/publish/retention.ts';
import type { ObjectStore } from '../../src/storage/store.ts';
import { expectSound } from '../support/oracle.ts';
import { foundRepository, publishPaths } from '../support/repository.ts';

const HOUR_MS = 3_600_000;

/** The same store, in which only the first `allowed` removals take place. */
function tired(store: ObjectStore, allowed: number): { store: ObjectStore; removed: () => number } {
  let count = 0;
  return {
    removed: () => Math.min(count, allowed),
    store: {
      get: (name, maxBytes) => store.get(name, maxBytes),
      putImmutable: (name, bytes) => store.putImmutable(name, bytes),
      replace: (name, bytes, token) => store.replace(name, bytes, token),
      list: (prefix) => store.list(prefix),
      remove: async (name) => {
        count += 1;
        if (count > allowed) throw new CountersignError('store-unavailable', 'the disk went away');
        await store.remove(name);
      },
    },
  };
}

test('wherever the removal of objects ends, the repository is sound', async () => {
  for (let allowed = 0; ; allowed++) {
    const repository = await foundRepository({ bins: 4 });
    const { clock, ledger } = repository;
    for (const path of ['a/1', 'b/2', 'c/3']) {
      await publishPaths(repository, [path]);
      clock.advance(HOUR_MS);
    }
    const { store, removed } = tired(repository.store, allowed);
    const ports = { history: ledger, store, clock, snapshotsMs: HOUR_MS / 2, eventsMs: 24 * HOUR_MS };
    const whole = await collectGarbage(ports).then(
      () => true,
      () => false,
    );
    expect(removed()).toBe(allowed);
    await expectSound(repository);
    if (whole) {
      expect(allowed).toBeGreaterThan(5);
      return;
    }
  }
});
