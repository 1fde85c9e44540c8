// Simple index pages that publications render: what they say, that every moment and every crash leaves them whole and
// in agreement with the files, and what an altered page stops.
import { describe, expect, test } from 'vitest';
import { sha256Hex } from '../../src/lib/bytes.ts';
import type { Change, UploadEvent } from '../../src/ledger/ledger.ts';
import { collectGarbage } from '../../src/publish/retention.ts';
import { targetObjectName } from '../../src/tuf/layout.ts';
import type { JsonObject, TargetFile } from '../../src/tuf/metadata.ts';
import { FaultyProcess, faultRows, TwoContents, type PlannedFault } from '../support/faulty-ports.ts';
import { expectSound, violationsOf } from '../support/oracle.ts';
import { publicState } from '../support/public-state.ts';
import { accept, foundRepository, publishAll, targetOf, type TestRepository } from '../support/repository.ts';

const RENDER = { settings: { renderPages: true } };
const WHEEL = 'packages/a1/demo-1.0-py3-none-any.whl';
const SDIST = 'packages/b2/Demo-1.0.tar.gz';
const NEWER = 'packages/c3/demo-2.0-py3-none-any.whl';
const OTHER = 'packages/d4/other_project-0.1-py3-none-any.whl';

function add(path: string, custom?: JsonObject, content = path): Change {
  const target: TargetFile = { ...targetOf(content), ...(custom === undefined ? {} : { custom }) };
  return { op: 'add', path, target };
}

function put(path: string, custom: JsonObject): Change {
  return { op: 'put', path, target: { ...targetOf(path), custom } };
}

interface Page {
  readonly meta: Readonly<Record<string, unknown>>;
  readonly versions: readonly string[];
  readonly files: readonly Readonly<Record<string, unknown>>[];
}

async function pageBytes(
  { store, ports }: TestRepository,
  project: string,
  form = 'json',
): Promise<Uint8Array | undefined> {
  const path = `simple/${project}/index.${form}`;
  const { targets } = await publicState(store, ports);
  const [sha256 = ''] = /[0-9a-f]{64}/.exec(targets[path] ?? '') ?? [];
  return sha256 === '' ? undefined : (await store.get(targetObjectName(path, sha256), 1e7))?.bytes;
}

async function pageOf(repository: TestRepository, project = 'demo'): Promise<Page | undefined> {
  const bytes = await pageBytes(repository, project);
  return bytes && (JSON.parse(Buffer.from(bytes).toString()) as Page);
}

function sound(repository: TestRepository): Promise<void> {
  return expectSound({ ...repository, renderedPages: true });
}

describe('a page', () => {
  test('follows uploads, replacements and removals in the same snapshot', async () => {
    const repository = await foundRepository(RENDER);
    await accept(repository, [add(WHEEL, { 'requires-python': '>=3.9', 'core-metadata': true }), add(OTHER)]);
    await publishAll(repository);
    await sound(repository);
    expect(await pageOf(repository)).toMatchObject({
      meta: { 'api-version': '1.3', '_last-serial': 2 },
      versions: ['1.0'],
      files: [
        {
          filename: 'demo-1.0-py3-none-any.whl',
          url: `../../${WHEEL}`,
          hashes: targetOf(WHEEL).hashes,
          size: WHEEL.length,
          'upload-time': '2026-03-01T12:00:00.000Z',
          'requires-python': '>=3.9',
          'core-metadata': true,
        },
      ],
    });
    await accept(repository, [add(SDIST), add(NEWER)]);
    await accept(repository, [put(WHEEL, { yanked: 'broken' })]);
    await publishAll(repository);
    await sound(repository);
    const page = await pageOf(repository);
    expect(page?.versions).toEqual(['1.0', '2.0']);
    expect(page?.files.map(({ filename, yanked }) => [filename, yanked])).toEqual([
      ['demo-1.0-py3-none-any.whl', 'broken'],
      ['Demo-1.0.tar.gz', undefined],
      ['demo-2.0-py3-none-any.whl', undefined],
    ]);
    await accept(
      repository,
      [WHEEL, SDIST, NEWER].map((path) => ({ op: 'remove', path })),
    );
    await publishAll(repository);
    await sound(repository);
    expect(await pageOf(repository)).toBeUndefined();
    expect(await pageBytes(repository, 'demo', 'html')).toBeUndefined();
    expect((await pageOf(repository, 'other-project'))?.files).toHaveLength(1);
  });

  test('says nothing that a hostile index put into custom data, and nothing breaks out of its HTML', async () => {
    const repository = await foundRepository(RENDER);
    const evil = '"><script>alert(1)</script><a href="https://evil.example/x-1.tar.gz">&amp;\'';
    await accept(repository, [
      add(WHEEL, {
        'requires-python': evil,
        yanked: evil,
        provenance: `https://x/${evil}`,
        'upload-time': evil,
        'core-metadata': { sha256: evil },
      }),
      add(SDIST, { 'requires-python': 'x'.repeat(5000), yanked: { a: 1 }, provenance: 'javascript:1' }),
    ]);
    await publishAll(repository);
    await sound(repository);
    const html = Buffer.from((await pageBytes(repository, 'demo', 'html')) ?? '').toString();
    expect(html.match(/<a /g)).toHaveLength(2);
    expect(html).not.toContain('<script');
    const files = (await pageOf(repository))?.files ?? [];
    expect(files[0]).toMatchObject({ yanked: evil, 'upload-time': '2026-03-01T12:00:00.000Z' });
    expect(files[0]).not.toHaveProperty('core-metadata');
    for (const key of ['requires-python', 'yanked', 'provenance']) expect(files[1]).not.toHaveProperty(key);
  });

  test('is nobody else’s to bring', async () => {
    const repository = await foundRepository(RENDER);
    const receipt = await accept(repository, [add(WHEEL), add('simple/demo/index.html')]);
    await publishAll(repository);
    const state = (await repository.ledger.events([receipt.id])).get(receipt.id)?.state;
    expect(state).toMatchObject({ state: 'rejected', code: 'path-forbidden' });
    await sound(repository);
  });

  test('fills when events are sent again after pages were switched on', async () => {
    const repository = await foundRepository();
    await accept(repository, [add(WHEEL)], 'first');
    await accept(repository, [add(SDIST)], 'second');
    await publishAll(repository);
    const switched = {
      ...repository,
      ports: { ...repository.ports, settings: { ...repository.ports.settings, renderPages: true } },
    };
    await accept(repository, [add(WHEEL)], 'first again');
    await accept(repository, [add(SDIST)], 'second again');
    await publishAll(switched);
    await sound(repository);
    expect((await pageOf(repository))?.files).toHaveLength(2);
    // And once more: nothing changes, no page is written again.
    const before = repository.store.names();
    await accept(repository, [add(SDIST)], 'third');
    await publishAll(switched);
    expect(repository.store.names().filter((name) => name.startsWith('targets/'))).toEqual(
      before.filter((name) => name.startsWith('targets/')),
    );
  });

  test('with 3,000 files takes one more', async () => {
    const repository = await foundRepository(RENDER);
    const many = Array.from({ length: 3000 }, (_, index) => add(`packages/demo-1.${index}.tar.gz`));
    await accept(repository, many, 'many');
    await publishAll(repository);
    await accept(repository, [add(WHEEL)]);
    await publishAll(repository);
    await sound(repository);
    expect((await pageOf(repository))?.files).toHaveLength(3001);
  });
});

describe('an altered page', () => {
  test('is never built upon: its project waits, the others go on', async () => {
    const repository = await foundRepository({ ...RENDER, bins: 64 });
    await accept(repository, [add(WHEEL), add(OTHER)]);
    await publishAll(repository);
    const name =
      repository.store.names().find((it) => it.endsWith('index.json') && it.includes('/demo/')) ?? '';
    const truth = (await repository.store.get(name, 1e7))?.bytes ?? new Uint8Array();
    repository.store.tamper(name, Buffer.from('{"meta":{"api-version":"1.0"},"name":"demo","files":[]}'));
    const waiting = await accept(repository, [add(NEWER)]);
    const passing = await accept(repository, [put(OTHER, { yanked: true })]);
    await publishAll(repository);
    const states = await repository.ledger.events([waiting.id, passing.id]);
    expect(states.get(waiting.id)?.state).toEqual({ state: 'accepted' });
    expect(states.get(passing.id)?.state).toMatchObject({ state: 'published' });
    expect(repository.ports.altered.list()[0]?.message).toContain('events for project demo wait');
    expect((await violationsOf({ ...repository, renderedPages: true })).map(({ rule }) => rule)).toContain(
      'simple-object',
    );
    repository.store.tamper(name, truth);
    repository.clock.advance(3_600_000);
    await publishAll(repository);
    await sound(repository);
    expect((await pageOf(repository))?.files).toHaveLength(2);
  });

  test('fsck sees a page that lists other files than the bins know', async () => {
    const repository = await foundRepository();
    const page = { meta: { 'api-version': '1.1' }, name: 'demo', files: [] };
    const content = JSON.stringify(page);
    const path = 'simple/demo/index.json';
    await repository.store.putImmutable(
      targetObjectName(path, targetOf(content).hashes.sha256),
      Buffer.from(content),
    );
    await accept(repository, [add(WHEEL), add(path, undefined, content)]);
    await publishAll(repository);
    const rules = (await violationsOf({ ...repository, renderedPages: true })).map(({ rule }) => rule);
    expect(rules.filter((rule) => rule === 'simple-files')).toHaveLength(2);
  });

  test('fsck tells what it finds in the same order, in whichever order the store answers', async () => {
    const repository = await foundRepository({ bins: 64 });
    const projects = Array.from({ length: 12 }, (_, n) => `packages/e5/p${n}-1.0.tar.gz`);
    await accept(
      repository,
      projects.map((path) => add(path)),
    );
    await publishAll(repository);
    const { store, clock } = repository;
    const found = async (rounds: (asked: number) => number): Promise<readonly string[]> => {
      let asked = 0;
      const slow = {
        list: (prefix: string) => store.list(prefix),
        get: async (name: string, maxBytes: number) => {
          for (let round = rounds(asked++); round > 0; round--) await Promise.resolve();
          return store.get(name, maxBytes);
        },
      };
      const violations = await violationsOf({ store: slow, clock, renderedPages: true });
      return violations.map(({ name }) => name);
    };
    const usual = await found(() => 0);
    expect(usual).toEqual(Array.from({ length: 12 }, (_, n) => `simple/p${n}/index.html`).sort());
    // The last of those that are on their way is answered first.
    expect(await found((asked) => 100 * (16 - (asked % 16)))).toEqual(usual);
  });
});

const EVENTS: readonly UploadEvent[] = [
  { id: 'upload', changes: [add(NEWER), add(OTHER)] },
  { id: 'yank', changes: [put(WHEEL, { yanked: true })] },
  { id: 'refused', changes: [add('packages/e5/demo-3.0.tar.gz'), { op: 'remove', path: 'absent' }] },
  { id: 'remove', changes: [{ op: 'remove', path: SDIST }] },
];

describe('the fault table', () => {
  test('every write that fails, or is the last of its process', async () => {
    const run = async (planned?: PlannedFault): Promise<FaultyProcess> => {
      const repository = await foundRepository({ ...RENDER, bins: 4 });
      await accept(repository, [add(WHEEL), add(SDIST)], 'before');
      await publishAll(repository);
      await repository.ledger.append(EVENTS, repository.clock.now());
      const contents = new TwoContents();
      const store = contents.store(repository.store);
      const faulty = new FaultyProcess(planned);
      const ledger = faulty.ledger(repository.ledger);
      const first = { ...repository.ports, store: faulty.store(store), ledger, history: ledger };
      await publishAll({ ports: first }).catch(() => undefined);
      // The successor has pages switched off: what was committed with them is finished with them.
      const { settings } = repository.ports;
      const next = { ...repository.ports, store, holder: 'second:1:1', isGone: () => true };
      const head = await repository.ledger.head();
      const unfinished = head?.unfinished !== undefined;
      if (unfinished) await publishAll({ ports: { ...next, settings: { ...settings, renderPages: false } } });
      await publishAll({ ports: next });
      await sound(repository);
      expect(contents.found).toEqual([]);
      expect((await pageOf(repository))?.files.map(({ filename, yanked }) => [filename, yanked])).toEqual([
        ['demo-1.0-py3-none-any.whl', true],
        ['demo-2.0-py3-none-any.whl', undefined],
      ]);
      return faulty;
    };
    const { counts } = await run();
    expect(counts.get('putImmutable')).toBeGreaterThanOrEqual(8);
    for (const row of faultRows(counts, 1)) {
      const title = `${row.write} ${row.nth} ${row.fault}`;
      const { happened } = await run(row).catch((error: unknown) => {
        throw new Error(title, { cause: error });
      });
      expect(happened, title).toBe(true);
    }
  }, 60_000);
});

test('gc removes pages that were replaced, and never one that a retained snapshot names', async () => {
  const repository = await foundRepository(RENDER);
  const { store, ledger, clock } = repository;
  const pages = (): number => store.names().filter((name) => name.startsWith('targets/')).length;
  for (const path of [WHEEL, SDIST, NEWER]) {
    await accept(repository, [add(path)]);
    await publishAll(repository);
    clock.advance(60_000);
  }
  expect(pages()).toBe(6);
  const retention = { snapshotsMs: 3_600_000, eventsMs: 86_400_000, rendersPages: true };
  const ports = { history: ledger, store, clock, ...retention };
  expect(await collectGarbage(ports)).toMatchObject({ pages: 0 });
  clock.advance(3_600_000);
  expect(await collectGarbage({ ...ports, dryRun: true })).toMatchObject({ pages: 4 });
  expect(pages()).toBe(6);
  expect(await collectGarbage(ports)).toMatchObject({ pages: 4 });
  expect(pages()).toBe(2);
  await sound(repository);
});

describe('pages that an index brings itself', () => {
  const PAGE = 'simple/demo/index.html';

  /** As an index that yanks a file and takes it back has it: the third page is the first one again, and stays. */
  async function yankedAndBack(): Promise<TestRepository> {
    const repository = await foundRepository();
    for (const [id, content] of ['plain', 'yanked', 'plain'].entries()) {
      const page = Buffer.from(content);
      const target = { length: page.length, hashes: { sha256: sha256Hex(page) } };
      await repository.store.putImmutable(targetObjectName(PAGE, target.hashes.sha256), page);
      await accept(repository, [{ op: 'put', path: PAGE, target }], `page ${id}`);
      await publishAll(repository);
      repository.clock.advance(60_000);
    }
    repository.clock.advance(3_600_000);
    return repository;
  }

  const gc = ({ store, ledger: history, clock }: TestRepository, rendersPages: boolean): Promise<unknown> =>
    collectGarbage({ history, store, clock, snapshotsMs: 3_600_000, eventsMs: 86_400_000, rendersPages });
  const names = ({ store }: TestRepository): string[] =>
    store.names().filter((name) => name.startsWith('targets/'));
  const nameOf = (content: string): string => targetObjectName(PAGE, sha256Hex(Buffer.from(content)));

  test('are not touched by gc', async () => {
    const repository = await yankedAndBack();
    expect(await gc(repository, false)).toMatchObject({ pages: 0 });
    expect(names(repository)).toEqual([nameOf('plain'), nameOf('yanked')].sort());
  });

  test('stay while they are named, when it renders by now', async () => {
    const repository = await yankedAndBack();
    expect(await gc(repository, true)).toMatchObject({ pages: 1 });
    expect(names(repository)).toEqual([nameOf('plain')]);
  });
});
