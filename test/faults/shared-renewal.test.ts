// Renewals that nodes share: each signs some of the bins, some of them die or come late, and the repository is the one
// that a single node would have made.
import { expect, test } from 'vitest';
import type { SharedWork } from '../../src/ledger/shared-work.ts';
import { ledgerLines } from '../../src/publish/audit-chain.ts';
import { verifyAudit } from '../../src/publish/audit-verify.ts';
import { expectSound } from '../support/oracle.ts';
import { eventually, startPublisher } from '../support/publisher-process.ts';
import { FOUNDED_AT, foundRepository, publishPaths } from '../support/repository.ts';
import { RunningClock } from '../support/running-clock.ts';
import { helpersIn, sharesOf, startHelper, type SharingScene } from '../support/sharing-nodes.ts';

const BINS = 256;

async function scene(): Promise<SharingScene> {
  const repository = await foundRepository({ bins: BINS });
  await publishPaths(
    repository,
    Array.from({ length: 50 }, (_, i) => `x/${i}`),
  );
  return { repository, clock: new RunningClock(FOUNDED_AT + 3_600_000) };
}

/** Has every bin renewed by a publisher that offers `shares`; resolves when the order is done. */
async function renewAll({ repository, clock }: SharingScene, shares: SharedWork): Promise<void> {
  const { ledger } = repository;
  const sharing = { shares, holder: 'publisher', clock };
  const process = startPublisher({ ...repository.ports, sharing }, { holder: 'publisher', clock });
  const order = await ledger.placeOrder('renew-all', '', clock.now());
  await eventually('the order is done', async () => (await ledger.orderState(order))?.state === 'done');
  await process.publisher.stop();
}

async function checkEnd({ repository, clock }: SharingScene): Promise<void> {
  const bins = await repository.ledger.bins();
  expect(Math.min(...bins.map(({ signedAt }) => signedAt))).toBeGreaterThan(FOUNDED_AT);
  await expectSound({ store: repository.store, clock, rootBytes: repository.rootBytes });
  expect(await verifyAudit(ledgerLines(repository.ledger), repository.store)).toMatchObject({
    problems: [],
    uncovered: 0,
    pending: 0,
  });
}

test('two nodes that stand by do what the publisher leaves to them, and the audit log names them', async () => {
  const current = await scene();
  const helpers = ['one', 'two'].map((holder) => startHelper(current, holder));
  const shares = sharesOf(current, {
    offerShares: () => {
      for (const helper of helpers) helper.wake();
      return Promise.resolve();
    },
    // The publisher is slow to begin: so there is something left for everybody.
    takeShare: () =>
      eventually('others have begun', async () => new Set(await helpersIn(current)).size === helpers.length),
  });
  await renewAll(current, shares);
  expect(new Set(await helpersIn(current))).toEqual(new Set(['one', 'two']));
  await checkEnd(current);
});

test('one that took a share and died is not waited for', async () => {
  const current = await scene();
  const { ledger } = current.repository;
  const shares = sharesOf(current, {
    offerShares: async () => {
      await ledger.takeShare({ holder: 'dead', now: current.clock.now(), ttlMs: 1e9 });
    },
  });
  await renewAll(current, shares);
  expect(await helpersIn(current)).toEqual(['dead']);
  await checkEnd(current);
});

test('one that was paused and says its word after the end changes nothing', async () => {
  const current = await scene();
  const { ledger } = current.repository;
  const first = await ledger.head();
  const isOver = async (): Promise<boolean> => (await ledger.head())?.snapshot !== first?.snapshot;
  let begun = false;
  const helper = startHelper(current, 'paused', {
    shares: sharesOf(current, {
      shareDone: async () => {
        begun = true;
        await eventually('the publication is finished', async () => {
          const head = await ledger.head();
          return (await isOver()) && head?.unfinished === undefined;
        });
      },
    }),
  });
  const shares = sharesOf(current, {
    offerShares: () => {
      helper.wake();
      return Promise.resolve();
    },
    takeShare: () => eventually('the other one has begun', () => begun),
  });
  await renewAll(current, shares);
  expect(await helpersIn(current)).toContain('paused');
  await helper.stop();
  await checkEnd(current);
});

test('what a node finds altered it does not sign; whoever has verified it before does', async () => {
  const current = await scene();
  const { ledger, store, layout } = current.repository;
  const name = `metadata/${(await ledger.bins())[7]?.version ?? 0}.${layout.name(7)}.json`;
  const good = await store.get(name, 1e6);
  const signed: number[] = [];
  const helper = startHelper(current, 'helper', {
    shares: sharesOf(current, {
      shareDone: ({ number }) => {
        signed.push(number);
        return Promise.resolve();
      },
    }),
  });
  const shares = sharesOf(current, {
    offerShares: () => {
      // Between the commit point and the first signature; the first share has this bin.
      store.tamper(name, Buffer.from('{}'));
      helper.wake();
      return Promise.resolve();
    },
    takeShare: () => eventually('the other one has begun', async () => (await helpersIn(current)).length > 0),
  });
  await renewAll(current, shares);
  expect(signed).not.toContain(0);
  store.tamper(name, good?.bytes);
  await checkEnd(current);
});
