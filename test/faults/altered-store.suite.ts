// Somebody else writes to the bucket. What was altered is noticed and named, never signed again; everything that does
// not depend on it goes on, and what waits is published once the object is as it was. For a store in memory
// (altered-store.test.ts) and for a real server (test/interop/altered-bucket.test.ts).
import { describe, expect, test } from 'vitest';
import type { Change } from '../../src/ledger/ledger.ts';
import type { ObjectStore } from '../../src/storage/store.ts';
import { BinDocument } from '../../src/tuf/bin-document.ts';
import { formatExpires } from '../../src/tuf/lifetimes.ts';
import { metadataFile } from '../../src/tuf/metadata-file.ts';
import { TwoContents } from '../support/faulty-ports.ts';
import { NaiveCatalogue, publicState } from '../support/public-state.ts';
import {
  eventually,
  startPublisher,
  untilRole,
  untilSettled,
  type PublisherProcess,
} from '../support/publisher-process.ts';
import {
  accept,
  FOUNDED_AT,
  foundRepository,
  publishAll,
  targetOf,
  type TestRepository,
} from '../support/repository.ts';
import { RunningClock } from '../support/running-clock.ts';

const HOUR_MS = 3_600_000;
const TIMESTAMP = 'metadata/timestamp.json';

/** A store, and what somebody can do to it who has the keys of the bucket. */
export interface AlterableStore extends ObjectStore {
  /** Puts these bytes in the place of an object, whatever stands there; undefined takes it away. */
  tamper(name: string, bytes: Uint8Array | undefined): void | Promise<void>;
}

interface Scene {
  readonly repository: TestRepository<AlterableStore>;
  readonly clock: RunningClock;
  readonly contents: TwoContents;
  readonly model: NaiveCatalogue;
}

/** An empty bin with the version that bin-0 has, signed by the online key: what a bin may have been before. */
async function emptyBin({ repository }: Scene): Promise<Buffer> {
  const bin = (await repository.ledger.bins())[0];
  const { signed } = BinDocument.empty(bin?.version ?? 0, formatExpires(bin?.expires ?? 0));
  const [signature = new Uint8Array()] = await repository.signer.sign([signed]);
  const sig = Buffer.from(signature).toString('hex');
  return metadataFile(signed, [{ keyid: repository.signer.keyid, sig }]);
}

async function makeScene(open: () => Promise<AlterableStore>, hoursLater = 1): Promise<Scene> {
  const repository = await foundRepository({ bins: 4, store: await open() });
  const model = new NaiveCatalogue();
  for (const round of [1, 2]) {
    const changes = Array.from({ length: 8 }, (_, i) => add(`x/${round}/${i}`));
    await accept(repository, changes);
    model.apply(changes);
    await publishAll(repository);
  }
  const clock = new RunningClock(FOUNDED_AT + hoursLater * HOUR_MS);
  return { repository, model, clock, contents: new TwoContents() };
}

function start({ repository, clock, contents }: Scene, holder = 'one'): PublisherProcess {
  const ports = { store: contents.store(repository.store) };
  return startPublisher(repository.ports, { holder, clock, ports, isGone: () => true });
}

function add(path: string): Change {
  return { op: 'add', path, target: targetOf(path) };
}

/** A path in bin `bin` that nobody used. */
function pathIn({ repository }: Scene, bin: number, tag: string): string {
  for (let i = 0; ; i++) {
    const path = `${tag}/${i}`;
    if (repository.layout.indexOf(path) === bin) return path;
  }
}

async function upload(
  { repository, clock, model }: Scene,
  id: string,
  changes: readonly Change[],
): Promise<void> {
  await repository.ledger.append([{ id, changes }], clock.now());
  model.apply(changes);
}

async function bytesOf(store: ObjectStore, name: string): Promise<Uint8Array> {
  const object = await store.get(name, 10_000_000);
  if (object === undefined) throw new Error(`${name} is missing`);
  return object.bytes;
}

async function binName({ repository }: Scene, bin: number, back = 0): Promise<string> {
  const version = (await repository.ledger.bins())[bin]?.version ?? 0;
  return `metadata/${version - back}.${repository.layout.name(bin)}.json`;
}

async function stateOf({ repository }: Scene, id: string): Promise<string | undefined> {
  return (await repository.ledger.events([id])).get(id)?.state.state;
}

async function checkEnd({ repository, model, contents }: Scene): Promise<void> {
  const { targets, snapshot } = await publicState(repository.store, repository.ports);
  expect(targets).toEqual(model.listing());
  expect(await repository.ledger.head()).toMatchObject({ snapshot });
  expect(contents.found).toEqual([]);
}

function flipped(bytes: Uint8Array): Uint8Array {
  const copy = Uint8Array.from(bytes);
  copy[300] = (copy[300] ?? 0) ^ 1;
  return copy;
}

/** `open` gives an empty store each time. */
export function alteredStoreSuite(name: string, open: () => Promise<AlterableStore>): void {
  const scene = (hoursLater?: number): Promise<Scene> => makeScene(open, hoursLater);
  describe(name, () => {
    describe('a bin', () => {
      test.each([
        { how: 'altered', alter: (current: Uint8Array) => flipped(current) },
        { how: 'removed', alter: () => undefined },
        { how: 'rolled back', alter: (_current: Uint8Array, older: Uint8Array) => older },
        { how: 'swollen', alter: () => Buffer.alloc(5_000_001, 0x20) },
        { how: 'emptied', alter: () => Buffer.alloc(0) },
      ])('$how: its events wait, in their order, all others are published', async ({ alter }) => {
        const current = await scene();
        const { repository } = current;
        const { store } = repository;
        const name = await binName(current, 0);
        const good = await bytesOf(store, name);
        await store.tamper(name, alter(good, await bytesOf(store, await binName(current, 0, 1))));
        const process = start(current);
        const [lost, beside, free] = [
          pathIn(current, 0, 'a'),
          pathIn(current, 1, 'b'),
          pathIn(current, 2, 'c'),
        ];
        await upload(current, 'both', [add(lost), add(beside)]);
        await upload(current, 'same path', [{ op: 'put', path: beside, target: targetOf('newer') }]);
        await upload(current, 'other', [add(free)]);
        await untilSettled(repository, ['other']);
        expect(await stateOf(current, 'both')).toBe('accepted');
        expect(await stateOf(current, 'same path')).toBe('accepted');
        const status = process.publisher.status();
        expect(status).toMatchObject({ role: 'publishing', alteredBins: [{ name: 'bin-0' }] });
        expect(status.alteredBins[0]?.message).toContain(name);
        expect(process.log).toContainEqual(expect.objectContaining({ code: 'bin-altered', bin: 'bin-0' }));
        await upload(current, 'later', [add(pathIn(current, 3, 'd'))]);
        await untilSettled(repository, ['later']);
        expect((await repository.ledger.bins())[0]?.version).toBe(Number(/\d+/.exec(name)?.[0]));

        await store.tamper(name, good);
        await untilSettled(repository, ['both', 'same path']);
        expect(process.publisher.status().alteredBins).toEqual([]);
        await process.publisher.stop();
        await checkEnd(current);
      });

      // A bin does not name its role, and all bins have one key: both of these verify under the name of bin-0.
      test.each([
        [
          'another bin',
          (current: Scene) => binName(current, 1).then((name) => bytesOf(current.repository.store, name)),
        ],
        ['an empty bin', emptyBin],
      ])('exchanged for %s of the same version: it is not signed in its place', async (_, impostor) => {
        const current = await scene();
        const { repository } = current;
        const name = await binName(current, 0);
        const good = await bytesOf(repository.store, name);
        await repository.store.tamper(name, await impostor(current));
        const process = start(current);
        await upload(current, 'first', [add(pathIn(current, 0, 'a'))]);
        await eventually('it is noticed', () => process.publisher.status().alteredBins.length > 0);
        expect(process.publisher.status().alteredBins[0]?.message).toMatch(
          /its sha256 is .*, the ledger says/,
        );
        await repository.store.tamper(name, good);
        await untilSettled(repository, ['first']);
        await process.publisher.stop();
        await checkEnd(current);
      });

      test('altered: the renewal of the others goes on', async () => {
        const current = await scene(13);
        const { repository } = current;
        const name = await binName(current, 2);
        const good = await bytesOf(repository.store, name);
        await repository.store.tamper(name, flipped(good));
        const before = await repository.ledger.bins();
        const process = start(current);
        const renewed = async (bin: number): Promise<boolean> =>
          ((await repository.ledger.bins())[bin]?.version ?? 0) > (before[bin]?.version ?? 0);
        for (const bin of [0, 1, 3]) await eventually(`bin ${bin} is renewed`, () => renewed(bin));
        expect(await renewed(2)).toBe(false);
        expect(process.publisher.status().alteredBins).toMatchObject([{ name: 'bin-2' }]);
        await repository.store.tamper(name, good);
        await eventually('bin 2 is renewed', () => renewed(2));
        await process.publisher.stop();
        await checkEnd(current);
      });

      test('altered after it was committed: publication waits for it, and goes on by itself', async () => {
        const current = await scene();
        const { repository, clock } = current;
        const { store, ledger } = repository;
        const same = add('x/1/0');
        await upload(current, 'one', [add(pathIn(current, 0, 'a')), add(pathIn(current, 1, 'b'))]);
        // Without effect, but only while its bin can be read: recovery must not judge it anew.
        await upload(current, 'no effect', [{ op: 'remove', path: same.path }, same]);
        // Dies between the commit point and the first write.
        const dying = startPublisher(repository.ports, {
          holder: 'dying',
          clock,
          ports: {
            store: {
              ...current.contents.store(store),
              putImmutable: () => Promise.reject(new Error('dead')),
            },
          },
        });
        await eventually('committed', async () => (await ledger.head())?.unfinished !== undefined);
        await dying.publisher.stop();
        const altered = [
          await binName(current, 1),
          await binName(current, repository.layout.indexOf(same.path)),
        ];
        for (const name of new Set(altered)) {
          const good = await bytesOf(store, name);
          await store.tamper(name, flipped(good));
          const process = start(current, `heir of ${name}`);
          await untilRole(process, 'held', 'bin-altered');
          expect(process.publisher.status().problem?.message).toContain(name);
          await upload(current, `waits for ${name}`, [add(pathIn(current, 2, 'c'))]).catch(() => undefined);
          const last = name === altered.at(-1);
          // Before the bin is restored: this heir would complete the publication that the next one is to meet.
          if (!last) await process.publisher.stop();
          await store.tamper(name, good);
          if (!last) continue;
          await untilSettled(repository, ['one', 'no effect']);
          await process.publisher.stop();
        }
        expect(await stateOf(current, 'no effect')).toBe('published');
        await checkEnd(current);
      });
    });

    describe('timestamp.json', () => {
      const cases: readonly { how: string; alter: (older: Uint8Array) => Uint8Array | undefined }[] = [
        { how: 'rolled back', alter: (older) => older },
        { how: 'garbage', alter: () => Buffer.from('{"signed":{}') },
        { how: 'removed', alter: () => undefined },
        { how: 'swollen', alter: () => Buffer.alloc(20_000, 0x20) },
      ];

      test.each(cases)(
        '$how while the service runs: it stops, and goes on after a restart',
        async ({ alter }) => {
          const current = await scene();
          const { repository } = current;
          const older = await bytesOf(repository.store, TIMESTAMP);
          const process = start(current);
          await upload(current, 'first', [add('a/1')]);
          await untilSettled(repository, ['first']);
          const good = await bytesOf(repository.store, TIMESTAMP);
          await repository.store.tamper(TIMESTAMP, alter(older));
          await upload(current, 'second', [add('b/2')]);
          await untilRole(process, 'stopped', 'timestamp-conflict');
          expect(process.publisher.status().problem?.message).toContain('timestamp');
          expect(process.log.some(({ level, code }) => level === 60 && code === 'timestamp-conflict')).toBe(
            true,
          );
          expect(await stateOf(current, 'second')).toBe('accepted');
          await repository.store.tamper(TIMESTAMP, good);
          const restarted = start(current, 'restarted');
          await untilSettled(repository, ['second']);
          await restarted.publisher.stop();
          await checkEnd(current);
        },
      );

      test.each(cases)('$how while it was down: it does not start to publish', async ({ alter }) => {
        const current = await scene();
        const { repository } = current;
        const older = await bytesOf(repository.store, TIMESTAMP);
        const changes = [add('a/1')];
        await accept(repository, changes);
        current.model.apply(changes);
        await publishAll(repository);
        const good = await bytesOf(repository.store, TIMESTAMP);
        await repository.store.tamper(TIMESTAMP, alter(older));
        await untilRole(start(current), 'stopped', 'timestamp-conflict');
        await repository.store.tamper(TIMESTAMP, good);
        await untilRole(start(current, 'restarted'), 'publishing');
        await checkEnd(current);
      });
    });

    test('a snapshot that was altered keeps the service from starting, until it is restored', async () => {
      const current = await scene();
      const { repository } = current;
      const name = `metadata/${(await repository.ledger.head())?.snapshot ?? 0}.snapshot.json`;
      const good = await bytesOf(repository.store, name);
      await repository.store.tamper(name, flipped(good));
      const process = start(current);
      await untilRole(process, 'held');
      expect(process.publisher.status().problem?.message).toMatch(/snapshot/);
      await repository.store.tamper(name, undefined);
      await untilRole(process, 'held', 'metadata-missing');
      await upload(current, 'waits', [add('a/1')]);
      await repository.store.tamper(name, good);
      await untilSettled(repository, ['waits']);
      await process.publisher.stop();
      await checkEnd(current);
    });

    test.each(['metadata/4.snapshot.json', 'next bin'])(
      '%s pre-created by somebody else: publication stops before anything becomes visible',
      async (what) => {
        const current = await scene();
        const { repository } = current;
        const before = await publicState(repository.store, repository.ports);
        const name = what === 'next bin' ? await binName(current, 0, -1) : what;
        const foreign = await bytesOf(repository.store, await binName(current, 0));
        await repository.store.tamper(name, foreign);
        const process = start(current);
        await upload(current, 'first', [add(pathIn(current, 0, 'a'))]);
        await untilRole(process, 'stopped', 'immutable-conflict');
        expect(process.publisher.status().problem?.message).toContain(name);
        expect(await publicState(repository.store, repository.ports)).toEqual(before);
        await repository.store.tamper(name, undefined);
        const restarted = start(current, 'restarted');
        await untilSettled(repository, ['first']);
        await restarted.publisher.stop();
        await checkEnd(current);
      },
    );

    test('a ledger older than the store is refused', async () => {
      const current = await scene();
      const { repository } = current;
      const head = await repository.ledger.head();
      if (head === undefined) throw new Error('no head');
      const older = { ...head, snapshot: head.snapshot - 1, timestamp: head.timestamp - 1 };
      const history = new Proxy(repository.ledger, {
        get: (target, property) => {
          const member: unknown = Reflect.get(target, property, target);
          if (property === 'head') return () => Promise.resolve(older);
          return typeof member === 'function' ? (member.bind(target) as unknown) : member;
        },
      });
      const process = startPublisher(repository.ports, {
        holder: 'one',
        clock: current.clock,
        ports: { history },
      });
      await untilRole(process, 'stopped', 'timestamp-conflict');
      expect(process.publisher.status().problem?.message).toContain('the ledger is older than the store');
    });
  });
}
