// Back-signing that nodes share: what one computer has sorted lies in the store, every node signs some of the bins, some of
// them die or are lied to by the store, and the repository is the one that a single node would have made.
import { describe, expect, test } from 'vitest';
import { crewOfOne } from '../../src/backsign/crew.ts';
import type { BacksignOrder } from '../../src/backsign/order.ts';
import { Backsigner } from '../../src/backsign/publication.ts';
import { stage, unstage } from '../../src/backsign/staging.ts';
import type { OrderState } from '../../src/ledger/ledger.ts';
import type { SharedWork } from '../../src/ledger/shared-work.ts';
import { ledgerLines } from '../../src/publish/audit-chain.ts';
import { verifyAudit } from '../../src/publish/audit-verify.ts';
import { stagedName } from '../../src/tuf/layout.ts';
import { expectSound, violationsOf } from '../support/oracle.ts';
import { publicState } from '../support/public-state.ts';
import { eventually, startPublisher, type PublisherProcess } from '../support/publisher-process.ts';
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
import { helpersIn, sharesOf, startHelper, type SharingScene } from '../support/sharing-nodes.ts';
import { pathsOf, sortedFiles } from '../support/sorted-files.ts';

const BINS = 256;
const FILES = 2000;

interface Scene extends SharingScene {
  /** Digest of the files. */
  readonly digest: string;
  readonly order: number;
}

/** Files that were sorted elsewhere, in a folder that is gone, and the order to sign them. */
async function scene(): Promise<Scene> {
  const repository = await foundRepository({ bins: BINS });
  const { ledger, store } = repository;
  const clock = new RunningClock(FOUNDED_AT + 3_600_000);
  const { folder, prepared } = await sortedFiles(BINS, FILES);
  const crew = crewOfOne();
  const quiet = (): void => undefined;
  const { digest } = prepared;
  const ports = { store, folder, prepared, crew };
  const staged = await stage(ports, clock.now(), quiet);
  // Once more, as a run does that was killed in between.
  expect(await stage(ports, clock.now(), quiet)).toBe(staged);
  const content = { staged, digest, since: 1 } satisfies BacksignOrder;
  const order = await ledger.placeOrder('backsign', JSON.stringify(content), clock.now());
  return { repository, clock, digest, order };
}

function backsigner(): Backsigner {
  return new Backsigner({ crew: crewOfOne(), binsAtOnce: 128 });
}

function publisherOf(
  { repository, clock }: Scene,
  shares: SharedWork,
  holder = 'publisher',
): PublisherProcess {
  const ports = { ...repository.ports, backsign: backsigner(), sharing: { shares, holder, clock } };
  return startPublisher(ports, { holder, clock });
}

const isDone =
  ({ repository, order }: Scene) =>
  async (): Promise<boolean> =>
    (await repository.ledger.orderState(order))?.state === 'done';

async function checkEnd({ repository, clock, digest }: Scene): Promise<void> {
  const { store, ledger, rootBytes, ports } = repository;
  const { targets } = await publicState(store, ports);
  expect(Object.keys(targets)).toEqual(pathsOf(FILES));
  await expectSound({ store, clock, rootBytes });
  const verified = await verifyAudit(ledgerLines(ledger), store);
  expect(verified).toMatchObject({ problems: [], uncovered: 0, pending: 0 });
  await unstage(store, digest);
  expect(store.names().filter((name) => !name.startsWith('metadata/'))).toEqual([]);
}

test('nodes that stand by sign what another computer has sorted', async () => {
  const current = await scene();
  const helpers = ['one', 'two'].map((holder) => startHelper(current, holder, { backsign: backsigner() }));
  const shares = sharesOf(current, {
    offerShares: () => {
      for (const helper of helpers) helper.wake();
    },
    takeShare: () =>
      eventually('others have begun', async () => new Set(await helpersIn(current)).size === helpers.length),
  });
  const { publisher } = publisherOf(current, shares);
  await eventually('the order is done', isDone(current));
  await publisher.stop();
  expect(new Set(await helpersIn(current))).toEqual(new Set(['one', 'two']));
  await checkEnd(current);
});

test('a node that took a share and died is not waited for', async () => {
  const current = await scene();
  const { ledger } = current.repository;
  const shares = sharesOf(current, {
    offerShares: async () => {
      await ledger.takeShare({ holder: 'dead', now: current.clock.now(), ttlMs: 1e9 });
    },
  });
  const { publisher } = publisherOf(current, shares);
  await eventually('the order is done', isDone(current));
  await publisher.stop();
  expect(new Set(await helpersIn(current))).toEqual(new Set(['dead']));
  await checkEnd(current);
});

test('a publisher that breaks off is followed by any other node', async () => {
  const current = await scene();
  const { ledger } = current.repository;
  const breaking = sharesOf(current, { takeShare: () => Promise.reject(new Error('it breaks off')) });
  const first = publisherOf(current, breaking, 'first');
  await eventually('it has offered shares', () => first.log.some(({ msg }) => msg.includes('breaks off')));
  const helper = startHelper(current, 'helper', { backsign: backsigner() });
  await eventually('a node has helped', async () => (await helpersIn(current)).includes('helper'));
  await first.publisher.stop();
  expect((await ledger.head())?.unfinished).toBeDefined();
  const { publisher } = publisherOf(current, sharesOf(current), 'successor');
  await eventually('the order is done', isDone(current));
  await publisher.stop();
  await helper.stop();
  await checkEnd(current);
});

test('what the store has exchanged is not signed, and goes on when it is put back', async () => {
  const current = await scene();
  const { store } = current.repository;
  const name = stagedName(current.digest, '9');
  const good = (await store.get(name, 1e6))?.bytes;
  let exchanged = false;
  const shares = sharesOf(current, {
    offerShares: () => {
      // As long as it was, and another content. Once: what is tried again is offered again.
      if (good !== undefined && !exchanged) store.tamper(name, Buffer.alloc(good.length, 'x'));
      exchanged = true;
    },
  });
  const { publisher, log } = publisherOf(current, shares);
  await eventually('it is named', () =>
    log.some(({ msg }) => msg.includes(`${name} in the store has the sha256`)),
  );
  store.tamper(name, good);
  await eventually('the order is done', isDone(current));
  await publisher.stop();
  await checkEnd(current);
});

test('an order whose list of bins is not the one that was ordered is refused, and fsck minds none of it', async () => {
  const current = await scene();
  const { repository, digest, order } = current;
  expect(await violationsOf({ ...repository, clock: current.clock })).toEqual([]);
  repository.store.tamper(stagedName(digest, 'index'), Buffer.from('{"binCount":256,"bins":[]}'));
  const { publisher } = publisherOf(current, sharesOf(current));
  await eventually(
    'it is refused',
    async () => (await repository.ledger.orderState(order))?.state === 'refused',
  );
  await publisher.stop();
  expect(await repository.ledger.orderState(order)).toMatchObject({ code: 'backsign-state' });
});

describe('an order that cannot be carried out is refused, and uploads do not wait for it', () => {
  /** Every bin holds something already, so what is prepared is compared with it before anything is committed. */
  async function ordered(
    before: (repository: TestRepository, digest: string) => Promise<void>,
  ): Promise<OrderState> {
    const repository = await foundRepository();
    const { ledger, store, clock, ports } = repository;
    await publishPaths(repository, pathsOf(200));
    const { folder, prepared } = await sortedFiles(16, 400);
    const { digest } = prepared;
    const staged = await stage({ store, folder, prepared, crew: crewOfOne() }, clock.now(), () => undefined);
    await before(repository, digest);
    const content = { staged, digest, since: 1 } satisfies BacksignOrder;
    const order = await ledger.placeOrder('backsign', JSON.stringify(content), clock.now());
    await accept(repository, [{ op: 'add', path: 'new', target: targetOf('new') }]);
    const backsign = new Backsigner({ crew: crewOfOne(), binsAtOnce: 4 });
    // Every other turn is left to uploads.
    for (let turn = 0; turn < 8; turn++) await publishAll({ ports: { ...ports, backsign } });
    expect(await ledger.backlog()).toMatchObject({ events: 0 });
    await expectSound(repository);
    const state = await ledger.orderState(order);
    if (state === undefined) throw new Error('the order is unknown');
    return state;
  }

  test.each([
    ['is missing', undefined],
    ['is longer than it was', Buffer.alloc(1_000_000, 'x')],
    ['is another', Buffer.alloc(10, 'x')],
  ])('what was prepared for the first bin %s', async (_, content) => {
    const state = await ordered(({ store }, digest) => {
      store.tamper(stagedName(digest, '0'), content);
      return Promise.resolve();
    });
    expect(state).toMatchObject({
      state: 'refused',
      code: 'backsign-state',
      reason: expect.stringContaining('/0 in the store') as string,
    });
  });

  test('the ledger has forgotten what was removed since the files were read', async () => {
    const state = await ordered(async (repository) => {
      repository.clock.advance(1000);
      await publishPaths(repository, ['later']);
      await repository.ledger.prune(repository.clock.now());
    });
    expect(state).toMatchObject({
      state: 'refused',
      code: 'backsign-state',
      reason: expect.stringContaining('changes after snapshot 1 are no longer kept') as string,
    });
  });
});
