// A thread of the publisher as it is built, on a store whose writes go wrong as the test has planned (thread-faults.ts).
import process from 'node:process';
import { getEnvironmentData, parentPort } from 'node:worker_threads';
import { CountersignError } from '../../dist/src/lib/errors.js';
import { BinJobs } from '../../dist/src/publish/bin-threads.js';
import { answer } from '../../dist/src/publish/threads.js';

const { shared, places, faults } = getEnvironmentData('faults of threads');

function faulty(store) {
  const refuse = () => {
    if (Atomics.load(shared, places.dead) === 1)
      throw new CountersignError('store-unavailable', 'this process is dead');
  };
  return {
    get: async (name, maxBytes) => {
      refuse();
      return store.get(name, maxBytes);
    },
    putImmutable: async (name, bytes) => {
      refuse();
      const nth = Atomics.add(shared, places.writes, 1) + 1;
      if (nth !== Atomics.load(shared, places.nth)) return store.putImmutable(name, bytes);
      Atomics.store(shared, places.happened, 1);
      const fault = faults[Atomics.load(shared, places.fault)];
      // Within a thread this ends the thread, whatever it is doing.
      if (fault === 'ends its thread before it') process.exit();
      if (fault !== 'fails') await store.putImmutable(name, bytes);
      if (fault === 'ends its thread after it') process.exit();
      if (fault === 'dies after it') Atomics.store(shared, places.dead, 1);
      throw new CountersignError('store-unavailable', `write ${nth} of threads ${fault}`);
    },
  };
}

const publication = new BinJobs();
answer(
  parentPort,
  (job, ports) => publication.perform(job, { ...ports, store: faulty(ports.store) }),
  () => [],
);
