// The composition root: opens what the configuration names, and puts publisher and HTTP edge together.
import { readFile } from 'node:fs/promises';
import type { AddressInfo } from 'node:net';
import { availableParallelism } from 'node:os';
import { crewOfThreads } from './backsign/crew.ts';
import { Backsigner } from './backsign/publication.ts';
import type { Config } from './config.ts';
import { isLoopbackHost } from './config/backends.ts';
import { DEFAULT_HTTP_LIMITS } from './http/server-deps.ts';
import { buildServer } from './http/server.ts';
import { parseTokens, type Authenticator } from './http/tokens.ts';
import type { History, Ledger, Restoration } from './ledger/ledger.ts';
import type { PostgresAccess, PostgresLocation } from './ledger/postgres-location.ts';
import { openSqliteLedger } from './ledger/sqlite-ledger.ts';
import type { Clock } from './lib/clock.ts';
import { CountersignError, messageOf } from './lib/errors.ts';
import type { Logger } from './lib/log.ts';
import { createMetrics } from './lib/metrics.ts';
import { VERSION } from './lib/version.ts';
import { openSigner, trustedOnlineKeys, type SignerUse } from './open-signer.ts';
import { Housekeeping } from './publish/housekeeping.ts';
import type { LeaseTaker } from './publish/lease.ts';
import { LiveCatalogue } from './publish/live-catalogue.ts';
import { Publisher } from './publish/publisher.ts';
import type { PublisherStatus } from './publish/status.ts';
import type { Signers } from './publish/signers.ts';
import { PublicationWaiter } from './publish/waiter.ts';
import type { Secrets } from './secrets.ts';
import { isSameKey } from './signing/late-signer.ts';
import { openFileStore } from './storage/file-store.ts';
import type { ObjectStore } from './storage/store.ts';

/** What the process gives to its service: time, identity and randomness. */
export interface Runtime extends LeaseTaker {
  readonly clock: Clock;
  readonly log: Logger;
  /** A new unguessable identifier. */
  readonly newId: () => string;
  /** 0 <= r < 1. */
  readonly random: () => number;
}

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
 * Opens the store to publish into it, or to `read` it with credentials that may do no more.
 * @throws CountersignError `store-unavailable`, `store-unsuitable`, `config-invalid`.
 */
export async function openStore(
  { store }: Pick<Config, 'store'>,
  runtime: Pick<Runtime, 'clock' | 'random'>,
  access: 'publish' | 'read' = 'publish',
): Promise<ObjectStore> {
  if (store.kind === 'file') return openFileStore(store.directory);
  // Loaded when it is needed: the S3 client is larger than the rest of the program.
  const { openS3Store } = await import('./storage/s3-store.ts');
  return openS3Store(store, runtime, { access });
}

/** @throws CountersignError `ledger-unavailable`, `ledger-invalid`, `config-invalid`, `secret-unreadable`. */
export async function openLedger(
  { ledger }: Pick<Config, 'ledger'>,
  secrets: Pick<Secrets, 'ledgerPassword'>,
  runtime: Pick<Runtime, 'clock' | 'random'> & Partial<Pick<Runtime, 'log'>>,
): Promise<Ledger & History & Restoration> {
  if (ledger.kind === 'sqlite') return openSqliteLedger(ledger.path);
  const { openPostgresLedger } = await import('./ledger/postgres-ledger.ts');
  return openPostgresLedger(postgresAccess(ledger, secrets, runtime));
}

/** What it takes to get into the database that the configuration names. */
export function postgresAccess(
  location: PostgresLocation,
  { ledgerPassword }: Pick<Secrets, 'ledgerPassword'>,
  { clock, random, log }: Pick<Runtime, 'clock' | 'random'> & Partial<Pick<Runtime, 'log'>>,
): PostgresAccess {
  return {
    location,
    clock,
    random,
    ...(ledgerPassword === undefined ? {} : { password: ledgerPassword }),
    ...(log === undefined
      ? {}
      : {
          warn: (message: string) => {
            log.warn(message);
          },
        }),
  };
}

/** Opens the online key, and the one that is to replace it if there is one. `close` closes both. */
export async function openSigners(
  { signer, nextSigner }: Pick<Config, 'signer' | 'nextSigner'>,
  secrets: Secrets,
  use: SignerUse,
): Promise<Signers & { close(): Promise<void> }> {
  const first = await openSigner({ signer }, secrets, use);
  if (nextSigner === undefined) return { signer: first, close: () => first.close() };
  try {
    const own = {
      signerPassphrase: () => secrets.nextSignerPassphrase(),
      vaultToken: (file: string | undefined) => secrets.vaultToken(file),
    };
    const next = await openSigner({ signer: nextSigner }, own, use);
    const close = async (): Promise<void> => {
      await Promise.all([first.close(), next.close()]);
    };
    // The same key twice is one key: it would sign everything twice and prove nothing.
    if (!isSameKey(first, next)) return { signer: first, nextSigner: next, close };
    await next.close();
    throw new CountersignError('config-invalid', `signer and next-signer are the same key, ${first.keyid}`);
  } catch (error) {
    await first.close();
    throw error;
  }
}

/**
 * Starts the service and listens.
 * @throws CountersignError `config-invalid`, `secret-unreadable`, `ledger-unavailable`, `store-unavailable`,
 *   `store-unsuitable`.
 */
export async function startService(config: Config, secrets: Secrets, runtime: Runtime): Promise<Service> {
  const { clock, log } = runtime;
  const auth = await openAuthenticator(config);
  const tls = await readTls(config);
  const ledger = await openLedger(config, secrets, runtime);
  const signers = await openSigners(config, secrets, {
    clock,
    trusted: () => trustedOnlineKeys(ledger),
    unattended: true,
    warn: (message) => {
      log.warn(message);
    },
    waiting: ({ code, message }) => {
      log.error({ code }, `publication waits for its signer: ${message}`);
    },
  });
  const store = await openStore(config, runtime);
  const metrics = createMetrics({ process: true });
  const waiter = new PublicationWaiter(ledger, clock);
  const draining = new AbortController();
  const stopping = new AbortController();
  const settings = { ...config.publish, lifetimes: config.lifetimes };
  const directory = config.store.kind === 'file' ? config.store.directory : undefined;
  const backsign = new Backsigner({
    openCrew: () => crewOfThreads(availableParallelism(), directory),
    binsAtOnce: BACKSIGNED_AT_ONCE,
  });
  const publisher = new Publisher({
    ...runtime,
    ledger,
    history: ledger,
    store,
    ...signers,
    settings,
    metrics,
    waiter,
    backsign,
  });
  const housekeeping = new Housekeeping({
    history: ledger,
    store,
    clock,
    log,
    ...config.retention,
    isPublisher: () => publisher.status().role === 'publishing',
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
    await Promise.allSettled([signers.close(), ledger.close()]);
    throw new CountersignError('config-invalid', `cannot listen on ${host}:${port}: ${messageOf(error)}`, {
      cause: error,
    });
  }
  publisher.start();
  housekeeping.start();
  ledger.watch({
    appended: () => {
      publisher.wake();
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
      await backsign.close();
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
