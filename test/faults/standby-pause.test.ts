// A standby asks for the lease many times before it gets it. That is no failure: the first real one after the take-over
// is tried again at once, not after the longest pause.
import { setImmediate } from 'node:timers/promises';
import { expect, test } from 'vitest';
import type { Clock } from '../../src/lib/clock.ts';
import { CountersignError } from '../../src/lib/errors.ts';
import type { ObjectStore } from '../../src/storage/store.ts';
import { startPublisher, untilRole } from '../support/publisher-process.ts';
import { FOUNDED_AT, foundRepository } from '../support/repository.ts';

test('a take-over with one failed read does not wait for the longest pause', async () => {
  const repository = await foundRepository({ bins: 4 });
  let now = FOUNDED_AT + 3_600_000;
  const slept: number[] = [];
  const clock: Clock = {
    now: () => now,
    sleep: async (ms) => {
      slept.push(ms);
      now += ms;
      await setImmediate();
    },
  };
  await repository.ledger.lease({ holder: 'gone', ttlMs: 3000, now });
  let failures = 1;
  const store: ObjectStore = new Proxy(repository.store, {
    get: (target, property) => {
      const member: unknown = Reflect.get(target, property, target);
      if (property !== 'get') return typeof member === 'function' ? (member.bind(target) as unknown) : member;
      return async (name: string, maxBytes: number) => {
        const lease = await repository.ledger.currentLease();
        if (lease?.holder === 'heir' && failures-- > 0)
          throw new CountersignError('store-unavailable', 'planned');
        return repository.store.get(name, maxBytes);
      };
    },
  });
  const heir = startPublisher(repository.ports, { holder: 'heir', clock, ports: { store } });
  await untilRole(heir, 'publishing');
  await heir.publisher.stop();
  expect(failures).toBeLessThan(1);
  expect(slept.filter((ms) => ms > 1000)).toEqual([]);
});
