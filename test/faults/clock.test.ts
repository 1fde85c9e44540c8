// The clock is wrong, or the service was away for long. Time T of a publication never goes back: what is signed later
// must not expire earlier.
import { expect, test } from 'vitest';
import type { Change } from '../../src/ledger/ledger.ts';
import { parseExpires } from '../../src/tuf/lifetimes.ts';
import { takeLease } from '../../src/publish/lease.ts';
import { Term } from '../../src/publish/term.ts';
import { loadOfflineRoles, loadSnapshot, loadTimestamp } from '../../src/publish/verified-reads.ts';
import { expectSound } from '../support/oracle.ts';
import { NaiveCatalogue, publicState, readBin } from '../support/public-state.ts';
import { eventually, startPublisher, untilRole, untilSettled } from '../support/publisher-process.ts';
import {
  accept,
  FOUNDED_AT,
  foundRepository,
  publishAll,
  publishPaths,
  targetOf,
  type TestRepository,
} from '../support/repository.ts';
import { RunningClock } from '../support/running-clock.ts';

const SECOND_MS = 1000;
const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;

function add(path: string): Change {
  return { op: 'add', path, target: targetOf(path) };
}

/** Milliseconds since the epoch at which the first of the online roles expires. */
async function earliestExpiry({ store, ports }: TestRepository): Promise<number> {
  const head = await ports.history.head();
  if (head === undefined) throw new Error('no head');
  const roles = await loadOfflineRoles(store, head);
  const snapshot = await loadSnapshot(store, roles, head.snapshot);
  const timestamp = await loadTimestamp(store, roles);
  const bins = await Promise.all(
    (await ports.history.bins()).map(({ bin }) => readBin(store, roles, snapshot, bin)),
  );
  const expires = [snapshot.expires, timestamp?.envelope.signed.expires ?? '', ...bins.map((b) => b.expires)];
  return Math.min(...expires.map(parseExpires));
}

test('an hour back: publication is held and says why, and goes on when the time has come again', async () => {
  const repository = await foundRepository({ bins: 4 });
  const clock = new RunningClock(FOUNDED_AT + 2 * HOUR_MS);
  const process = startPublisher(repository.ports, { holder: 'one', clock });
  await repository.ledger.append([{ id: 'before', changes: [add('a/1')] }], clock.now());
  await untilSettled(repository, ['before']);
  const { at } = (await repository.ledger.head()) ?? { at: 0 };
  clock.jump(-HOUR_MS);
  await repository.ledger.append([{ id: 'meanwhile', changes: [add('b/2')] }], clock.now());
  await untilRole(process, 'held', 'clock-backwards');
  expect(process.publisher.status().problem?.message).toContain(new Date(at).toISOString());
  expect((await repository.ledger.events(['meanwhile'])).get('meanwhile')?.state.state).toBe('accepted');
  clock.jump(HOUR_MS);
  await untilSettled(repository, ['meanwhile']);
  await untilRole(process, 'publishing');
  expect((await repository.ledger.head())?.at).toBeGreaterThanOrEqual(at);
});

test('some seconds back are a correction: time T stands still until the clock has caught up', async () => {
  const repository = await foundRepository({ bins: 4 });
  const { clock, ledger } = repository;
  clock.advance(HOUR_MS);
  await publishPaths(repository, ['a/1']);
  const before = (await ledger.head())?.at ?? 0;
  clock.advance(-30 * SECOND_MS);
  await publishPaths(repository, ['b/2']);
  expect(await ledger.head()).toMatchObject({ snapshot: 3, at: before });
  clock.advance(31 * SECOND_MS);
  await publishPaths(repository, ['c/3']);
  expect((await ledger.head())?.at).toBe(before + SECOND_MS);
  clock.advance(-61 * SECOND_MS);
  await accept(repository, [add('d/4')], 'too far');
  clock.advance(10 * SECOND_MS);
  await publishAll(repository);
  clock.advance(-10 * SECOND_MS);
  await accept(repository, [add('e/5')], 'further');
  await expect(publishAll(repository)).rejects.toMatchObject({ code: 'clock-backwards' });
});

test('everything expired while the service was down: it starts, and renews everything', async () => {
  const repository = await foundRepository({ bins: 64 });
  await publishPaths(repository, ['a/1', 'b/2']);
  const clock = new RunningClock(FOUNDED_AT + 10 * DAY_MS);
  expect(await earliestExpiry(repository)).toBeLessThan(clock.now());
  const process = startPublisher(repository.ports, { holder: 'one', clock });
  await repository.ledger.append([{ id: 'new', changes: [add('c/3')] }], clock.now());
  await untilSettled(repository, ['new']);
  const fresh = async (): Promise<boolean> =>
    (await repository.ledger.bins()).every(({ expires }) => expires > clock.now() + HOUR_MS);
  await eventually('every bin is fresh', fresh);
  await process.publisher.stop();
  expect(await earliestExpiry(repository)).toBeGreaterThan(clock.now() + 12 * HOUR_MS);
  const model = new NaiveCatalogue();
  model.apply(['a/1', 'b/2', 'c/3'].map(add));
  expect((await publicState(repository.store, repository.ports)).targets).toEqual(model.listing());
});

test('a publication that was committed before a long downtime is finished as it was decided', async () => {
  const repository = await foundRepository({ bins: 4 });
  const { ports, ledger, store } = repository;
  await accept(repository, [add('a/1')], 'old');
  const dead = {
    ...ports,
    store: { ...watched(store), putImmutable: () => Promise.reject(new Error('died')) },
  };
  await expect(publishAll({ ports: dead })).rejects.toThrow('died');
  const { unfinished } = (await ledger.head()) ?? {};
  expect(unfinished).toMatchObject({ snapshot: 2 });
  repository.clock.advance(10 * DAY_MS);
  await publishAll(repository);
  const [, second] = await ledger.changes(0, 10);
  expect(second).toMatchObject({ snapshot: 2, at: unfinished?.at });
  expect(await earliestExpiry(repository)).toBeGreaterThan(repository.clock.now());
});

test('lifetimes changed between two runs: the new ones hold, nothing expires meanwhile', async () => {
  const repository = await foundRepository({ bins: 16 });
  const { ports, clock, ledger } = repository;
  await publishPaths(repository, ['a/1']);
  const settings = (hours: number): TestRepository['ports']['settings'] => {
    const ms = hours * HOUR_MS;
    return { ...ports.settings, lifetimes: { timestampMs: ms, snapshotMs: ms, binMs: ms } };
  };
  for (const hours of [2, 48, 1, 24]) {
    // Half an hour at a time: as long as the shortest of the lives lets one wait.
    for (let i = 0; i < 2 * hours + 4; i++) {
      await publishAll({ ports: { ...ports, settings: settings(hours) } });
      expect(await earliestExpiry(repository), `${hours} h, step ${i}`).toBeGreaterThan(clock.now());
      clock.advance(HOUR_MS / 4);
    }
    const longest = Math.max(...(await ledger.bins()).map(({ signedAt, expires }) => expires - signedAt));
    if (hours > 2) expect(longest).toBeGreaterThanOrEqual(hours === 1 ? 0 : hours * HOUR_MS - SECOND_MS);
  }
});

/** The methods of a store, to be changed by a test. */
function watched(store: TestRepository['store']): TestRepository['ports']['store'] {
  return {
    get: (name, maxBytes) => store.get(name, maxBytes),
    putImmutable: (name, bytes) => store.putImmutable(name, bytes),
    replace: (name, bytes, token) => store.replace(name, bytes, token),
    list: (prefix) => store.list(prefix),
    remove: (name) => store.remove(name),
  };
}

test('where publications are rare, each renews what comes due until the next', async () => {
  const interval = DAY_MS / 4;
  const repository = await foundRepository({ bins: 512, settings: { minIntervalMs: interval } });
  const { clock, ledger, ports } = repository;
  const term = await Term.begin(ports, await takeLease(ledger, clock, ports));
  for (let turn = 0; turn < 6; turn++) {
    clock.advance(interval);
    await accept(repository, [{ op: 'add', path: `a/${turn}`, target: targetOf('a') }]);
    expect((await term.publish())?.events).toHaveLength(1);
    expect(await term.publish()).toBeUndefined();
    expect((await earliestExpiry(repository)) - clock.now()).toBeGreaterThanOrEqual(DAY_MS / 4);
  }
  await expectSound(repository);
});
