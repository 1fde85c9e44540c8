// What a hostile upstream can do to a mirror: make it stay where it was, and nothing else. After every attack the mirror
// shows what it showed, whole and sound, and the next honest answer brings it up to date.
import { describe, expect, test } from 'vitest';
import { httpFetcher } from '../../src/client/http-fetcher.ts';
import { NO_TARGETS } from '../../src/client/mirror/selection.ts';
import { Upstream } from '../../src/client/mirror/upstream.ts';
import { systemClock } from '../../src/lib/clock.ts';
import { sha256Hex } from '../../src/lib/bytes.ts';
import { collectGarbage } from '../../src/publish/retention.ts';
import { Forger } from '../support/forger.ts';
import { codeOf, mirrorBench, type Bench, type Tamper } from '../support/mirror-bench.ts';
import { foundRepository, publishPaths, type TestRepository } from '../support/repository.ts';
import { serveRepository } from '../support/repository-server.ts';

const HONEST: Tamper = (_name, honest) => honest;

interface Scene {
  readonly repository: TestRepository;
  readonly bench: Bench;
  /** The answers to everything that was public before the last publication. */
  readonly before: ReadonlyMap<string, Uint8Array>;
}

/** A mirror at snapshot 2, upstream at snapshot 3 with one more file. */
async function scene(): Promise<Scene> {
  const repository = await foundRepository();
  await publishPaths(repository, ['p/first']);
  const bench = await mirrorBench(repository);
  await bench.sync();
  const before = new Map<string, Uint8Array>();
  for (const name of repository.store.names()) {
    const object = await repository.store.get(name, 10_000_000);
    if (object !== undefined) before.set(name, object.bytes);
  }
  await publishPaths(repository, ['p/second']);
  return { repository, bench, before };
}

/** The attack ends the sync with `code`, the mirror stays as it was, and goes on when the attack is over. */
async function expectRefused({ bench, repository }: Scene, tamper: Tamper, code: string): Promise<void> {
  const store = await bench.store();
  const shown = async (): Promise<string> =>
    sha256Hex((await store.get('metadata/timestamp.json', 100_000))?.bytes ?? '');
  const earlier = await shown();
  bench.upstream.tamper = tamper;
  expect(await codeOf(bench.sync())).toBe(code);
  expect(await shown()).toBe(earlier);
  await bench.expectSound();
  bench.upstream.tamper = HONEST;
  expect(await bench.sync()).toMatchObject({ snapshot: 3, problemCount: 0 });
  await bench.expectSound();
  expect(repository.store.violations).toEqual([]);
}

const isBin = (name: string): boolean => /\/\d+\.bin-/.test(name);
const isTarget = (name: string): boolean => name.startsWith('targets/');
const flipped = (bytes: Uint8Array | undefined): Uint8Array | undefined => {
  const copy = bytes && Uint8Array.from(bytes);
  if (copy !== undefined) copy[copy.length >> 1] = (copy[copy.length >> 1] ?? 0) ^ 1;
  return copy;
};

async function* endless(): AsyncGenerator<Uint8Array> {
  for (;;) yield await Promise.resolve(Buffer.alloc(65_536, 0x20));
}

describe('metadata', () => {
  test('rollback: an older timestamp is not followed', async () => {
    const it = await scene();
    await it.bench.sync();
    it.bench.upstream.tamper = (name, honest) => it.before.get(name) ?? honest;
    expect(await codeOf(it.bench.sync())).toBe('version-rollback');
    await it.bench.expectSound();
  });

  test('freeze: what does not change expires, and is not shown as if it were fresh', async () => {
    const it = await scene();
    it.bench.upstream.tamper = (name, honest) => it.before.get(name) ?? honest;
    await it.bench.sync();
    it.repository.clock.advance(25 * 3_600_000);
    expect(await codeOf(it.bench.sync())).toBe('metadata-expired');
  });

  test('mix-and-match: a bin of another version under the name of the new one', async () => {
    const it = await scene();
    const tamper: Tamper = (name, honest) => {
      const older = name.replace(/\/(\d+)\./, (_, version: string) => `/${Number(version) - 1}.`);
      return isBin(name) ? (it.before.get(older) ?? honest) : honest;
    };
    await expectRefused(it, tamper, 'metadata-invalid');
  });

  test('mix-and-match: another bin of the same version, which the same key has signed', async () => {
    const it = await scene();
    const [first, second] = it.repository.store.names().filter((name) => name.includes('/2.bin-'));
    if (first === undefined || second === undefined) throw new Error('both files are in one bin');
    const swapped = new Map([
      [first, await it.repository.store.get(second, 1e6)],
      [second, await it.repository.store.get(first, 1e6)],
    ]);
    await expectRefused(it, (name, honest) => swapped.get(name)?.bytes ?? honest, 'metadata-invalid');
  });

  test('mix-and-match: the snapshot of another timestamp', async () => {
    const it = await scene();
    const tamper: Tamper = (name, honest) =>
      name.endsWith('3.snapshot.json') ? it.before.get('metadata/2.snapshot.json') : honest;
    await expectRefused(it, tamper, 'length-or-hash-mismatch');
  });

  test.each(['timestamp.json', '3.snapshot.json', 'bin-'])('altered bytes in %s', async (part) => {
    const it = await scene();
    const store = await it.bench.store();
    it.bench.upstream.tamper = (name, honest) => (name.includes(part) ? flipped(honest) : honest);
    expect(await codeOf(it.bench.sync())).toMatch(/^(signature|metadata)-invalid|length-or-hash-mismatch$/);
    const shown = await store.get('metadata/timestamp.json', 100_000);
    expect(sha256Hex(shown?.bytes ?? '')).toBe(sha256Hex(it.before.get('metadata/timestamp.json') ?? ''));
    await it.bench.expectSound();
  });

  test('a signature of somebody else', async () => {
    const it = await scene();
    const stranger = await foundRepository({ seed: 7 });
    await publishPaths(stranger, ['p/first']);
    await publishPaths(stranger, ['p/second']);
    const tamper: Tamper = async (name, honest) =>
      name.startsWith('metadata/') ? ((await stranger.store.get(name, 1e7))?.bytes ?? honest) : honest;
    await expectRefused(it, tamper, 'signature-invalid');
  });

  test('4.2.1: a bin with a signature twice, which other clients refuse', async () => {
    const it = await scene();
    const twice = (bytes: Uint8Array | undefined): Uint8Array | undefined =>
      bytes &&
      Buffer.from(
        Buffer.from(bytes)
          .toString('latin1')
          .replace(/(\{"keyid":[^}]*\})\]\}$/, '$1,$1]}'),
        'latin1',
      );
    await expectRefused(it, (name, honest) => (isBin(name) ? twice(honest) : honest), 'metadata-invalid');
  });

  test('endless data in place of a bin', async () => {
    const it = await scene();
    await expectRefused(it, (name, honest) => (isBin(name) ? endless() : honest), 'metadata-too-large');
  });

  test('a snapshot that lists fewer roles than before', async () => {
    const it = await scene();
    const forger = new Forger(it.repository);
    await publishPaths(it.repository, ['p/third']);
    await forger.editSnapshot((signed: { meta: Record<string, unknown> }) => {
      delete signed.meta['bin-0.json'];
    }, 4);
    it.bench.upstream.tamper = HONEST;
    expect(await codeOf(it.bench.sync())).toBe('version-rollback');
    await it.bench.expectSound();
  });
});

describe('target files', () => {
  test('wrong hash: another content under the right name', async () => {
    const it = await scene();
    const tamper: Tamper = (name, honest) => (isTarget(name) ? flipped(honest) : honest);
    await expectRefused(it, tamper, 'mirror-incomplete');
  });

  test('endless data: no byte more than the signed length is kept', async () => {
    const it = await scene();
    await expectRefused(it, (name, honest) => (isTarget(name) ? endless() : honest), 'mirror-incomplete');
  });

  test('withheld: everything else goes on when the operator says so, and the file is asked for again', async () => {
    const it = await scene();
    await expectRefused(it, (name, honest) => (isTarget(name) ? undefined : honest), 'mirror-incomplete');
    await publishPaths(it.repository, ['p/third']);
    it.bench.upstream.tamper = (name, honest) => (isTarget(name) ? undefined : honest);
    const report = await it.bench.sync({ publishIncomplete: true });
    expect(report).toMatchObject({ published: true, problemCount: 1, problems: [{ path: 'p/third' }] });
    await it.bench.expectSound();
    it.bench.upstream.tamper = HONEST;
    expect(await it.bench.sync()).toMatchObject({ problemCount: 0, filesStored: 1 });
  });
});

describe('what is not an attack, and looks like one', () => {
  test('upstream collects what the mirror reads: it starts again at the newer snapshot', async () => {
    const it = await scene();
    const { repository, bench } = it;
    let collected = false;
    bench.upstream.tamper = async (name, honest) => {
      if (!isBin(name) || collected) return honest;
      collected = true;
      // Between snapshot and bin: the bin is touched again, and its former version is taken away at once.
      const { store, ledger: history, clock, layout } = repository;
      const bin = layout.indexOf('p/second');
      const paths = Array.from({ length: 500 }, (_, index) => `p/again-${index}`);
      await publishPaths(repository, paths.filter((path) => layout.indexOf(path) === bin).slice(0, 1));
      clock.advance(2000);
      await collectGarbage({ store, history, clock, snapshotsMs: 0, eventsMs: 3_600_000 });
      const left = await store.get(name, 10_000_000);
      expect(left).toBeUndefined();
      return undefined;
    };
    expect(await bench.sync()).toMatchObject({ snapshot: 4, problemCount: 0 });
    await bench.expectSound();
  });

  test('a promise of no time at all, or of nonsense, is not believed', async () => {
    const it = await scene();
    for (const promise of ['{"retention_seconds":0}', '[]', '{"retention_seconds":-1}', 'x'.repeat(5000)]) {
      it.bench.upstream.tamper = (name, honest) =>
        name.endsWith('retention.json') ? Buffer.from(promise) : honest;
      await it.bench.sync();
    }
    await it.bench.expectSound();
  });
});

describe('over HTTP', () => {
  const upstreamAt = (url: string): Upstream =>
    new Upstream({
      fetcher: httpFetcher(systemClock, { answerMs: 300, stretchMs: 300, stretchBytes: 1000 }),
      clock: { now: () => systemClock.now(), sleep: () => Promise.resolve() },
      random: () => 0,
      metadataUrl: `${url}/metadata`,
      targetBaseUrl: `${url}/targets`,
    });

  test('slow retrieval: a body that drips is given up', async () => {
    const { repository, bench } = await scene();
    const server = await serveRepository(repository.store);
    server.attack = (name, response) => {
      if (!isBin(name)) return false;
      const drip = setInterval(() => response.write(' '), 50);
      response.on('close', () => {
        clearInterval(drip);
      });
      return true;
    };
    expect(await codeOf(bench.sync({ upstream: upstreamAt(server.url) }))).toBe('upstream-unavailable');
    await bench.expectSound();
  });

  test.each(['https://127.0.0.1:1/', 'file:///etc/passwd', 'ftp://127.0.0.1/'])(
    'a redirect to %s is not followed',
    async (location) => {
      const { repository, bench } = await scene();
      const server = await serveRepository(repository.store);
      server.attack = (name, response) => {
        if (!isTarget(name)) return false;
        response.writeHead(302, { location }).end();
        return true;
      };
      expect(await codeOf(bench.sync({ upstream: upstreamAt(server.url) }))).toBe('upstream-unavailable');
      expect(server.requests.filter(isTarget).length).toBeGreaterThan(1);
      await bench.expectSound();
    },
  );

  test('a connection that breaks off now and then costs repetitions, nothing else', async () => {
    const { repository, bench } = await scene();
    const server = await serveRepository(repository.store);
    let count = 0;
    server.attack = (_name, response) => {
      count += 1;
      if (count % 3 !== 0) return false;
      response.writeHead(200, { 'content-length': 100 });
      response.write('{"half');
      response.destroy();
      return true;
    };
    expect(await bench.sync({ upstream: upstreamAt(server.url) })).toMatchObject({ snapshot: 3 });
    await bench.expectSound();
  });
});

test('metadata alone: no target file is ever asked for', async () => {
  const { bench } = await scene();
  bench.upstream.take();
  await bench.sync({ selection: NO_TARGETS });
  expect(bench.upstream.take().filter(isTarget)).toEqual([]);
});
