// How the service does: /v1/status for people, /healthz and /readyz for supervisors, /metrics for Prometheus.
import type { FastifyInstance } from 'fastify';
import { Type } from 'typebox';
import type { PublishedRole, PublisherStatus } from '../publish/status.ts';
import { TIMESTAMP_NAME } from '../tuf/layout.ts';
import { MAX_METADATA_BYTES } from '../tuf/metadata-limits.ts';
import { unhealthyReasons, type Reason } from './health.ts';
import { content, problems } from './openapi.ts';
import { ProblemError } from './problem.ts';
import type { ServerDeps } from './server-deps.ts';

const time = Type.String({ description: 'RFC 3339, UTC' });
const role = Type.Object({ version: Type.Integer(), expires: time });
const reasons = Type.Array(Type.Object({ code: Type.String(), detail: Type.String() }));

const StatusSchema = Type.Object({
  version: Type.String({ description: 'Of countersign' }),
  time,
  healthy: Type.Boolean(),
  reasons,
  backlog: Type.Object({ events: Type.Integer(), oldestAcceptedAt: Type.Optional(time) }),
  audit: Type.Optional(
    Type.Object(
      { records: Type.Integer(), head: Type.String() },
      { description: 'The newest record of the log of uses of the online key: its number and its SHA-256' },
    ),
  ),
  publisher: Type.Object({
    role: Type.String({ description: 'starting, publishing, standby, held or stopped' }),
    problem: Type.Optional(Type.Object({ code: Type.String(), message: Type.String() })),
    renewalsDue: Type.Integer(),
    nextKey: Type.Optional(
      Type.Object(
        { keyid: Type.String(), binsSigned: Type.Integer() },
        { description: 'While one online key replaces another: how many bins bear the new signature' },
      ),
    ),
    alteredBins: Type.Array(Type.Object({ name: Type.String(), message: Type.String() })),
    lastPublication: Type.Optional(
      Type.Object({
        snapshot: Type.Integer(),
        at: time,
        durationMs: Type.Number(),
        events: Type.Integer(),
        bins: Type.Integer(),
      }),
    ),
  }),
  published: Type.Optional(
    Type.Object({
      timestamp: role,
      snapshot: role,
      root: role,
      targets: role,
      bins: role,
      earliestBinExpires: time,
      binCount: Type.Integer(),
      format: Type.String({ description: 'succinct or prefixes' }),
    }),
  ),
});

const FineSchema = Type.Object({ status: Type.String() });

export function statusRoutes(app: FastifyInstance, deps: ServerDeps): void {
  const { history, store, publisher, clock, metrics, drainSignal, shutdownSignal } = deps;

  app.route({
    method: 'GET',
    url: '/v1/status',
    config: { access: ['read'] },
    schema: {
      operationId: 'readStatus',
      summary: 'Versions, expiries, backlog, publisher, last publication',
      tags: ['service'],
      response: { 200: content('Status', 'application/json', StatusSchema), ...problems(401, 403, 503) },
    },
    handler: async (_request, reply) => {
      const now = clock.now();
      const status = publisher.status();
      const backlog = await history.backlog();
      const oldest = backlog.oldestAcceptedAt;
      const audit = await history.auditHead();
      const why = unhealthyReasons(status, now);
      return reply.header('cache-control', 'no-store').send({
        version: deps.version,
        time: iso(now),
        healthy: why.length === 0,
        reasons: why,
        backlog: {
          events: backlog.events,
          ...(oldest === undefined ? {} : { oldestAcceptedAt: iso(oldest) }),
        },
        ...(audit === undefined ? {} : { audit: { records: audit.number, head: audit.hash } }),
        ...wireStatus(status),
      });
    },
  });

  const supervisor = (
    url: string,
    operationId: string,
    summary: string,
    check: () => Promise<Reason[]>,
  ): void => {
    app.route({
      method: ['GET', 'HEAD'],
      url,
      config: { access: 'public' },
      schema: {
        operationId,
        summary,
        tags: ['service'],
        response: { 200: content('Yes', 'application/json', FineSchema), ...problems(503) },
      },
      handler: async (_request, reply) => {
        const why = await check();
        void reply.header('cache-control', 'no-store');
        if (why.length === 0) return { status: 'ok' };
        const first = why[0]?.detail ?? '';
        const more = why.length > 1 ? ` (and ${why.length - 1} more)` : '';
        throw new ProblemError('unhealthy', `${first}${more}`, { members: { reasons: why } });
      },
    });
  };

  supervisor('/healthz', 'isHealthy', 'Is what is published fresh, and will it stay so?', () =>
    Promise.resolve(unhealthyReasons(publisher.status(), clock.now())),
  );

  supervisor('/readyz', 'isReady', 'Can this process answer requests?', async () => {
    if (drainSignal?.aborted === true || shutdownSignal.aborted) {
      return [{ code: 'service-unavailable', detail: 'the service is stopping' }];
    }
    if ((await history.head()) === undefined) {
      return [{ code: 'not-bootstrapped', detail: 'the ledger has no repository yet' }];
    }
    const timestamp = await store.get(TIMESTAMP_NAME, MAX_METADATA_BYTES.timestamp);
    return timestamp === undefined
      ? [{ code: 'metadata-missing', detail: `${TIMESTAMP_NAME} is not in the store` }]
      : [];
  });

  app.route({
    method: 'GET',
    url: '/metrics',
    config: { access: ['metrics'] },
    schema: {
      operationId: 'readMetrics',
      summary: 'Prometheus text',
      tags: ['service'],
      response: { 200: content('Metrics', 'text/plain', Type.String()), ...problems(401, 403, 503) },
    },
    handler: async (_request, reply) => {
      metrics.backlog.set((await history.backlog()).events);
      return reply.type(metrics.registry.contentType).send(await metrics.registry.metrics());
    },
  });
}

function wireStatus({ published, lastPublication, alteredBins, ...status }: PublisherStatus): object {
  const last = lastPublication && { ...lastPublication, at: iso(lastPublication.at) };
  return {
    publisher: {
      role: status.role,
      ...(status.problem && { problem: status.problem }),
      renewalsDue: status.renewalsDue,
      ...(status.nextKey && { nextKey: status.nextKey }),
      alteredBins,
      ...(last && { lastPublication: last }),
    },
    ...(published && {
      published: {
        timestamp: wireRole(published.timestamp),
        snapshot: wireRole(published.snapshot),
        root: wireRole(published.root),
        targets: wireRole(published.targets),
        bins: wireRole(published.bins),
        earliestBinExpires: iso(published.earliestBinExpires),
        binCount: published.binCount,
        format: published.format,
      },
    }),
  };
}

function wireRole({ version, expires }: PublishedRole): object {
  return { version, expires: iso(expires) };
}

function iso(ms: number): string {
  return new Date(ms).toISOString();
}
