// What every ledger adapter must do when it is brought up to what its store shows: each sentence of the comment at
// `Restoration` in src/ledger/ledger.ts, as a test.
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { sha256Hex } from '../../src/lib/bytes.ts';
import type { Adoption, BinState, History, Intent, Ledger, Restoration } from '../../src/ledger/ledger.ts';
import { digests, event, intent, target } from '../support/ledger-fixtures.ts';
import { publish, refused } from './ledger.contract.ts';

type RestorableLedger = Ledger & History & Restoration;

export interface RestorableUnderTest {
  readonly ledger: RestorableLedger;
  readonly dispose: () => Promise<void>;
}

function binState(bin: number, version: number): BinState {
  return {
    bin,
    version,
    sha256: sha256Hex(`adopted ${bin}`),
    signedAt: 4_000,
    expires: 90_000,
    keyids: ['k'],
  };
}

/** What stands at snapshot 7 and follows `follows`. */
function adoption(follows: number, parts: Partial<Intent> = {}, bins = [binState(1, 5)]): Adoption {
  const versions = bins.map(({ bin, version }) => ({ bin, version }));
  const adopted = intent(7, { timestamp: 9, at: 7_000, bins: versions, ...parts });
  const { snapshot, timestamp } = digests(adopted);
  return { follows, intent: adopted, bins, snapshot, timestamp };
}

export function adoptionContract(name: string, open: () => Promise<RestorableUnderTest>): void {
  describe(`adoption contract: ${name}`, () => {
    let opened: RestorableUnderTest;
    let ledger: RestorableLedger;

    beforeEach(async () => {
      opened = await open();
      ledger = opened.ledger;
      const bins = [0, 1, 2].map((bin) => ({ bin, version: 1 }));
      await publish(ledger, intent(1, { bins }));
    });
    afterEach(() => opened.dispose());

    const lease = (): Promise<{ epoch: number }> =>
      ledger.lease({ holder: 'publisher', ttlMs: 60_000, now: 10_000 });

    test('the head moves over a gap, finished, and the next publication follows it', async () => {
      await publish(ledger, intent(2, { bins: [{ bin: 0, version: 2 }] }));
      const before = await ledger.bins();
      const { epoch } = await lease();
      await ledger.adopt(
        epoch,
        adoption(2, { trustedRoot: 'new root', roles: { root: 2, targets: 3, bins: 4 } }),
        8_000,
      );
      expect(await ledger.head()).toEqual({
        snapshot: 7,
        timestamp: 9,
        at: 7_000,
        roles: { root: 2, targets: 3, bins: 4 },
        trustedRoot: 'new root',
      });
      expect(await ledger.bins()).toEqual([before[0], binState(1, 5), before[2]]);
      expect(await ledger.snapshotAt(8_000)).toBe(7);
      expect(await ledger.snapshotAt(7_999)).toBe(2);
      await publish(ledger, intent(8, { bins: [{ bin: 2, version: 2 }] }));
      expect((await ledger.changes(7, 10)).map(({ snapshot }) => snapshot)).toEqual([8]);
    });

    test('the root stays when the adoption names none', async () => {
      const trusted = (await ledger.head())?.trustedRoot;
      await ledger.adopt((await lease()).epoch, adoption(1), 8_000);
      expect(await ledger.head()).toMatchObject({ snapshot: 7, trustedRoot: trusted });
    });

    test('an unfinished head is settled with it', async () => {
      const [a] = await ledger.append([event('a')], 1);
      const { epoch } = await lease();
      await ledger.advance(epoch, intent(2, { events: [a!.position] }));
      await ledger.adopt(epoch, adoption(2, { events: [a!.position] }), 8_000);
      const head = await ledger.head();
      expect(head).toMatchObject({ snapshot: 7 });
      expect(head).not.toHaveProperty('unfinished');
      expect((await ledger.events(['a'])).get('a')?.state).toEqual({ state: 'published', snapshot: 7 });
      expect(await ledger.read(0, 10)).toEqual([]);
    });

    test('events are published, rejected or left as it says', async () => {
      const [a, b, c] = await ledger.append([event('a'), event('b'), event('c')], 1);
      const rejected = [{ position: b!.position, code: 'event-superseded', reason: 'overtaken' }];
      const events = [a!.position, b!.position];
      await ledger.adopt((await lease()).epoch, adoption(1, { events, rejected }), 8_000);
      const states = [...(await ledger.events(['a', 'b', 'c'])).values()].map(({ state }) => state);
      expect(states).toEqual([
        { state: 'published', snapshot: 7 },
        { state: 'rejected', code: 'event-superseded', reason: 'overtaken' },
        { state: 'accepted' },
      ]);
      expect(await ledger.backlog()).toMatchObject({ events: 1 });
      expect((await ledger.read(0, 10)).map(({ position }) => position)).toEqual([c!.position]);
    });

    test('changes up to it are expired, also after older ones are forgotten', async () => {
      await publish(ledger, intent(2), [{ op: 'added', path: 'a', target: target('a') }], 2_000);
      await publish(ledger, intent(3, { bins: [] }), [], 3_000);
      await ledger.adopt((await lease()).epoch, adoption(3), 8_000);
      await refused('changes-expired', ledger.changes(6, 10));
      await ledger.prune(2_500);
      await refused('changes-expired', ledger.changes(6, 10));
      expect(await ledger.changes(7, 10)).toEqual([]);
    });

    test('it is refused over another head, backwards, and without the lease; nothing changes then', async () => {
      await publish(ledger, intent(2));
      const before = await ledger.head();
      const { epoch } = await lease();
      for (const wrong of [
        adoption(1),
        adoption(3),
        adoption(2, { snapshot: 2 }),
        adoption(2, { snapshot: 1 }),
      ]) {
        const error = await refused('head-moved', ledger.adopt(epoch, wrong, 8_000));
        expect(error.details).toMatchObject({ head: 2 });
      }
      await refused('lease-lost', ledger.adopt(epoch + 1, adoption(2), 8_000));
      expect(await ledger.head()).toEqual(before);
      expect(await ledger.changes(0, 10)).toHaveLength(2);
    });
  });
}
