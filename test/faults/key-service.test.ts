// A key service that lies, or is away: nothing wrong is written, nothing accepted is lost, and publication goes on by
// itself.
import { expect, onTestFinished, test } from 'vitest';
import type { Change } from '../../src/ledger/ledger.ts';
import { sha256Hex } from '../../src/lib/bytes.ts';
import { systemClock } from '../../src/lib/clock.ts';
import { CountersignError } from '../../src/lib/errors.ts';
import { signersNamedBy, signersOf } from '../../src/publish/signers.ts';
import { isReached, openNowOrLater } from '../../src/signing/late-signer.ts';
import type { Signer } from '../../src/signing/signer.ts';
import { openTransitSigner } from '../../src/signing/vault/transit-signer.ts';
import { fakeTransit, type Lie } from '../support/fake-transit.ts';
import { expectSound } from '../support/oracle.ts';
import {
  eventually,
  startPublisher,
  type PublisherProcess,
  untilRole,
  untilSettled,
} from '../support/publisher-process.ts';
import { FOUNDED_AT, foundRepository, targetOf, type TestRepository } from '../support/repository.ts';
import { RunningClock } from '../support/running-clock.ts';
import { throwawaySigner } from '../support/throwaway-signer.ts';

const SEED = 1;
const TOKEN = 'hvs.a-token-that-is-secret';

function openTransit(address: string, trusted: readonly string[]): Promise<Signer> {
  return openTransitSigner({
    settings: { address, login: { method: 'token', token: () => Promise.resolve(TOKEN) } },
    name: { mount: 'transit', key: 'online' },
    clock: systemClock,
    trusted,
    warn: () => undefined,
  });
}

function events(tag: string): { id: string; changes: Change[] }[] {
  // Several bins, so that one request has several messages.
  const paths = Array.from({ length: 8 }, (_, index) => `${tag}/${index}`);
  return [{ id: tag, changes: paths.map((path) => ({ op: 'add', path, target: targetOf(path) })) }];
}

async function objects({ store }: TestRepository): Promise<string[]> {
  const found: string[] = [];
  for await (const { name } of store.list('')) {
    const object = await store.get(name, 1_000_000);
    found.push(`${name} ${sha256Hex(object?.bytes ?? '')}`);
  }
  return found.sort();
}

const LIES: readonly (readonly [lie: Lie, code: string, message: string])[] = [
  ['next version', 'signer-invalid', 'signed with version 2, asked for 1'],
  ['other key', 'signer-invalid', 'does not verify after signing'],
  ['truncated', 'signer-invalid', 'does not verify after signing'],
  ['swapped', 'signer-invalid', 'does not verify after signing'],
  ['one too few', 'signer-invalid', 'signatures for'],
  ['no signature', 'signer-invalid', 'another form than vault:vN:BASE64'],
  ['an error among them', 'signer-unavailable', 'version 1: requested version is not available'],
  ['not JSON', 'signer-invalid', 'gave no signatures for'],
  ['sealed', 'signer-unavailable', 'it is sealed'],
];

test.each(LIES)(
  'a key service that answers "%s" is refused, and nothing is written',
  async (lie, code, message) => {
    const repository = await foundRepository({ bins: 16, seed: SEED });
    const service = await fakeTransit(SEED);
    const signer = await openTransit(service.address, [repository.signer.keyid]);
    onTestFinished(() => signer.close());
    expect(signer.keyid).toBe(repository.signer.keyid);
    const clock = new RunningClock(FOUNDED_AT + 1000);
    const before = await objects(repository);
    service.lie = lie;
    const process = startPublisher(repository.ports, { holder: 'one', clock, ports: { signer } });
    await repository.ledger.append(events('held'), clock.now());
    await untilRole(process, 'held', code);
    expect(process.publisher.status().problem?.message).toContain(message);
    expect(await objects(repository)).toEqual(before);
    service.lie = 'none';
    await untilSettled(repository, ['held']);
    await expectSound({ ...repository, clock });
    expect(JSON.stringify(process.log)).not.toContain(TOKEN);
  },
);

test('a key service that is away when the service starts is waited for; events are accepted meanwhile', async () => {
  const repository = await foundRepository({ bins: 16, seed: SEED });
  const { port } = await fakeTransit(SEED);
  const reasons: string[] = [];
  // Nothing listens on port 1.
  let address = 'http://127.0.0.1:1';
  const signer = await openNowOrLater(
    () => openTransit(address, [repository.signer.keyid]),
    ({ message }) => reasons.push(message),
    systemClock,
  );
  onTestFinished(() => signer.close());
  expect(reasons).toEqual([expect.stringContaining('nothing listens there')]);
  const clock = new RunningClock(FOUNDED_AT + 1000);
  const process = startPublisher(repository.ports, { holder: 'one', clock, ports: { signer } });
  await untilRole(process, 'held', 'signer-unavailable');
  expect(process.publisher.status().problem?.message).toContain('nothing listens there (ECONNREFUSED)');
  const receipts = await repository.ledger.append(events('waits'), clock.now());
  expect(receipts.map(({ state }) => state.state)).toEqual(['accepted']);
  address = `http://127.0.0.1:${port}`;
  await untilSettled(repository, ['waits']);
  await untilRole(process, 'publishing');
  await expectSound({ ...repository, clock });
});

test('a key service with the next key that is away holds nothing up that the first key may sign', async () => {
  const repository = await foundRepository({ bins: 16, seed: SEED });
  const { port } = await fakeTransit(SEED + 1);
  let address = 'http://127.0.0.1:1';
  const nextSigner = await openNowOrLater(
    () => openTransit(address, []),
    () => undefined,
    systemClock,
  );
  onTestFinished(() => nextSigner.close());
  const clock = new RunningClock(FOUNDED_AT + 1000);
  const process = startPublisher(repository.ports, { holder: 'one', clock, ports: { nextSigner } });
  await repository.ledger.append(events('alone'), clock.now());
  await untilSettled(repository, ['alone']);
  expect(process.publisher.status()).toMatchObject({ role: 'publishing' });
  expect(process.publisher.status()).not.toHaveProperty('nextKey');
  address = `http://127.0.0.1:${port}`;
  const arrived = (): boolean => process.publisher.status().nextKey !== undefined;
  await eventually('the next key is there', arrived);
  expect(process.publisher.status().nextKey).toEqual({ keyid: nextSigner.keyid, binsSigned: 0 });
  await expectSound({ ...repository, clock });
});

test('what is public is measured when nothing can be published, after a restart, and by who stands by', async () => {
  const repository = await foundRepository({ bins: 16, seed: SEED });
  const service = await fakeTransit(SEED);
  const signer = await openTransit(service.address, [repository.signer.keyid]);
  onTestFinished(() => signer.close());
  service.lie = 'sealed';
  const clock = new RunningClock(FOUNDED_AT + 1000);
  const expires = (FOUNDED_AT + 86_400_000) / 1000;
  const start = (holder: string): PublisherProcess =>
    startPublisher(repository.ports, { holder, clock, ports: { signer } });
  const isMeasured = async ({ metrics }: PublisherProcess): Promise<void> =>
    eventually('it is measured', async () => {
      const { values } = await metrics.expirySeconds.get();
      const known = new Map(values.map(({ labels, value }) => [labels.role, value]));
      return ['timestamp', 'snapshot', 'bin'].every((role) => known.get(role) === expires);
    });
  await repository.ledger.append(events('held'), clock.now());
  const one = start('one');
  await untilRole(one, 'held', 'signer-unavailable');
  await isMeasured(one);
  await isMeasured(start('two'));
  await one.publisher.stop();
  const again = start('one, started again');
  await untilRole(again, 'held', 'signer-unavailable');
  await isMeasured(again);
});

test('a committed publication that the next key has to sign too waits for it', async () => {
  const repository = await foundRepository({ bins: 16, seed: SEED });
  const next = throwawaySigner(SEED + 7);
  const late = await openNowOrLater(
    () => Promise.reject(new CountersignError('signer-unavailable', 'it is sealed')),
    () => undefined,
    systemClock,
  );
  onTestFinished(() => late.close());
  const { signer } = repository;
  expect(() => signersOf({ signer, nextSigner: late }, [signer.keyid, next.keyid])).toThrow('it is sealed');
  expect(signersOf({ signer, nextSigner: late }, [signer.keyid])).toEqual([signer]);
  // Without the first key nobody may sign: the reason is the one of the key that is away.
  expect(() => signersNamedBy({ signer, nextSigner: late }, { keyids: [next.keyid] })).toThrow(
    'it is sealed',
  );
});

test('a signer is tried again when the ledger was away at the last try', async () => {
  const problems = ['signer-unavailable', 'ledger-unavailable'] as const;
  let tries = 0;
  const open = (): Promise<Signer> => {
    const code = problems[tries++];
    if (code === undefined) return Promise.resolve(throwawaySigner(SEED));
    return Promise.reject(new CountersignError(code, `try ${tries}`));
  };
  const signer = await openNowOrLater(open, () => undefined, { sleep: () => Promise.resolve() });
  await eventually('it is there', () => isReached(signer));
  expect(tries).toBe(3);
});

test('what waiting does not mend is not tried again', async () => {
  const problems = ['signer-unavailable', 'secret-unreadable'] as const;
  let tries = 0;
  const open = (): Promise<Signer> => {
    const code = problems[tries++] ?? 'internal';
    return Promise.reject(new CountersignError(code, `try ${tries}`));
  };
  const signer = await openNowOrLater(open, () => undefined, systemClock);
  expect(() => signer.keyid).toThrow('try 1');
  await new Promise(setImmediate);
  for (let i = 0; i < 5; i++) {
    expect(() => signer.publicKey).toThrow('try 2');
    await expect(signer.sign([])).rejects.toMatchObject({ code: 'secret-unreadable' });
  }
  expect(tries).toBe(2);
  await signer.close();
  await expect(
    openNowOrLater(
      () => Promise.reject(new Error('no')),
      () => undefined,
      systemClock,
    ),
  ).rejects.toThrow('no');
});
