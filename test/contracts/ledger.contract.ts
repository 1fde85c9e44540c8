// What every ledger adapter must do: each sentence of the comments in src/ledger/ledger.ts, as a test.
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { sha256Hex } from '../../src/lib/bytes.ts';
import type { CountersignError, ErrorCode } from '../../src/lib/errors.ts';
import type { History, Intent, Ledger, TargetChange } from '../../src/ledger/ledger.ts';
import { digests, EXPIRES, event, intent, target } from '../support/ledger-fixtures.ts';

export type FullLedger = Ledger & History;

export interface LedgerUnderTest {
  readonly ledger: FullLedger;
  /** A second connection to the same ledger, or the same object where there can be only one. Disposed of with it. */
  readonly reopen: () => Promise<FullLedger>;
  readonly dispose: () => Promise<void>;
}

/** Expects `work` to reject with `code`; returns the error. */
export async function refused(code: ErrorCode, work: Promise<unknown>): Promise<CountersignError> {
  const outcome = await work.then(
    (value) => ({ value }),
    (error: unknown) => ({ error }),
  );
  expect(outcome).toMatchObject({ error: { code } });
  return (outcome as { error: CountersignError }).error;
}

/** Commits and settles one publication. */
export async function publish(
  ledger: FullLedger,
  planned: Intent,
  changes: readonly TargetChange[] = [],
  now: number = planned.at + 10,
): Promise<void> {
  const { epoch } = await ledger.lease({ holder: 'publisher', ttlMs: 60_000, now });
  await ledger.advance(epoch, planned);
  await ledger.finish(planned, changes, digests(planned), now);
}

export function ledgerContract(name: string, open: () => Promise<LedgerUnderTest>): void {
  describe(`ledger contract: ${name}`, () => {
    let opened: LedgerUnderTest;
    let ledger: FullLedger;

    beforeEach(async () => {
      opened = await open();
      ledger = opened.ledger;
    });
    afterEach(() => opened.dispose());

    describe('append and read', () => {
      test('events are accepted in order, and read back as they were sent', async () => {
        const odd = {
          id: 'odd "\\ \n \u{1f600}',
          changes: [
            { op: 'put' as const, path: 'a', target: { ...target('x'), custom: { k: ['\n', 1, null] } } },
            { op: 'remove' as const, path: 'b' },
          ],
        };
        const receipts = await ledger.append([event('a'), odd], 7);
        const [first, second] = receipts;
        expect(receipts).toEqual([
          { id: 'a', position: first!.position, state: { state: 'accepted' } },
          { id: odd.id, position: second!.position, state: { state: 'accepted' } },
        ]);
        expect(first!.position).toBeGreaterThanOrEqual(1);
        expect(second!.position).toBeGreaterThan(first!.position);
        expect(await ledger.read(0, 10)).toEqual([
          { ...event('a'), position: first!.position, acceptedAt: 7 },
          { ...odd, position: second!.position, acceptedAt: 7 },
        ]);
      });

      test('no events are no events', async () => {
        expect(await ledger.append([], 1)).toEqual([]);
        expect(await ledger.read(0, 10)).toEqual([]);
      });

      test('read begins after the position and stops at the limit', async () => {
        const receipts = await ledger.append([event('a'), event('b'), event('c')], 1);
        const ids = async (position: number, limit: number) =>
          (await ledger.read(position, limit)).map(({ id }) => id);
        expect(await ids(0, 2)).toEqual(['a', 'b']);
        expect(await ids(receipts[0]!.position, 2)).toEqual(['b', 'c']);
        expect(await ids(receipts[2]!.position, 2)).toEqual([]);
        expect(await ids(0, 0)).toEqual([]);
      });

      test('a known id with the same changes answers its first receipt, whatever the order of keys', async () => {
        const [first] = await ledger.append([event('a')], 1);
        const { length, hashes } = target('a');
        const again = {
          id: 'a',
          changes: [{ target: { hashes, length }, path: 'packages/a.whl', op: 'add' as const }],
        };
        expect(await ledger.append([event('b'), again], 2)).toMatchObject([{ id: 'b' }, first]);
        expect((await ledger.read(0, 10)).map(({ acceptedAt }) => acceptedAt)).toEqual([1, 2]);
        expect(await ledger.backlog()).toEqual({ events: 2, oldestAcceptedAt: 1 });
      });

      test('a known id with other changes is refused by name, and nothing is accepted', async () => {
        await ledger.append([event('a')], 1);
        const error = await refused('event-conflict', ledger.append([event('b'), event('a', 'other')], 2));
        expect(error.message).toContain('"a"');
        expect([...(await ledger.events(['a', 'b'])).keys()]).toEqual(['a']);
        expect((await ledger.backlog()).events).toBe(1);
      });

      test('the same holds for one id twice in one call', async () => {
        const [a, b] = await ledger.append([event('a'), event('a')], 1);
        expect(a).toEqual(b);
        await refused('event-conflict', ledger.append([event('b'), event('b', 'other')], 2));
        expect((await ledger.read(0, 10)).map(({ id }) => id)).toEqual(['a']);
      });

      test('of calls at the same time, one that conflicts does not harm the others', async () => {
        const outcomes = await Promise.allSettled([
          ledger.append([event('a')], 1),
          ledger.append([event('b'), event('a', 'other')], 1),
          ledger.append([event('a'), event('c')], 1),
        ]);
        expect(outcomes.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled']);
        expect((await ledger.read(0, 10)).map(({ id }) => id)).toEqual(['a', 'c']);
      });

      test('what was accepted is there for the next one to open the ledger', async () => {
        await ledger.append([event('a')], 1);
        expect(await (await opened.reopen()).read(0, 10)).toMatchObject([event('a')]);
      });
    });

    describe('lease', () => {
      const ask = (holder: string, now: number, more: { ttlMs?: number; takeOverFrom?: string } = {}) =>
        ledger.lease({ holder, ttlMs: 100, now, ...more });

      test('nobody has it at first; the holder keeps it with the same epoch', async () => {
        expect(await ledger.currentLease()).toBeUndefined();
        const lease = await ask('a', 1_000);
        expect(lease).toMatchObject({ holder: 'a', until: 1_100 });
        expect(lease.epoch).toBeGreaterThanOrEqual(1);
        expect(await ask('a', 1_050)).toEqual({ ...lease, until: 1_150 });
        expect(await ledger.currentLease()).toEqual({ ...lease, until: 1_150 });
      });

      test('another one is told who has it until when, and changes nothing', async () => {
        const lease = await ask('a', 1_000);
        const error = await refused('lease-lost', ask('b', 1_099));
        expect(error.details).toEqual({ holder: 'a', until: 1_100 });
        expect(await ledger.currentLease()).toEqual(lease);
      });

      test('the epoch grows with each change of hands, also on the way back', async () => {
        const first = await ask('a', 1_000);
        const second = await ask('b', 1_100);
        const third = await ask('a', 1_200);
        expect(second.epoch).toBeGreaterThan(first.epoch);
        expect(third.epoch).toBeGreaterThan(second.epoch);
      });

      test('the holder that comes back late, before anybody else, keeps its epoch', async () => {
        const { epoch } = await ask('a', 1_000);
        expect(await ask('a', 9_000)).toEqual({ holder: 'a', epoch, until: 9_100 });
      });

      test('a lease further away than two ttl counts as ended', async () => {
        const { epoch } = await ask('a', 1_000_000);
        await refused('lease-lost', ask('b', 1_000_100 - 200));
        expect((await ask('b', 1_000_100 - 201)).epoch).toBeGreaterThan(epoch);
      });

      test('a dead holder is succeeded at once, by its exact name only', async () => {
        const { epoch } = await ask('a', 1_000);
        await refused('lease-lost', ask('b', 1_001, { takeOverFrom: 'c' }));
        expect(await ask('b', 1_001, { takeOverFrom: 'a' })).toMatchObject({ holder: 'b', until: 1_101 });
        expect((await ledger.currentLease())!.epoch).toBeGreaterThan(epoch);
      });

      test('ttl 0 releases what the holder has', async () => {
        const lease = await ask('a', 1_000);
        expect(await ask('a', 1_050, { ttlMs: 0 })).toEqual({ ...lease, until: 1_050 });
        expect((await ask('b', 1_050)).epoch).toBeGreaterThan(lease.epoch);
      });

      test('ttl 0 of one who does not hold it changes nothing', async () => {
        expect((await ask('b', 1_000, { ttlMs: 0 })).until).toBeLessThanOrEqual(1_000);
        expect(await ledger.currentLease()).toBeUndefined();
        const lease = await ask('a', 1_000);
        expect(await ask('b', 1_050, { ttlMs: 0 })).toEqual(lease);
        expect(await ledger.currentLease()).toEqual(lease);
      });
    });

    describe('advance and finish', () => {
      test('there is no head before the first intent, and that needs bundle and trusted root', async () => {
        const { epoch } = await ledger.lease({ holder: 'a', ttlMs: 100, now: 0 });
        expect(await ledger.head()).toBeUndefined();
        const { bundle, trustedRoot, ...bare } = intent(1);
        await refused('ledger-invalid', ledger.advance(epoch, bare));
        await refused('ledger-invalid', ledger.advance(epoch, { ...bare, bundle: bundle! }));
        await refused('ledger-invalid', ledger.advance(epoch, { ...bare, trustedRoot: trustedRoot! }));
        await refused('head-moved', ledger.advance(epoch, intent(2)));
        expect(await ledger.head()).toBeUndefined();
      });

      test('the head carries its intent until it is finished', async () => {
        const { epoch } = await ledger.lease({ holder: 'a', ttlMs: 100, now: 0 });
        const planned = intent(1, { roles: { root: 3, targets: 4, bins: 5 }, timestamp: 9 });
        await ledger.advance(epoch, planned);
        const head = {
          snapshot: 1,
          timestamp: 9,
          at: 1_000,
          roles: planned.roles,
          trustedRoot: planned.trustedRoot,
        };
        expect(await (await opened.reopen()).head()).toEqual({ ...head, unfinished: planned });
        await ledger.finish(planned, [], digests(planned), 1_010);
        expect(await ledger.head()).toEqual(head);
      });

      test('the trusted root stays until an intent brings another', async () => {
        await publish(ledger, intent(1));
        await publish(ledger, intent(2));
        expect((await ledger.head())?.trustedRoot).toBe(intent(1).trustedRoot);
        await publish(ledger, intent(3, { bundle: 'cd', trustedRoot: 'newer' }));
        expect((await ledger.head())?.trustedRoot).toBe('newer');
      });

      test('an import says what it replaces, until it is finished', async () => {
        await publish(ledger, intent(1));
        const imported = intent(2, {
          bundle: 'cd'.repeat(32),
          trustedRoot: '{"signed":\n2}',
          roles: { root: 2, targets: 2, bins: 1 },
          replaces: { roles: intent(1).roles, trustedRoot: '{"signed":\n1}' },
        });
        const { epoch } = await ledger.lease({ holder: 'publisher', ttlMs: 60_000, now: 2_000 });
        await ledger.advance(epoch, imported);
        const reopened = await opened.reopen();
        expect(await reopened.head()).toMatchObject({
          roles: imported.roles,
          trustedRoot: imported.trustedRoot,
          unfinished: imported,
        });
      });

      test('the head moves by one, from a finished head, once', async () => {
        const { epoch } = await ledger.lease({ holder: 'a', ttlMs: 100, now: 0 });
        await ledger.advance(epoch, intent(1));
        const error = await refused('head-moved', ledger.advance(epoch, intent(2)));
        expect(error.details).toMatchObject({ head: 1 });
        await refused('head-moved', ledger.advance(epoch, intent(1)));
        await ledger.finish(intent(1), [], digests(intent(1)), 1);
        for (const wrong of [1, 3]) await refused('head-moved', ledger.advance(epoch, intent(wrong)));
        expect((await ledger.head())?.snapshot).toBe(1);
      });

      test('an epoch that is no longer the current one is fenced off', async () => {
        await refused('lease-lost', ledger.advance(0, intent(1)));
        await refused('lease-lost', ledger.advance(1, intent(1)));
        const old = await ledger.lease({ holder: 'a', ttlMs: 100, now: 0 });
        const current = await ledger.lease({ holder: 'b', ttlMs: 100, now: 200 });
        const error = await refused('lease-lost', ledger.advance(old.epoch, intent(1)));
        expect(error.details).toEqual({ holder: 'b', until: 300 });
        await ledger.advance(current.epoch, intent(1));
      });

      test('finish settles events, and does not ask who holds the lease', async () => {
        const receipts = await ledger.append(
          ['a', 'b', 'c'].map((id) => event(id)),
          5,
        );
        const [a, b, c] = receipts.map(({ position }) => position);
        const { epoch } = await ledger.lease({ holder: 'x', ttlMs: 10, now: 0 });
        const rejected = [{ position: b!, code: 'target-exists', reason: 'it "is" there' }];
        const planned = intent(1, { events: [a!, b!], rejected });
        await ledger.advance(epoch, planned);
        expect((await ledger.read(0, 10)).length).toBe(3);
        await ledger.lease({ holder: 'y', ttlMs: 10, now: 50 });
        await ledger.finish(planned, [], digests(planned), 60);
        expect((await ledger.read(0, 10)).map(({ position }) => position)).toEqual([c]);
        expect(Object.fromEntries(await ledger.events(['a', 'b', 'c', 'unknown']))).toEqual({
          a: { id: 'a', position: a, state: { state: 'published', snapshot: 1 } },
          b: {
            id: 'b',
            position: b,
            state: { state: 'rejected', code: 'target-exists', reason: 'it "is" there' },
          },
          c: { id: 'c', position: c, state: { state: 'accepted' } },
        });
        expect(await ledger.append([event('a')], 99)).toMatchObject([
          { position: a, state: { snapshot: 1 } },
        ]);
        await refused('event-conflict', ledger.append([event('b', 'other')], 99));
        expect(await ledger.backlog()).toEqual({ events: 1, oldestAcceptedAt: 5 });
      });

      test('finish is idempotent, for the head and for older publications', async () => {
        const [a] = await ledger.append([event('a')], 5);
        const planned = intent(1, { events: [a!.position] });
        const changes: TargetChange[] = [{ op: 'added', path: 'p', target: target('1') }];
        await publish(ledger, planned, changes);
        await ledger.finish(planned, changes, digests(planned), 9_999);
        await publish(ledger, intent(2));
        await ledger.finish(planned, changes, digests(planned), 9_999);
        expect((await ledger.changes(0, 10)).map((s) => s.changes)).toEqual([changes, []]);
        expect(await ledger.snapshotAt(1_010)).toBe(1);
        expect(await ledger.backlog()).toEqual({ events: 0 });
      });

      test('what was never committed, or otherwise, cannot be finished', async () => {
        await refused('ledger-invalid', ledger.finish(intent(1), [], digests(intent(1)), 1));
        const { epoch } = await ledger.lease({ holder: 'a', ttlMs: 100, now: 0 });
        await ledger.advance(epoch, intent(1));
        await refused('ledger-invalid', ledger.finish(intent(2), [], digests(intent(2)), 1));
        await refused(
          'ledger-invalid',
          ledger.finish(intent(1, { at: 4 }), [], digests(intent(1, { at: 4 })), 1),
        );
        await refused('ledger-invalid', ledger.finish(intent(1), [], { ...digests(intent(1)), bins: [] }, 1));
        expect((await ledger.head())?.unfinished).toEqual(intent(1));
      });
    });

    describe('orders', () => {
      const BUNDLE = '{"format":\n"böndle"}\n';
      const DIGEST = sha256Hex(BUNDLE);
      const done = { state: 'done', snapshot: 7 } as const;

      test('an order is open, with its content, until it is settled; then its content is forgotten', async () => {
        expect(await ledger.openOrders()).toEqual([]);
        const first = await ledger.placeOrder('import', BUNDLE, 100);
        const second = await ledger.placeOrder('renew-all', '', 200);
        expect(second).toBeGreaterThan(first);
        const reopened = await opened.reopen();
        expect(await reopened.openOrders()).toEqual([
          { number: first, kind: 'import', digest: DIGEST, placedAt: 100 },
          { number: second, kind: 'renew-all', digest: sha256Hex(''), placedAt: 200 },
        ]);
        expect(await reopened.orderContent(DIGEST)).toBe(BUNDLE);
        expect(await ledger.orderState(first)).toEqual({ state: 'open' });
        await ledger.settleOrder(first, done, 300);
        expect(await reopened.orderState(first)).toEqual(done);
        expect(await reopened.orderContent(DIGEST)).toBeUndefined();
        expect((await reopened.openOrders()).map(({ number }) => number)).toEqual([second]);
      });

      test('one that is open is the same order, and not another kind of it', async () => {
        const first = await ledger.placeOrder('import', BUNDLE, 100);
        expect(await ledger.placeOrder('import', BUNDLE, 200)).toBe(first);
        expect(await ledger.placeOrder('import-compromised', BUNDLE, 200)).not.toBe(first);
        expect(await ledger.placeOrder('import', `${BUNDLE} `, 200)).not.toBe(first);
        await ledger.settleOrder(first, done, 300);
        expect(await ledger.orderContent(DIGEST)).toBe(BUNDLE);
        expect(await ledger.placeOrder('import', BUNDLE, 400)).toBeGreaterThan(first);
        expect((await ledger.openOrders()).map(({ placedAt }) => placedAt)).toEqual([200, 200, 400]);
      });

      test('the first outcome stays', async () => {
        const number = await ledger.placeOrder('renew', '', 100);
        const refusal = { state: 'refused', code: 'bundle-invalid', reason: 'it has expired' } as const;
        await ledger.settleOrder(number, refusal, 200);
        await ledger.settleOrder(number, done, 300);
        expect(await ledger.orderState(number)).toEqual(refusal);
        expect(await ledger.orderState(number + 1)).toBeUndefined();
      });

      test('prune forgets orders that were settled before, never an open one, and no number comes again', async () => {
        const open = await ledger.placeOrder('import', BUNDLE, 100);
        const settled = await ledger.placeOrder('renew', '', 100);
        await ledger.settleOrder(settled, done, 200);
        await ledger.prune(200);
        expect(await ledger.orderState(settled)).toEqual(done);
        await ledger.prune(201);
        expect(await ledger.orderState(settled)).toBeUndefined();
        expect(await ledger.orderState(open)).toEqual({ state: 'open' });
        expect(await ledger.placeOrder('renew', '', 300)).toBeGreaterThan(settled);
      });
    });

    describe('history', () => {
      test('bins have the version, digest and lifetime of the publication that last signed them', async () => {
        expect(await ledger.bins()).toEqual([]);
        await publish(ledger, intent(1, { bins: [0, 1, 10, 2].map((bin) => ({ bin, version: 1 })) }));
        const later = { ...intent(2).expires, bin: '2027-01-01T00:00:00Z' };
        const keyids = ['ab'.repeat(32), 'cd'.repeat(32)];
        await publish(ledger, intent(2, { bins: [{ bin: 10, version: 2 }], expires: later, keyids }));
        const old = { version: 1, signedAt: 1_000, expires: Date.parse(EXPIRES), keyids: [] };
        expect(await ledger.bins()).toEqual([
          { bin: 0, sha256: sha256Hex('1.bin-0'), ...old },
          { bin: 1, sha256: sha256Hex('1.bin-1'), ...old },
          { bin: 2, sha256: sha256Hex('1.bin-2'), ...old },
          {
            bin: 10,
            sha256: sha256Hex('2.bin-10'),
            version: 2,
            signedAt: 2_000,
            expires: Date.parse(later.bin),
            keyids,
          },
        ]);
        const asked = async (first: number, count: number): Promise<number[]> =>
          (await ledger.bins({ first, count })).map(({ bin }) => bin);
        expect(await asked(1, 9)).toEqual([1, 2]);
        expect(await asked(2, 9)).toEqual([2, 10]);
        expect(await asked(11, 32_768)).toEqual([]);
      });

      test('changes are those of finished publications, ascending, at most the limit', async () => {
        const changes: TargetChange[] = [
          { op: 'replaced', path: 'z', target: target('2'), previous: target('1') },
          { op: 'removed', path: 'a', previous: target('1') },
          { op: 'added', path: 'm', target: target('1') },
        ];
        await publish(ledger, intent(1));
        await publish(ledger, intent(2), changes);
        const { epoch } = await ledger.lease({ holder: 'publisher', ttlMs: 60_000, now: 0 });
        await ledger.advance(epoch, intent(3));
        const first = { snapshot: 1, at: 1_000, bins: [{ bin: 0, version: 1 }], changes: [] };
        const second = { snapshot: 2, at: 2_000, bins: [{ bin: 0, version: 2 }], changes };
        expect(await ledger.changes(0, 10)).toEqual([first, second]);
        expect(await ledger.changes(0, 1)).toEqual([first]);
        expect(await ledger.changes(1, 10)).toEqual([second]);
        expect(await ledger.changes(2, 10)).toEqual([]);
      });

      test('former targets are what finished snapshots after a version named and the head does not', async () => {
        const [v1, v2, v3] = ['1', '2', '3'].map(target);
        const path = 'p';
        await publish(ledger, intent(1), [{ op: 'added', path, target: v1! }]);
        await publish(ledger, intent(2), [{ op: 'replaced', path, target: v2!, previous: v1! }]);
        await publish(ledger, intent(3), [{ op: 'replaced', path, target: v3!, previous: v2! }]);
        expect(await ledger.formerTargets(path, 0)).toEqual([v2, v1]);
        expect(await ledger.formerTargets(path, 1)).toEqual([v2]);
        expect(await ledger.formerTargets(path, 2)).toEqual([]);
        expect(await ledger.formerTargets('other', 0)).toEqual([]);
        await publish(ledger, intent(4), [{ op: 'removed', path, previous: v3! }]);
        expect(await ledger.formerTargets(path, 0)).toEqual([v3, v2, v1]);
        await publish(ledger, intent(5), [{ op: 'added', path, target: v2! }]);
        expect(await ledger.formerTargets(path, 0)).toEqual([v3, v1]);
      });

      test('snapshotAt is the newest that was finished by then', async () => {
        expect(await ledger.snapshotAt(9e12)).toBeUndefined();
        await publish(ledger, intent(1), [], 100);
        await publish(ledger, intent(2), [], 200);
        expect(await ledger.snapshotAt(99)).toBeUndefined();
        expect(await ledger.snapshotAt(100)).toBe(1);
        expect(await ledger.snapshotAt(199)).toBe(1);
        expect(await ledger.snapshotAt(9e12)).toBe(2);
      });

      test('prune forgets settled events and changes from before, and nothing else', async () => {
        const [a, b] = await ledger.append([event('a'), event('b'), event('c')], 1);
        const change: TargetChange = {
          op: 'replaced',
          path: 'p',
          target: target('2'),
          previous: target('1'),
        };
        await publish(ledger, intent(1), [], 50);
        await publish(ledger, intent(2, { events: [a!.position] }), [change], 100);
        await publish(ledger, intent(3, { events: [b!.position] }), [], 200);
        expect(await ledger.prune(50)).toBe(0);
        expect((await ledger.changes(0, 10)).length).toBe(3);
        expect(await ledger.prune(200)).toBe(1);
        expect(await ledger.prune(200)).toBe(0);
        expect([...(await ledger.events(['a', 'b', 'c'])).keys()].sort()).toEqual(['b', 'c']);
        expect((await ledger.read(0, 10)).map(({ id }) => id)).toEqual(['c']);
        expect(await ledger.formerTargets('p', 0)).toEqual([]);
        const error = await refused('changes-expired', ledger.changes(1, 10));
        expect(error.message).toContain('snapshot 3');
        expect((await ledger.changes(2, 10)).map(({ snapshot }) => snapshot)).toEqual([3]);
        expect(await ledger.snapshotAt(150)).toBe(2);
        expect((await ledger.head())?.snapshot).toBe(3);
        expect(await ledger.bins()).toHaveLength(1);
      });

      test('prune leaves the head and what is not finished, and publication goes on', async () => {
        await publish(ledger, intent(1), [], 50);
        expect(await ledger.prune(9e12)).toBe(0);
        expect((await ledger.head())?.snapshot).toBe(1);
        await ledger.finish(intent(1), [], digests(intent(1)), 60);
        const { epoch } = await ledger.lease({ holder: 'publisher', ttlMs: 60_000, now: 0 });
        await ledger.advance(epoch, intent(2));
        await ledger.prune(9e12);
        expect((await ledger.head())?.unfinished).toEqual(intent(2));
        await ledger.finish(intent(2), [], digests(intent(2)), 70);
        expect((await ledger.changes(1, 10)).map(({ snapshot }) => snapshot)).toEqual([2]);
      });

      test('positions are not used again after the newest events were forgotten', async () => {
        const [a] = await ledger.append([event('a')], 1);
        await publish(ledger, intent(1, { events: [a!.position] }), [], 50);
        expect(await ledger.prune(51)).toBe(1);
        const [again] = await ledger.append([event('a')], 2);
        expect(again!.position).toBeGreaterThan(a!.position);
      });

      test('close waits for events that are on their way; afterwards nothing is accepted', async () => {
        const accepted = ledger.append([event('a')], 1);
        await ledger.close();
        expect(await accepted).toMatchObject([{ id: 'a', state: { state: 'accepted' } }]);
        await ledger.close();
        await refused('ledger-unavailable', ledger.append([event('b')], 1));
        await refused('ledger-unavailable', ledger.head());
      });
    });
  });
}
