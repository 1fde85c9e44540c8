// Waiting requests: woken by the publication that settles their events, whoever makes it.
import { describe, expect, test } from 'vitest';
import { openSqliteLedger } from '../../src/ledger/sqlite-ledger.ts';
import { systemClock, type Clock } from '../../src/lib/clock.ts';
import { PublicationWaiter } from '../../src/publish/waiter.ts';
import { digests, event, intent } from '../support/ledger-fixtures.ts';

const never = new AbortController().signal;

/** A clock on which sleeping takes until somebody wakes the sleeper: polling cannot help. */
const sleepless: Clock = {
  now: () => 0,
  sleep: (_ms, signal) =>
    new Promise((resolve) => {
      if (signal?.aborted === true) resolve();
      else
        signal?.addEventListener(
          'abort',
          () => {
            resolve();
          },
          { once: true },
        );
    }),
};

async function ledgerWith(...ids: string[]) {
  const ledger = await openSqliteLedger(':memory:');
  await ledger.append(
    ids.map((id) => event(id)),
    1,
  );
  const { epoch } = await ledger.lease({ holder: 'a', ttlMs: 1000, now: 1 });
  let snapshot = 0;
  const publish = async (...positions: number[]): Promise<void> => {
    snapshot += 1;
    const founding = snapshot === 1 ? { bundle: 'b', trustedRoot: '{}' } : {};
    const next = intent(snapshot, { ...founding, at: snapshot, events: positions });
    await ledger.advance(epoch, next);
    await ledger.finish(next, [], digests(next), snapshot);
  };
  return { ledger, publish };
}

describe('publication waiter', () => {
  test('events of one request that two publications settle wake it at each of them', async () => {
    const { ledger, publish } = await ledgerWith('x', 'y');
    const waiter = new PublicationWaiter(ledger, sleepless);
    const waiting = waiter.wait(['x', 'y'], 1000, never);
    await publish(1);
    waiter.settled(['x']);
    await publish(2);
    waiter.settled(['y']);
    expect([...(await waiting).values()]).toEqual([
      { state: 'published', snapshot: 1 },
      { state: 'published', snapshot: 2 },
    ]);
    await ledger.close();
  });

  test('a publication of other events does not make a waiting request ask the ledger', async () => {
    const { ledger } = await ledgerWith('x');
    let questions = 0;
    const counted = Object.create(ledger, {
      events: {
        value: (ids: string[]) => {
          questions += 1;
          return ledger.events(ids);
        },
      },
    }) as typeof ledger;
    const waiter = new PublicationWaiter(counted, sleepless);
    const stop = new AbortController();
    const waiting = waiter.wait(['x'], 1000, stop.signal);
    for (let i = 0; i < 100; i++) waiter.settled([`other-${i}`]);
    await new Promise(setImmediate);
    expect(questions).toBe(1);
    stop.abort();
    expect((await waiting).get('x')).toEqual({ state: 'accepted' });
    await ledger.close();
  });

  test('what another process publishes is told to all with one question, and wakes whom it concerns', async () => {
    const { ledger, publish } = await ledgerWith('x', 'y');
    let questions = 0;
    const counted = Object.create(ledger, {
      events: {
        value: (ids: string[]) => {
          questions += 1;
          return ledger.events(ids);
        },
      },
    }) as typeof ledger;
    const waiter = new PublicationWaiter(counted, sleepless);
    const stop = new AbortController();
    const [first, second] = [waiter.wait(['x'], 1000, never), waiter.wait(['y'], 1000, stop.signal)];
    await publish(1);
    await Promise.all([waiter.publishedElsewhere(), waiter.publishedElsewhere()]);
    expect((await first).get('x')).toEqual({ state: 'published', snapshot: 1 });
    // One for each at first, two for both of them (the second notice came during the first), one more for x.
    expect(questions).toBe(5);
    stop.abort();
    expect((await second).get('y')).toEqual({ state: 'accepted' });
    await ledger.close();
  });

  test('what another process publishes is found by asking', async () => {
    const { ledger, publish } = await ledgerWith('x');
    const waiter = new PublicationWaiter(ledger, systemClock);
    const waiting = waiter.wait(['x'], 10_000, never);
    await publish(1);
    expect((await waiting).get('x')).toEqual({ state: 'published', snapshot: 1 });
    await ledger.close();
  });
});
