// A service for HTTP tests: the real edge, ledger and store; a publisher that settles what it is told to, without
// signing, because these tests are about what crosses the wire.
import { randomUUID } from 'node:crypto';
import type { FastifyInstance } from 'fastify';
import { expect, onTestFinished } from 'vitest';
import { buildServer } from '../../src/http/server.ts';
import { DEFAULT_HTTP_LIMITS, type HttpLimits, type ServerDeps } from '../../src/http/server-deps.ts';
import type { TargetChange } from '../../src/ledger/ledger.ts';
import { openSqliteLedger, type SqliteLedger } from '../../src/ledger/sqlite-ledger.ts';
import { systemClock } from '../../src/lib/clock.ts';
import { silentLogger } from '../../src/lib/log.ts';
import { createMetrics, type Metrics } from '../../src/lib/metrics.ts';
import type { TargetLookup } from '../../src/publish/catalogue.ts';
import type { PublisherStatus } from '../../src/publish/status.ts';
import { PublicationWaiter } from '../../src/publish/waiter.ts';
import { BinLayout } from '../../src/tuf/bins.ts';
import type { TargetFile } from '../../src/tuf/metadata.ts';
import { digests, intent } from '../support/ledger-fixtures.ts';
import { memoryStore, type MemoryStore } from '../support/memory-store.ts';

export const DAY_MS = 86_400_000;

export interface TestService {
  readonly app: FastifyInstance;
  readonly ledger: SqliteLedger;
  readonly store: MemoryStore;
  readonly metrics: Metrics;
  /** What the current snapshot lists. */
  readonly current: Map<string, TargetFile>;
  /** Replaced by tests that look at health. */
  status: PublisherStatus;
  /** How often the publisher was woken. */
  wakes: number;
  readonly shutdown: AbortController;
  /** Settles every accepted event in one publication; `reject` names ids that are rejected. */
  publish(reject?: readonly string[]): Promise<number>;
  /** Starts listening on loopback and returns the origin. */
  listen(): Promise<string>;
}

export function freshStatus(parts: Partial<PublisherStatus> = {}): PublisherStatus {
  const role = { version: 1, expires: Date.now() + DAY_MS };
  return {
    role: 'publishing',
    published: {
      timestamp: role,
      snapshot: role,
      root: role,
      targets: role,
      bins: role,
      earliestBinExpires: role.expires,
      binCount: 16,
      layouts: [new BinLayout(16)],
      format: 'succinct',
    },
    alteredBins: [],
    renewalsDue: 0,
    ...parts,
  };
}

interface Options extends Partial<Omit<ServerDeps, 'limits'>> {
  readonly limits?: Partial<HttpLimits>;
}

/** A bootstrapped service at snapshot 1, closed when the test ends. */
export async function startService({ limits, ...parts }: Options = {}): Promise<TestService> {
  const ledger = await openSqliteLedger(':memory:');
  const store = memoryStore();
  const metrics = createMetrics();
  const waiter = new PublicationWaiter(ledger, systemClock);
  const shutdown = new AbortController();
  const current = new Map<string, TargetFile>();
  const holder = 'test';
  const { epoch } = await ledger.lease({ holder, ttlMs: DAY_MS, now: Date.now() });
  await ledger.advance(epoch, intent(1));
  await ledger.finish(intent(1), [], digests(intent(1)), Date.now());
  let snapshot = 1;

  const app = await buildServer({
    ledger,
    history: ledger,
    store,
    renderedPages: false,
    catalogue: { lookup: (path) => Promise.resolve(lookup(path, current.get(path), snapshot)) },
    waiter,
    publisher: {
      status: () => service.status,
      wake: () => {
        service.wakes++;
      },
    },
    auth: undefined,
    targets: { kind: 'none' },
    limits: { ...DEFAULT_HTTP_LIMITS, ...limits },
    retentionMs: DAY_MS,
    clock: systemClock,
    newId: randomUUID,
    random: () => 0.5,
    log: silentLogger(),
    metrics,
    shutdownSignal: shutdown.signal,
    version: '0.0.0',
    ...parts,
  });
  const service: TestService = {
    app,
    ledger,
    store,
    metrics,
    current,
    shutdown,
    status: freshStatus(),
    wakes: 0,
    publish: async (reject = []) => {
      const events = await ledger.read(0, 100_000);
      const rejected = events
        .filter(({ id }) => reject.includes(id))
        .map(({ position }) => ({ position, code: 'target-exists', reason: 'the path is taken' }));
      const changes: TargetChange[] = [];
      for (const change of events
        .filter(({ id }) => !reject.includes(id))
        .flatMap((event) => event.changes)) {
        const previous = current.get(change.path);
        const former = previous === undefined ? {} : { previous };
        if (change.op === 'remove') {
          current.delete(change.path);
          changes.push({ op: 'removed', path: change.path, ...former });
        } else {
          current.set(change.path, change.target);
          changes.push({
            op: previous ? 'replaced' : 'added',
            path: change.path,
            target: change.target,
            ...former,
          });
        }
      }
      const next = intent(snapshot + 1, {
        at: Date.now(),
        events: events.map(({ position }) => position),
        rejected,
      });
      await ledger.advance(epoch, next);
      await ledger.finish(next, changes, digests(next), Date.now());
      snapshot++;
      waiter.settled(events.map(({ id }) => id));
      return snapshot;
    },
    listen: () => app.listen({ host: '127.0.0.1', port: 0 }),
  };
  onTestFinished(async () => {
    shutdown.abort();
    app.server.closeAllConnections();
    await app.close();
    await ledger.close();
  });
  return service;
}

function lookup(path: string, target: TargetFile | undefined, version: number): TargetLookup {
  const expires = '2099-01-01T00:00:00Z';
  return {
    snapshot: { version, expires },
    bin: { name: 'bin-0', version, expires, signatures: [{ keyid: 'ab'.repeat(32), sig: 'cd'.repeat(64) }] },
    ...(path === '' || target === undefined ? {} : { target }),
  };
}

/** From now on the ledger does not say its head, until `answer` is called; `asked` counts who wants to know it. */
export function holdHead({ ledger }: TestService): { asked: () => number; answer: () => void } {
  const head = ledger.head.bind(ledger);
  const waiting: (() => void)[] = [];
  ledger.head = async () => {
    await new Promise<void>((resolve) => waiting.push(resolve));
    return head();
  };
  const answer = (): void => {
    ledger.head = head;
    for (const go of waiting) go();
  };
  return { asked: () => waiting.length, answer };
}

/** Resolves when no connection is open any more. */
export async function allClosed({ app }: TestService): Promise<void> {
  const open = (): Promise<number> =>
    new Promise((resolve, reject) => {
      app.server.getConnections((error, count) => {
        if (error === null) resolve(count);
        else reject(error);
      });
    });
  await expect.poll(open).toBe(0);
}

export const SHA = 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855';

/** A well-formed event on the wire, which tests spoil in one place. */
export function wireEvent(id: string, parts: Record<string, unknown> = {}): Record<string, unknown> {
  return {
    id,
    changes: [{ op: 'put', path: `packages/${id}.whl`, length: 4, hashes: { sha256: SHA }, ...parts }],
  };
}

/** Sends a body to /v1/events without a socket. */
export function send(
  { app }: TestService,
  body: unknown,
  headers: Record<string, string> = { 'content-type': 'application/json' },
) {
  const payload = typeof body === 'string' || Buffer.isBuffer(body) ? body : JSON.stringify(body);
  return app.inject({ method: 'POST', url: '/v1/events', headers, payload });
}
