// The composition root: puts together what ./open-ports.ts opened, the publisher and the HTTP edge.
import { readFile } from 'node:fs/promises';
import type { AddressInfo } from 'node:net';
import { crewOfThreads } from './backsign/crew.ts';
import { Backsigner } from './backsign/publication.ts';
import { collectStaging } from './backsign/staging-garbage.ts';
import type { Config } from './config.ts';
import { isLoopbackHost } from './config/backends.ts';
import { DEFAULT_HTTP_LIMITS } from './http/server-deps.ts';
import { buildServer } from './http/server.ts';
import { parseTokens, type Authenticator } from './http/tokens.ts';
import { CountersignError, messageOf } from './lib/errors.ts';
import { createMetrics } from './lib/metrics.ts';
import { VERSION } from './lib/version.ts';
import { openLedger, openSigners, openStore, type Runtime } from './open-ports.ts';
import { trustedOnlineKeys } from './open-signer.ts';
import { openBinThreads } from './open-threads.ts';
import { binsOnThreads } from './publish/bin-threads.ts';
import { Helper } from './publish/helper.ts';
import { Housekeeping } from './publish/housekeeping.ts';
import { auditLog } from './publish/key-use.ts';
import { LiveCatalogue } from './publish/live-catalogue.ts';
import { Publisher } from './publish/publisher.ts';
import type { PublisherStatus } from './publish/status.ts';
import { PublicationWaiter } from './publish/waiter.ts';
import { publishSettings } from './publish-settings.ts';
import type { Secrets } from './secrets.ts';

/** Bins that back-signing adds files to in one publication: uploads wait for half a second at 1,000 targets a bin. */
const BACKSIGNED_AT_ONCE = 256;

export interface Service {
  /** `http://127.0.0.1:8458`. */
  readonly address: string;
  publisherStatus(): PublisherStatus;
  /** Finishes the publication in hand, answers open requests, gives the lease back. */
  stop(): Promise<void>;
}

/**
 * Starts the service and listens.
 * @throws CountersignError `config-invalid`, `secret-unreadable`, `ledger-unavailable`, `store-unavailable`,
 *   `store-unsuitable`.
 */
export async function startService(config: Config, secrets: Secrets, runtime: Runtime): Promise<Service> {
  const opened: Opened[] = [];
  try {
    return await start(config, secrets, runtime, opened);
  } catch (error) {
    // What stays open (connections, the renewal of a token) keeps the process alive, and whoever watches over it would
    // wait for its end.
    await Promise.allSettled(opened.map((one) => one.close()));
    throw error;
  }
}

interface Opened {
  close(): Promise<void>;
}

async function start(config: Config, secrets: Secrets, runtime: Runtime, opened: Opened[]): Promise<Service> {
  const { clock, log } = runtime;
  const auth = await openAuthenticator(config);
  const tls = await readTls(config);
  const ledger = await openLedger(config, secrets, runtime);
  opened.push(ledger);
  const signers = await openSigners(config, secrets, {
    clock,
    trusted: () => trustedOnlineKeys(ledger),
    unattended: true,
    warn: (message) => {
      log.warn(message);
    },
    waiting: ({ code, message }, setting) => {
      const waits =
        setting === 'signer' ? 'publication waits for its signer' : 'next-signer does not sign yet';
      log.error({ code }, `${waits}: ${message}`);
    },
  });
  opened.push(signers);
  const store = await openStore(config, runtime);
  const metrics = createMetrics({ process: true });
  const waiter = new PublicationWaiter(ledger, clock);
  const draining = new AbortController();
  const stopping = new AbortController();
  const settings = publishSettings(config);
  const threads = openBinThreads(config);
  opened.push(threads);
  const bins = binsOnThreads(threads);
  const backsign = new Backsigner({ crew: crewOfThreads(threads), binsAtOnce: BACKSIGNED_AT_ONCE });
  const publisher = new Publisher({
    ...runtime,
    ledger,
    history: ledger,
    store,
    ...signers,
    settings,
    metrics,
    waiter,
    bins,
    backsign,
    sharing: { shares: ledger, holder: runtime.holder, clock },
  });
  const helper = new Helper({
    ...runtime,
    shares: ledger,
    history: ledger,
    ledger,
    store,
    ...signers,
    bins,
    backsign,
    metrics,
    recorded: auditLog(log, metrics),
    standsBy: () => publisher.status().role === 'standby',
  });
  const housekeeping = new Housekeeping({
    history: ledger,
    store,
    clock,
    log,
    ...config.retention,
    rendersPages: config.simpleIndex === 'render',
    isPublisher: () => publisher.status().role === 'publishing',
    alsoRemove: (signal) => collectStaging({ ledger, store, clock, ...config.retention, signal }),
  });
  const app = await buildServer({
    ...runtime,
    ledger,
    history: ledger,
    store,
    catalogue: new LiveCatalogue(ledger, store),
    waiter,
    publisher,
    auth,
    targets: config.targets,
    renderedPages: config.simpleIndex === 'render',
    limits: { ...DEFAULT_HTTP_LIMITS, ...config.limits },
    retentionMs: config.retention.snapshotsMs,
    metrics,
    ...(tls === undefined ? {} : { tls }),
    drainSignal: draining.signal,
    shutdownSignal: stopping.signal,
    version: VERSION,
  });
  const { host, port } = config.listen;
  try {
    await app.listen({ host, port });
  } catch (error) {
    throw new CountersignError('config-invalid', `cannot listen on ${host}:${port}: ${messageOf(error)}`, {
      cause: error,
    });
  }
  publisher.start();
  helper.start();
  housekeeping.start();
  ledger.watch({
    appended: () => {
      publisher.wake();
      helper.wake();
    },
    finished: () => void waiter.publishedElsewhere(),
  });
  const address = addressOf(app.server.address() as AddressInfo, tls === undefined ? 'http' : 'https');
  log.info({ address, version: VERSION }, 'listening');
  return {
    address,
    publisherStatus: () => publisher.status(),
    stop: async () => {
      log.info('stopping');
      // A balancer sees that /readyz fails and sends its requests elsewhere before this process refuses them.
      draining.abort();
      if (config.limits.drainMs > 0) await clock.sleep(config.limits.drainMs);
      stopping.abort();
      await housekeeping.stop();
      // Intake ends first, then the publisher: what was answered before is published or safe in the ledger.
      await app.close();
      await publisher.stop();
      await helper.stop();
      await threads.close();
      await signers.close();
      await ledger.close();
      log.info('stopped');
    },
  };
}

async function openAuthenticator({ auth, listen }: Config): Promise<Authenticator | undefined> {
  if (auth === undefined) {
    if (isLoopbackHost(listen.host)) return undefined;
    throw new CountersignError(
      'config-invalid',
      `listen is ${listen.host}:${listen.port} and no auth.tokens is set: anybody could publish; ` +
        'set auth.tokens, or listen on 127.0.0.1',
    );
  }
  return parseTokens(await readConfigured('auth.tokens', auth.tokens));
}

async function readTls({ tls }: Config): Promise<{ certificate: string; key: string } | undefined> {
  if (tls === undefined) return undefined;
  return {
    certificate: await readConfigured('tls.certificate', tls.certificate),
    key: await readConfigured('tls.key', tls.key),
  };
}

async function readConfigured(key: string, path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    throw new CountersignError('config-invalid', `${key} names ${path}: ${messageOf(error)}`, {
      cause: error,
    });
  }
}

function addressOf({ address, family, port }: AddressInfo, scheme: string): string {
  return `${scheme}://${family === 'IPv6' ? `[${address}]` : address}:${port}`;
}
