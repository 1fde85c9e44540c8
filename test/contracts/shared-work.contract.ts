// What every ledger adapter must do with work that nodes share: each sentence of src/ledger/shared-work.ts, as a test.
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { BinVersion, History, Ledger } from '../../src/ledger/ledger.ts';
import type { Share, SharedWork, TakenShare } from '../../src/ledger/shared-work.ts';
import { sha256Hex } from '../../src/lib/bytes.ts';
import { checkedChain, ledgerLines } from '../../src/publish/audit-chain.ts';
import { digests, intent } from '../support/ledger-fixtures.ts';
import { publish } from './ledger.contract.ts';

type SharedLedger = Ledger & History & SharedWork;

export interface SharedUnderTest {
  readonly ledger: SharedLedger;
  /** Another one on the same data, as another process has it. */
  readonly reopen: () => Promise<SharedLedger>;
  readonly dispose: () => Promise<void>;
}

const TTL_MS = 100;
const BINS: readonly BinVersion[] = Array.from({ length: 6 }, (_, bin) => ({ bin, version: 2 }));
const SHARES = [BINS.slice(0, 2), BINS.slice(2, 4), BINS.slice(4)];

export function sharedWorkContract(name: string, open: () => Promise<SharedUnderTest>): void {
  describe(`shared work contract: ${name}`, () => {
    let opened: SharedUnderTest;
    let ledger: SharedLedger;
    let other: SharedLedger;
    const planned = intent(2, { bins: BINS });

    beforeEach(async () => {
      opened = await open();
      ledger = opened.ledger;
      other = await opened.reopen();
      await publish(ledger, intent(1));
      const { epoch } = await ledger.lease({ holder: 'publisher', ttlMs: TTL_MS, now: 0 });
      await ledger.advance(epoch, planned);
      await ledger.offerShares(2, SHARES);
    });
    afterEach(() => opened.dispose());

    const take = (holder: string, now = 0, from = ledger): Promise<TakenShare | undefined> =>
      from.takeShare({ holder, now, ttlMs: TTL_MS });
    const finish = (now = 0): Promise<TakenShare | undefined> =>
      ledger.takeShare({ holder: 'publisher', now, ttlMs: TTL_MS, finishing: 2 });
    const digestsOf = ({ bins }: Share): string[] => bins.map(({ bin }) => sha256Hex(`file ${bin}`));
    const done = async (share: TakenShare | undefined, from = ledger): Promise<void> => {
      if (share === undefined) throw new Error('there was no share');
      await from.shareDone({ ...share, digests: digestsOf(share) });
    };
    const records = async (kind: string): Promise<Record<string, unknown>[]> =>
      (await ledger.auditLines(0, 100))
        .map(({ text }) => JSON.parse(text) as Record<string, unknown>)
        .filter((record) => record['kind'] === kind);

    test('each share is given to one node, whoever asks, and then there is none', async () => {
      const asked = Array.from({ length: 8 }, (_, i) => take(`node ${i}`, 0, i % 2 === 0 ? ledger : other));
      const given = (await Promise.all(asked)).filter((share) => share !== undefined);
      expect(given.map(({ number }) => number).sort()).toEqual([0, 1, 2]);
      expect(given.flatMap(({ bins }) => bins).sort((a, b) => a.bin - b.bin)).toEqual(BINS);
      expect(given.every(({ snapshot }) => snapshot === 2)).toBe(true);
      expect(await take('late', TTL_MS - 1)).toBeUndefined();
    });

    test('one whose node is silent is given to the next who asks, and a claim from a wrong clock has ended', async () => {
      for (const holder of ['a', 'b', 'c']) await take(holder);
      expect(await take('late', TTL_MS)).toMatchObject({ number: 0 });
      expect(await take('much earlier', -10 * TTL_MS)).toMatchObject({ number: 0 });
    });

    test('what is done is not given again; the first word about it stays', async () => {
      const share = await take('a');
      await done(share);
      await ledger.shareDone({ ...share!, digests: share!.bins.map(() => sha256Hex('another')) });
      expect(await take('b', 10 * TTL_MS)).toMatchObject({ number: 1 });
      const { snapshot, number, bins } = share!;
      expect(await other.doneShares(2)).toEqual([{ snapshot, number, bins, digests: digestsOf(share!) }]);
      expect(await other.doneShares(1)).toEqual([]);
    });

    test('whoever finishes the publication takes over what others have, the oldest claim first', async () => {
      await take('a', 5);
      await take('b', 3);
      expect(await finish(6)).toMatchObject({ number: 2 });
      await done(await finish(7));
      for (let round = 0; round < 2; round++) await done(await finish(8));
      expect(await finish(9)).toBeUndefined();
      expect((await ledger.doneShares(2)).map(({ number }) => number)).toEqual([0, 1, 2]);
    });

    test('nothing is given of a publication that is finished, or for another one', async () => {
      expect(
        await ledger.takeShare({ holder: 'publisher', now: 0, ttlMs: TTL_MS, finishing: 1 }),
      ).toBeUndefined();
      await ledger.finish(planned, [], digests(planned), 2_000);
      expect(await take('a')).toBeUndefined();
      expect(await finish()).toBeUndefined();
      await ledger.offerShares(2, [BINS]);
      expect(await take('a')).toBeUndefined();
    });

    test('a publication is divided once, and the next one has shares of its own', async () => {
      await other.offerShares(2, [BINS]);
      expect((await take('a'))?.bins).toEqual(SHARES[0]);
      await ledger.finish(planned, [], digests(planned), 2_000);
      const { epoch } = await ledger.lease({ holder: 'publisher', ttlMs: TTL_MS, now: 0 });
      await ledger.advance(epoch, intent(3));
      await ledger.offerShares(3, [[{ bin: 0, version: 3 }]]);
      expect(await take('a')).toMatchObject({ snapshot: 3, number: 0, bins: [{ bin: 0, version: 3 }] });
      expect(await take('b')).toBeUndefined();
    });

    test('who helps is announced before he signs, the publisher is not, and the chain is whole', async () => {
      const [announced] = (await records('announced')).slice(-1);
      const share = await take('a');
      expect(share?.mark).toMatchObject({ kind: 'helping', snapshot: 2 });
      expect(await records('helping')).toEqual([
        expect.objectContaining({
          node: 'a',
          epoch: announced!['epoch'],
          snapshot: 2,
          announced: announced!['number'],
          bins: '0:2,1:2',
        }),
      ]);
      expect((await finish())?.mark).toBeUndefined();
      expect(await records('helping')).toHaveLength(1);
      await ledger.finish(planned, [], digests(planned), 2_000);
      let count = 0;
      for await (const { line } of checkedChain(ledgerLines(ledger))) count = line.number;
      expect(await ledger.auditHead()).toMatchObject({ number: count });
    });
  });
}
