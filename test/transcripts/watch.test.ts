// countersign watch as cron meets it: what it says of a repository that is fresh, that nobody renews, whose ceremony is
// due, that goes back, and that does not answer.
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { expect, test } from 'vitest';
import { runCli } from '../../src/cli/program.ts';
import type { Clock } from '../../src/lib/clock.ts';
import { takeLease } from '../../src/publish/lease.ts';
import { Term } from '../../src/publish/term.ts';
import {
  FOUNDED_AT,
  foundRepository,
  publishAll,
  publishPaths,
  type TestRepository,
} from '../support/repository.ts';
import { ManualClock } from '../support/manual-clock.ts';
import { bundleText, nextBundle } from '../support/next-ceremony.ts';
import { serveStore } from '../support/store-server.ts';
import { tempDir } from '../support/temp-dir.ts';

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;

interface Ran {
  readonly status: number;
  readonly out: string;
  readonly err: string;
}

interface Watched {
  readonly repository: TestRepository;
  /** Runs the command so many milliseconds after the repository was founded. */
  readonly run: (afterMs: number, ...more: readonly string[]) => Promise<Ran>;
  /** The arguments of every run. */
  readonly args: readonly string[];
  readonly cwd: string;
}

async function watched(): Promise<Watched> {
  const repository = await foundRepository();
  const cwd = await tempDir();
  await writeFile(join(cwd, 'root.json'), repository.rootBytes);
  const url = await serveStore(repository.store);
  const args = ['watch', '--metadata-url', `${url}/metadata`, '--root', 'root.json'];
  return {
    repository,
    cwd,
    args,
    run: (afterMs, ...more) => command(cwd, [...args, ...more], new ManualClock(FOUNDED_AT + afterMs)),
  };
}

async function command(
  cwd: string,
  args: readonly string[],
  clock: Clock,
  stop = new Promise<void>(() => undefined),
  told: (text: string) => void = () => undefined,
): Promise<Ran> {
  const text = { out: '', err: '' };
  const into = (name: 'out' | 'err'): PassThrough => {
    const stream = new PassThrough();
    stream.on('data', (chunk: Buffer) => {
      text[name] += chunk.toString();
      told(text[name]);
    });
    return stream;
  };
  const status = await runCli(args, {
    cwd,
    env: {},
    stdin: new PassThrough(),
    stdout: into('out'),
    stderr: into('err'),
    clock,
    process: { host: 'test', pid: process.pid, startedAt: 1 },
    random: () => 0.5,
    newId: () => 'id',
    stopRequested: () => stop,
  });
  await new Promise((resolve) => setImmediate(resolve));
  return { status, ...text };
}

test('a fresh repository: one screen, one document, status 0', async () => {
  const { run } = await watched();
  const fresh = await run(HOUR_MS);
  expect(fresh).toMatchObject({ status: 0, err: '' });
  expect(fresh.out).toBe(`root         version 1, expires in 364 d (2027-03-01T12:00:00Z)
targets      version 1, expires in 364 d (2027-03-01T12:00:00Z)
bins         version 1, expires in 364 d (2027-03-01T12:00:00Z)
snapshot     version 1, expires in 23 h (2026-03-02T12:00:00Z)
timestamp    version 1, expires in 23 h (2026-03-02T12:00:00Z)
hashed bins  16 of 16 read; first bin-0, version 1, expires in 23 h (2026-03-02T12:00:00Z)
`);
  const { out, status } = await run(HOUR_MS, '--json', '--bins', '3');
  expect(status).toBe(0);
  const document = JSON.parse(out) as { roles: { role: string; state: string }[] };
  expect(document).toMatchObject({ good: true, reasons: [], bins: { count: 16, read: 3 } });
  expect(document.roles.map(({ state }) => state)).toEqual(Array(8).fill('good'));
  expect(new Set(document.roles.map(({ role }) => role)).size).toBe(8);
});

test('what nobody renews is due, then expired, and named with the reason', async () => {
  const { run, repository } = await watched();
  const due = await run(17 * HOUR_MS);
  expect(due.status).toBe(1);
  expect(due.err).toContain(
    'countersign: timestamp 1 expires in 7 h, at 2026-03-02T12:00:00Z, sooner than in 8h: the service does not renew it, ' +
      'or this is an old copy\n',
  );
  expect(due.err).toMatch(
    /countersign: bin-\d 1 expires in 7 h, .* \(and 15 more of those that were read\)\n/,
  );
  expect(due.out).toContain('snapshot     version 1, expires in 7 h (2026-03-02T12:00:00Z), DUE\n');
  expect((await run(17 * HOUR_MS, '--online', '6h')).status).toBe(0);
  expect((await run(25 * HOUR_MS, '--bins', '0')).err).toBe(
    'countersign: snapshot 1 has expired at 2026-03-02T12:00:00Z: clients refuse it\n' +
      'countersign: timestamp 1 has expired at 2026-03-02T12:00:00Z: clients refuse it\n',
  );
  // Renewed: the same moment is a good one.
  repository.clock.advance(14 * HOUR_MS);
  await publishAll(repository);
  expect(await run(17 * HOUR_MS)).toMatchObject({ status: 0, err: '' });
});

test('bins of another number are hashed bins too', async () => {
  const { run, repository } = await watched();
  const { ports, ledger, clock, bundle, offlineKeys, signer } = repository;
  const plan = { now: clock.now(), online: [signer], root: false, targets: false, binCount: 32 };
  const next = await nextBundle(bundle, offlineKeys, plan);
  await ledger.placeOrder('import', bundleText(next), clock.now());
  const term = await Term.begin(ports, await takeLease(ports.ledger, ports.clock, ports));
  do clock.advance(1000);
  while ((await term.publish()) !== undefined);
  const fresh = await run(HOUR_MS);
  expect(fresh.err).toBe('');
  expect(fresh.out).toMatch(/^hashed bins {2}16 of 32 read; first bin2-/m);
  expect(fresh.out.trimEnd().split('\n')).toHaveLength(6);
});

test('a ceremony that is due, from two months before', async () => {
  const { run } = await watched();
  const { err, status } = await run(310 * DAY_MS, '--bins', '0', '--json');
  expect(status).toBe(1);
  expect(err).toContain(
    'countersign: root 1 expires in 55 d, at 2027-03-01T12:00:00Z, sooner than in 60d: hold a ceremony\n',
  );
  expect((await run(310 * DAY_MS, '--offline', '50d', '--bins', '0')).err).not.toContain('ceremony');
});

test('what does not verify is refused by its rule, and silence is status 3', async () => {
  const { run, repository, cwd } = await watched();
  await writeFile(join(cwd, 'root.json'), (await foundRepository({ seed: 2 })).rootBytes);
  const stranger = await run(HOUR_MS, '--json');
  expect(stranger.status).toBe(1);
  expect(JSON.parse(stranger.out)).toMatchObject({ error: { code: 'signature-invalid' } });
  await writeFile(join(cwd, 'root.json'), repository.rootBytes);
  repository.store.tamper('metadata/1.bins.json', undefined);
  expect((await run(HOUR_MS)).err).toContain('1.bins.json does not exist');
  const clock = new ManualClock(FOUNDED_AT);
  const silent = ['watch', '--metadata-url', 'http://127.0.0.1:1/metadata', '--root', 'root.json'];
  expect((await command(cwd, silent, clock)).status).toBe(3);
  expect((await run(0, '--every', '5')).err).toContain(
    '--every: duration "5" is not a whole number with one of',
  );
  expect((await run(0, '--every', '5ms')).status).toBe(2);
  expect((await run(0, '--root', 'none.json')).status).toBe(2);
});

test('again and again: each check is a line, a repository that goes back is seen, the last check is the status', async () => {
  const { repository, cwd, args } = await watched();
  await publishPaths(repository, ['a/file']);
  const { store } = repository;
  const clock = new ManualClock(FOUNDED_AT + HOUR_MS);
  const newer = await store.get('metadata/timestamp.json', 100_000);
  let stop = (): void => undefined;
  const stopped = new Promise<void>((resolve) => (stop = resolve));
  const steps = [
    () => publishPaths(repository, ['b/file']),
    // The mirror goes back to what it had before.
    () => {
      store.tamper('metadata/timestamp.json', newer?.bytes);
      return Promise.resolve();
    },
    () => {
      stop();
      return Promise.resolve();
    },
  ];
  const run = await command(cwd, [...args, '--every', '5m', '--bins', '1'], clock, stopped, (text) => {
    if (!text.endsWith('\n')) return;
    void steps
      .shift()?.()
      .then(() => {
        setImmediate(() => {
          clock.advance(300_000);
        });
      });
  });
  expect(run.out.split('\n').slice(0, 3)).toEqual([
    '2026-03-01T13:00:00.000Z good',
    '2026-03-01T13:05:00.000Z good',
    expect.stringMatching(/^2026-03-01T13:10:00.000Z version \d of timestamp is below the trusted \d$/),
  ]);
  expect(run.status).toBe(1);
});

test('who is asked to stop does not wait for the next check', async () => {
  const { cwd, args } = await watched();
  const clock = new ManualClock(FOUNDED_AT + HOUR_MS);
  let asleep = 0;
  const counting: Clock = {
    now: () => clock.now(),
    sleep: async (ms, signal) => {
      asleep += 1;
      await clock.sleep(ms, signal);
      asleep -= 1;
    },
  };
  let stop = (): void => undefined;
  const stopped = new Promise<void>((resolve) => (stop = resolve));
  const run = await command(cwd, [...args, '--every', '1d', '--bins', '1'], counting, stopped, (text) => {
    if (text.endsWith('\n')) setImmediate(stop);
  });
  expect(run).toMatchObject({ status: 0, out: '2026-03-01T13:00:00.000Z good\n' });
  // A timer that runs on keeps the process for as long.
  expect(asleep).toBe(0);
});
