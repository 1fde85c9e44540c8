// Everything the HTTP edge is given; src/service.ts puts it together.
import type { History, Ledger } from '../ledger/ledger.ts';
import type { Clock } from '../lib/clock.ts';
import type { Logger } from '../lib/log.ts';
import type { Metrics } from '../lib/metrics.ts';
import type { Catalogue } from '../publish/catalogue.ts';
import type { PublisherStatus } from '../publish/status.ts';
import type { PublicationWaiter } from '../publish/waiter.ts';
import type { ObjectStore } from '../storage/store.ts';
import type { Authenticator } from './tokens.ts';
import type { TargetSource } from './target-source.ts';

export interface HttpLimits {
  /** Bytes of one request body. */
  readonly requestBytes: number;
  /** Accepted events that may wait for publication; above it `POST /v1/events` answers 503. */
  readonly backlogEvents: number;
  readonly connections: number;
  /** Requests with `Prefer: wait` that are kept waiting at once; one more is answered 202 without waiting. */
  readonly waitingRequests: number;
  /** `GET /v1/stream` and `GET /v1/changes` in hand at once. */
  readonly streams: number;
  /** From the first byte of a request to the end of its headers. */
  readonly headersTimeoutMs: number;
  /** From the first byte of a request to the end of its body. */
  readonly requestTimeoutMs: number;
  /** A connection without a byte in either direction is closed; longer than any wait and heartbeat. */
  readonly idleTimeoutMs: number;
  /** How long a connection is kept between two requests. */
  readonly keepAliveTimeoutMs: number;
  /** How long answers in hand may take when the service stops. */
  readonly shutdownGraceMs: number;
}

/** What holds unless the configuration says otherwise. */
export const DEFAULT_HTTP_LIMITS: HttpLimits = {
  requestBytes: 8 * 1024 * 1024,
  backlogEvents: 1_000_000,
  connections: 1024,
  waitingRequests: 256,
  streams: 100,
  headersTimeoutMs: 10_000,
  requestTimeoutMs: 60_000,
  idleTimeoutMs: 120_000,
  keepAliveTimeoutMs: 65_000,
  shutdownGraceMs: 10_000,
};

export interface ServerDeps {
  readonly ledger: Ledger;
  readonly history: History;
  /** Read only, through `get`. */
  readonly store: Pick<ObjectStore, 'get'>;
  readonly catalogue: Catalogue;
  readonly waiter: PublicationWaiter;
  readonly publisher: { status(): PublisherStatus; wake(): void };
  /** Undefined: nobody is asked for a token, and the service listens on loopback only (src/config/guards.ts). */
  readonly auth: Authenticator | undefined;
  readonly targets: TargetSource;
  /** Whether this service renders simple index pages, and answers for them. */
  readonly renderedPages: boolean;
  readonly limits: HttpLimits;
  /** How long former target files are served after they were replaced or removed, milliseconds. */
  readonly retentionMs: number;
  readonly clock: Clock;
  /** A new unguessable identifier, for events without one and for requests. */
  readonly newId: () => string;
  /** 0 <= r < 1, for jitter. */
  readonly random: () => number;
  readonly log: Logger;
  readonly metrics: Metrics;
  /** PEM. */
  readonly tls?: { readonly certificate: string; readonly key: string };
  /** Aborted when the service was asked to stop: it still answers, but is not ready for more. */
  readonly drainSignal?: AbortSignal;
  /** Aborted when the service stops: waits and streams end, connections close after their answer. */
  readonly shutdownSignal: AbortSignal;
  /** Of countersign, for `/v1/status` and `/openapi.json`. */
  readonly version: string;
}
