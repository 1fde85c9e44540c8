// Two publishers on one ledger and one store. Whatever the moment at which one of them is stopped and another takes
// over, each version has one content, every event is published once, and the late one steps back by itself.
import { expect, test } from 'vitest';
import type { Change } from '../../src/ledger/ledger.ts';
import { ledgerLines } from '../../src/publish/audit-chain.ts';
import { verifyAudit } from '../../src/publish/audit-verify.ts';
import { TwoContents } from '../support/faulty-ports.ts';
import { PausedProcess } from '../support/paused-process.ts';
import { NaiveCatalogue, publicState } from '../support/public-state.ts';
import { eventually, startPublisher, untilRole, untilSettled } from '../support/publisher-process.ts';
import {
  accept,
  FOUNDED_AT,
  foundRepository,
  publishAll,
  targetOf,
  type TestRepository,
} from '../support/repository.ts';
import { RunningClock } from '../support/running-clock.ts';
import type { ThrowawayAlgorithm } from '../support/throwaway-signer.ts';

const HOUR_MS = 3_600_000;

function add(path: string): Change {
  return { op: 'add', path, target: targetOf(path) };
}

interface Scene {
  readonly repository: TestRepository;
  readonly clock: RunningClock;
  readonly contents: TwoContents;
  readonly model: NaiveCatalogue;
}

async function scene(algorithm: ThrowawayAlgorithm = 'ed25519'): Promise<Scene> {
  const repository = await foundRepository({ bins: 4, algorithm });
  const model = new NaiveCatalogue();
  await accept(repository, [add('a/1'), add('b/2')], 'before');
  model.apply([add('a/1'), add('b/2')]);
  await publishAll(repository);
  return { repository, model, clock: new RunningClock(FOUNDED_AT + HOUR_MS), contents: new TwoContents() };
}

async function upload({ repository, model, clock }: Scene, id: string, ...paths: string[]): Promise<void> {
  const changes = paths.map(add);
  await repository.ledger.append([{ id, changes }], clock.now());
  model.apply(changes);
}

/** Pauses a publisher before its `pauseAt`-th call, lets another take over and publish, resumes the first. */
async function overtake(algorithm: ThrowawayAlgorithm, pauseAt: number | undefined): Promise<string[]> {
  const current = await scene(algorithm);
  const { repository, clock, contents, model } = current;
  const store = contents.store(repository.store);
  const process = new PausedProcess(pauseAt);
  const ledger = process.ledger(repository.ledger);
  await upload(current, 'first', 'c/3', 'd/4', 'e/5');
  const late = startPublisher(repository.ports, {
    holder: 'late',
    clock,
    ports: { ledger, history: ledger, store: process.store(store) },
  });
  if (pauseAt === undefined) {
    await untilSettled(repository, ['first']);
    await late.publisher.stop();
    return process.calls;
  }
  await process.paused;
  await upload(current, 'second', 'f/6', 'g/7');
  const heir = startPublisher(repository.ports, { holder: 'heir', clock, ports: { store } });
  await untilSettled(repository, ['first', 'second']);
  await upload(current, 'third', 'h/8');
  await untilSettled(repository, ['third']);
  process.resume();
  await untilRole(late, 'standby');
  expect(late.publisher.status().problem?.code).toMatch(/^(lease-lost|head-moved)$/);
  expect(late.log.map(({ msg }) => msg).join('\n')).toContain('standing by');
  await heir.publisher.stop();
  // The late one is none the worse: it takes over when its turn has come.
  await upload(current, 'fourth', 'i/9');
  await untilSettled(repository, ['fourth']);
  await untilRole(late, 'publishing');
  await late.publisher.stop();
  await expectAudited(repository);
  const { targets, snapshot } = await publicState(repository.store, repository.ports);
  expect(targets).toEqual(model.listing());
  expect(await repository.ledger.head()).toMatchObject({ snapshot });
  expect(contents.found).toEqual([]);
  return process.calls;
}

/** One chain, whoever wrote it, and every signature in it. */
async function expectAudited({ ledger, store }: TestRepository): Promise<void> {
  const report = await verifyAudit(ledgerLines(ledger), store);
  expect(report).toMatchObject({ problems: [], pending: 0, uncovered: 0 });
}

test.each(['ed25519', 'ecdsa-p256'] as const)(
  'a publisher that is paused before any of its calls does no harm: %s',
  async (algorithm) => {
    const calls = await overtake(algorithm, undefined);
    const lastOfFirst = calls.indexOf('finish') + 1;
    expect(lastOfFirst).toBeGreaterThan(10);
    for (let pauseAt = 1; pauseAt <= lastOfFirst; pauseAt++) {
      await overtake(algorithm, pauseAt).catch((error: unknown) => {
        throw new Error(`paused before call ${pauseAt}, ${calls[pauseAt - 1] ?? ''}`, { cause: error });
      });
    }
  },
);

test('publishers that take the lease from each other all the time lose nothing', async () => {
  const current = await scene();
  const { repository, clock, contents, model } = current;
  // Each believes that the others are dead: the fence in the ledger is all that keeps them apart.
  const publishers = ['one', 'two', 'three'].map((holder) =>
    startPublisher(repository.ports, {
      holder,
      clock,
      isGone: () => true,
      ports: { store: contents.store(repository.store) },
    }),
  );
  const ids: string[] = [];
  for (let i = 0; i < 60; i++) {
    const id = `event ${i}`;
    await upload(current, id, `x/${i}`, `y/${i}`);
    ids.push(id);
    if (i % 4 === 0) await untilSettled(repository, [id]);
  }
  await untilSettled(repository, ids);
  await Promise.all(publishers.map(({ publisher }) => publisher.stop()));
  const stopped = publishers
    .map(({ publisher }) => publisher.status())
    .filter(({ role }) => role === 'stopped');
  expect(stopped.map(({ problem }) => problem?.message)).toEqual([]);
  expect((await publicState(repository.store, repository.ports)).targets).toEqual(model.listing());
  const history = await repository.ledger.changes(0, 1000);
  expect(history.flatMap(({ changes }) => changes)).toHaveLength(2 + 2 * 60);
  expect(contents.found).toEqual([]);
});

test('the one without the lease stands by, says who has it, and takes over', async () => {
  const current = await scene();
  const { repository, clock } = current;
  const active = startPublisher(repository.ports, { holder: 'active', clock });
  await untilRole(active, 'publishing');
  const spare = startPublisher(repository.ports, { holder: 'spare', clock });
  await untilRole(spare, 'standby', 'lease-lost');
  expect(spare.publisher.status().problem?.message).toContain('active holds the publisher lease');
  // A load balancer asks it how fresh the repository is, and it knows although it publishes nothing.
  await upload(current, 'while standing by', 'z/0');
  await untilSettled(repository, ['while standing by']);
  await eventually('the spare has seen it', () => {
    const { published } = active.publisher.status();
    return (
      published !== undefined &&
      spare.publisher.status().published?.snapshot.version === published.snapshot.version
    );
  });
  await active.publisher.stop();
  expect(active.publisher.status().role).toBe('standby');
  await eventually('the spare publishes', () => spare.publisher.status().role === 'publishing');
  await upload(current, 'after', 'z/1');
  await untilSettled(repository, ['after']);
});
