// Following an index, against a model: whatever the index does and wherever a pass is interrupted, the service ends with
// what the index names, each event is applied once, and a broken index removes nothing.
import path from 'node:path';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { comparePage, type KnownFile, type PageFile } from '../../src/follow/compare-page.ts';
import { deliver, type Settled } from '../../src/follow/deliver.ts';
import { FollowState, type QueuedEvent } from '../../src/follow/follow-state.ts';
import { followOnce, type IndexReader, type PassOptions } from '../../src/follow/pass.ts';
import { seedState } from '../../src/follow/seed.ts';
import { sha256Hex } from '../../src/lib/bytes.ts';
import { CountersignError } from '../../src/lib/errors.ts';
import { ManualClock } from '../support/manual-clock.ts';
import { tempDir } from '../support/temp-dir.ts';

type Content = string;

/** An index: projects with files by path. */
type Index = ReadonlyMap<string, ReadonlyMap<string, Content>>;

const claim = (file: string, content: Content): PageFile => ({
  path: file,
  length: content.length,
  sha256: sha256Hex(content),
});

/** A service that settles events as the real one does, once for each id. */
class ModelService {
  readonly targets = new Map<string, string>();
  readonly #settled = new Map<string, Settled>();

  get events(): number {
    return this.#settled.size;
  }

  settle({ id, line }: QueuedEvent): Settled {
    const known = this.#settled.get(id);
    if (known !== undefined) return known;
    const { changes } = JSON.parse(line) as {
      changes: [{ op: string; path: string; hashes?: { sha256: string } }];
    };
    const outcome = this.#apply(changes[0]);
    this.#settled.set(id, outcome);
    return outcome;
  }

  #apply({ op, path: target, hashes }: { op: string; path: string; hashes?: { sha256: string } }): Settled {
    const current = this.targets.get(target);
    if (op === 'remove') {
      if (current === undefined) return { state: 'rejected', reason: 'is not published' };
      this.targets.delete(target);
      return { state: 'published' };
    }
    if (op === 'add' && current !== undefined && current !== hashes?.sha256) {
      return { state: 'rejected', reason: 'is published with other content' };
    }
    this.targets.set(target, hashes?.sha256 ?? '');
    return { state: 'published' };
  }
}

class Interruption extends Error {}

interface Troubles {
  readonly killAfter?: number;
  /** Pages that cannot be read. */
  readonly unreadable?: Readonly<Record<string, CountersignError>>;
  /** The index is so many states ahead. */
  readonly serialOffset?: number;
  /** A file that its page names and that cannot be had yet. */
  readonly late?: string;
}

interface World {
  readonly service: ModelService;
  readonly clock: ManualClock;
  readonly asked: string[];
  /** One pass over `index`; stops like a killed process after so many steps. */
  readonly pass: (index: Index, options?: Partial<PassOptions> & Troubles) => Promise<void>;
  readonly state: () => Promise<FollowState>;
}

async function world(serials = false): Promise<World> {
  const file = path.join(await tempDir(), 'follow.db');
  const service = new ModelService();
  const clock = new ManualClock(1_000_000);
  const asked: string[] = [];
  let ids = 0;
  const open = (): Promise<FollowState> =>
    FollowState.open(file, { url: 'http://index/simple/', prefix: '' }, () => `event-${++ids}`);
  const tagOf = (files: ReadonlyMap<string, Content>): string => sha256Hex(JSON.stringify([...files]));
  let serial = 0;
  const seen = new Map<string, { tag: string; serial: number }>();
  return {
    service,
    clock,
    asked,
    state: open,
    pass: async (
      index,
      { killAfter = Number.POSITIVE_INFINITY, unreadable = {}, serialOffset = 0, late, ...options } = {},
    ) => {
      const state = await open();
      let steps = 0;
      const step = (): void => {
        if (++steps > killAfter) throw new Interruption();
      };
      for (const [project, files] of index) {
        const tag = tagOf(files);
        if (seen.get(project)?.tag !== tag) seen.set(project, { tag, serial: ++serial });
      }
      const serialOf = (project: string): number => (seen.get(project)?.serial ?? 0) + serialOffset;
      const reader: IndexReader = {
        projects: () =>
          Promise.resolve(
            new Map([...index.keys()].map((name) => [name, serials ? serialOf(name) : undefined])),
          ),
        page: async (project, known) => {
          step();
          asked.push(project);
          if (unreadable[project] !== undefined) throw unreadable[project];
          const files = index.get(project);
          if (files === undefined) return 'absent';
          const etag = tagOf(files);
          if (known?.etag === etag) return 'unchanged';
          return Promise.resolve({
            etag,
            ...(serials ? { serial: serialOf(project) } : {}),
            files: [...files].map(([name, content]) =>
              name === late
                ? { path: name, problem: 'is absent', mayPass: true as const }
                : claim(name, content),
            ),
          });
        },
      };
      try {
        await followOnce({
          state,
          clock,
          index: reader,
          prefix: '',
          replace: false,
          removeAfterMs: 0,
          maxRemovals: 100,
          signal: new AbortController().signal,
          progress: () => undefined,
          deliver: () =>
            deliver({
              state,
              report: () => undefined,
              send: (events) => {
                step();
                const outcomes = events.map((event) => service.settle(event));
                // The answer is lost after the service took the events.
                step();
                return Promise.resolve(outcomes);
              },
            }),
          ...options,
        });
      } catch (error) {
        if (!(error instanceof Interruption)) throw error;
      } finally {
        state.close();
      }
    },
  };
}

function indexOf(projects: Readonly<Record<string, Readonly<Record<string, Content>>>>): Index {
  return new Map(
    Object.entries(projects).map(([name, files]) => [name, new Map(Object.entries(files))] as const),
  );
}

function targetsOf(index: Index): Map<string, string> {
  return new Map(
    [...index.values()].flatMap((files) =>
      [...files].map(([name, text]) => [name, sha256Hex(text)] as const),
    ),
  );
}

/** Contents never change under a name: what follows the first sight of a name is its presence. */
const indexes = fc.array(
  fc.dictionary(
    fc.constantFrom('a', 'b', 'c'),
    fc.uniqueArray(fc.constantFrom('x', 'y', 'z'), { maxLength: 3 }),
    { noNullPrototype: true },
  ),
  { minLength: 1, maxLength: 6 },
);

describe('whatever an index does', () => {
  test.each([false, true])('the service ends with what it names (serials: %s)', async (serials) => {
    await fc.assert(
      fc.asyncProperty(indexes, fc.array(fc.nat(12), { maxLength: 6 }), async (states, kills) => {
        const { service, pass } = await world(serials);
        let last: Index = new Map();
        for (const [i, projects] of states.entries()) {
          last = new Map(
            Object.entries(projects).map(([name, files]) => [
              name,
              new Map(files.map((file) => [`${name}/${file}.whl`, `${name}${file}`])),
            ]),
          );
          await pass(last, { killAfter: kills[i] ?? Number.POSITIVE_INFINITY });
        }
        await pass(last);
        expect(service.targets).toEqual(targetsOf(last));
      }),
      { numRuns: process.env['SLOW'] === '1' ? 500 : 20 },
    );
  });

  test('pages whose serial is known are not asked for again', async () => {
    const { pass, asked } = await world(true);
    const index = indexOf({ a: { 'a/1': 'one' }, b: { 'b/1': 'one' } });
    await pass(index);
    await pass(index);
    expect(asked).toEqual(['a', 'b']);
    await pass(indexOf({ a: { 'a/1': 'one', 'a/2': 'two' }, b: { 'b/1': 'one' } }));
    expect(asked).toEqual(['a', 'b', 'a']);
  });

  test('a content that changes under a name is refused and named; with replace it is signed', async () => {
    const { pass, service, state } = await world();
    await pass(indexOf({ a: { 'a/1': 'one' } }));
    const changed = indexOf({ a: { 'a/1': 'other', 'a/2': 'two' } });
    await pass(changed);
    expect(service.targets).toEqual(
      new Map([
        ['a/1', sha256Hex('one')],
        ['a/2', sha256Hex('two')],
      ]),
    );
    const open = await state();
    expect(open.refusals(9)).toMatchObject({
      count: 1,
      first: [{ path: 'a/1', reason: expect.stringContaining('its content changed') as string }],
    });
    open.close();
    await pass(indexOf({ a: { 'a/1': 'third', 'a/2': 'two' } }), { replace: true });
    expect(service.targets.get('a/1')).toBe(sha256Hex('third'));
    const after = await state();
    expect(after.refusals(9).count).toBe(0);
    after.close();
  });

  test('an index that is suddenly empty removes nothing, and costs nothing when it is back', async () => {
    const { pass, service, clock } = await world();
    const files = Object.fromEntries(Array.from({ length: 20 }, (_, i) => [`a/${i}`, `content ${i}`]));
    const index = indexOf({ a: files });
    await pass(index);
    await expect(pass(new Map(), { maxRemovals: 10 })).rejects.toMatchObject({ code: 'too-many-removals' });
    clock.advance(1000);
    await pass(index, { maxRemovals: 10 });
    expect(service.targets).toEqual(targetsOf(index));
    expect(service.events).toBe(20);
  });

  test('a file is removed when it has been gone for long enough', async () => {
    const { pass, service, clock } = await world();
    await pass(indexOf({ a: { 'a/1': 'one', 'a/2': 'two' } }));
    const less = indexOf({ a: { 'a/1': 'one' } });
    await pass(less, { removeAfterMs: 5000 });
    clock.advance(4000);
    await pass(less, { removeAfterMs: 5000 });
    expect(service.targets.size).toBe(2);
    clock.advance(2000);
    await pass(less, { removeAfterMs: 5000 });
    expect([...service.targets.keys()]).toEqual(['a/1']);
  });

  test('a file that moves to another project stays', async () => {
    const { pass, service } = await world();
    await pass(indexOf({ a: { 'shared/1': 'one' }, b: {} }));
    await pass(indexOf({ a: {}, b: { 'shared/1': 'one' } }));
    await pass(indexOf({ a: {}, b: { 'shared/1': 'one' } }));
    expect([...service.targets.keys()]).toEqual(['shared/1']);
  });

  test('one page that cannot be read keeps no other file unsigned, and is named', async () => {
    const { pass, service } = await world();
    const index = indexOf({ a: { 'a/1': 'one' }, b: { 'b/1': 'one' }, c: { 'c/1': 'one' } });
    const broken = new CountersignError(
      'service-unavailable',
      'http://index/simple/a/ cannot be read: it answers 500',
    );
    await expect(pass(index, { unreadable: { a: broken } })).rejects.toMatchObject({
      code: 'service-unavailable',
      message: `${broken.message}; 1 of 3 pages could not be read, what the others say is done`,
    });
    expect([...service.targets.keys()].sort()).toEqual(['b/1', 'c/1']);
    await pass(index);
    expect(service.targets).toEqual(targetsOf(index));
  });

  test('an index whose pages are away altogether is not asked for all of them', async () => {
    const { pass, asked } = await world();
    const names = Array.from({ length: 100 }, (_, i) => `p${i}`);
    const away = new CountersignError('service-unavailable', 'away');
    const unreadable = Object.fromEntries(names.map((name) => [name, away]));
    const index = indexOf(Object.fromEntries(names.map((name) => [name, {}])));
    await expect(pass(index, { unreadable })).rejects.toBe(away);
    expect(asked.length).toBeLessThan(30);
  });

  test('an index that was restored from a backup is read again: its serials went back', async () => {
    const { pass, service } = await world(true);
    await pass(indexOf({ a: { 'a/1': 'one' } }), { serialOffset: 1000 });
    const index = indexOf({ a: { 'a/1': 'one', 'a/2': 'two' } });
    await pass(index);
    expect(service.targets).toEqual(targetsOf(index));
  });

  test('a page with a file that was not there yet is asked for again', async () => {
    const { pass, service, asked } = await world(true);
    const index = indexOf({ a: { 'a/1': 'one' } });
    await pass(index, { late: 'a/1' });
    expect(service.targets.size).toBe(0);
    await pass(index);
    expect(service.targets).toEqual(targetsOf(index));
    expect(asked).toEqual(['a', 'a']);
  });

  test('what was read for back-signing is not sent again', async () => {
    const { pass, service, state } = await world();
    const open = await state();
    expect(seedState(open, [{ project: 'a', files: [claim('a/1', 'one')] }], '', 1)).toBe(1);
    open.close();
    await pass(indexOf({ a: { 'a/1': 'one', 'a/2': 'two' } }));
    expect([...service.targets.keys()]).toEqual(['a/2']);
  });

  test('a state belongs to one index', async () => {
    const file = path.join(await tempDir(), 'follow.db');
    (await FollowState.open(file, { url: 'http://one/simple/', prefix: '' }, () => '1')).close();
    await expect(
      FollowState.open(file, { url: 'http://two/simple/', prefix: '' }, () => '1'),
    ).rejects.toMatchObject({
      code: 'follow-state',
      message: expect.stringContaining('http://one/simple/') as string,
    });
  });

  test('a state belongs to one prefix: under another, what is signed would count as gone', async () => {
    const file = path.join(await tempDir(), 'follow.db');
    const url = 'http://one/simple/';
    (await FollowState.open(file, { url, prefix: 'packages/' }, () => '1')).close();
    await expect(FollowState.open(file, { url, prefix: '' }, () => '1')).rejects.toMatchObject({
      code: 'follow-state',
      message: expect.stringContaining('--prefix "packages/", not ""') as string,
    });
  });
});

describe('a page', () => {
  const none: ReadonlyMap<string, KnownFile> = new Map();
  const options = { prefix: 'packages/', replace: false };

  test.each<[string, PageFile, string]>([
    ['no hash', { path: 'a', length: 1 }, 'has no sha256'],
    ['no length', { path: 'a', sha256: sha256Hex('a') }, 'has no length'],
    ['a short hash', { path: 'a', length: 1, sha256: 'abc' }, 'is not 64 lower-case hex digits'],
    ['a path that leaves the index', { ...claim('../a', 'x') }, 'has the segment ".."'],
    ['what its reading found', { path: 'a', problem: 'is absent' }, 'is absent'],
  ])('%s: refused, and the others are taken', (_, bad, reason) => {
    const { events, refused } = comparePage(none, [bad, claim('good', 'x')], options);
    expect(events.map(({ op, path: target }) => `${op} ${target}`)).toEqual(['add packages/good']);
    expect(refused).toEqual([
      { path: `packages/${bad.path}`, reason: expect.stringContaining(reason) as string },
    ]);
  });

  test('one path with two contents: neither is signed', () => {
    const { events, refused } = comparePage(none, [claim('a', 'one'), claim('a', 'two')], options);
    expect(events).toEqual([]);
    expect(refused[0]?.reason).toContain('the page names it twice');
    expect(comparePage(none, [claim('a', 'one'), claim('a', 'one')], options).events).toHaveLength(1);
  });
});
