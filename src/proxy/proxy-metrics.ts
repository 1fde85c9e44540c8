// What operators of a proxy watch, as Prometheus metrics (docs/proxy.md explains each alarm).
import { Counter, Gauge, Histogram, Registry, collectDefaultMetrics } from 'prom-client';
import type { TrustedVersions } from '../client/updater.ts';
import type { Fetcher } from '../client/fetcher.ts';
import type { ErrorCode } from '../lib/errors.ts';

export type ProxyMetrics = ReturnType<typeof createProxyMetrics>;

/** Where the bytes of a file came from. */
export type FileOrigin = 'cache' | 'upstream';

export function createProxyMetrics(options: { process: boolean } = { process: false }) {
  const registry = new Registry();
  const registers = [registry];
  if (options.process) collectDefaultMetrics({ register: registry });
  const gauge = (name: string, help: string): Gauge =>
    new Gauge({ name: `countersign_proxy_${name}`, help, registers });
  const counter = <T extends string>(name: string, help: string, labelNames: readonly T[]): Counter<T> =>
    new Counter({ name: `countersign_proxy_${name}`, help, labelNames, registers });
  return {
    registry,
    requestSeconds: new Histogram({
      name: 'countersign_proxy_http_request_seconds',
      help: 'Duration of HTTP requests by route, until the last byte of the answer',
      labelNames: ['route', 'status'] as const,
      buckets: [0.005, 0.02, 0.1, 0.5, 2.5, 10, 60],
      registers,
    }),
    refusals: counter('refusals_total', 'Answers that were refused, by error code (docs/errors.md)', [
      'code',
    ]),
    unverified: counter(
      'unverified_answers_total',
      'Pages and files passed on although verification refused them',
      ['kind'],
    ),
    refreshes: counter('refreshes_total', 'Updates of metadata by result: "ok", or the code of the error', [
      'result',
    ]),
    lastRefresh: gauge(
      'last_refresh_timestamp_seconds',
      'When metadata were updated last, seconds since the epoch',
    ),
    snapshot: gauge('snapshot_version', 'Version of the trusted snapshot'),
    files: counter('files_total', 'Verified files answered, by where they came from', ['origin']),
    cacheBytes: gauge('cache_bytes', 'Verified files on disk'),
    upstreamBytes: counter('upstream_bytes_total', 'Bytes received from the repository', []),
  };
}

/** For TrustedStateDeps.observe. `now`: milliseconds since the epoch. */
export function observeRefreshes(metrics: ProxyMetrics, now: () => number) {
  return {
    refreshed: ({ snapshot }: TrustedVersions): void => {
      metrics.refreshes.inc({ result: 'ok' });
      metrics.lastRefresh.set(now() / 1000);
      metrics.snapshot.set(snapshot);
    },
    failed: (code: ErrorCode): void => {
      metrics.refreshes.inc({ result: code });
    },
  };
}

/** The same fetcher, with its bytes counted. */
export function countingFetcher({ upstreamBytes }: ProxyMetrics, fetcher: Fetcher): Fetcher {
  return {
    get: async (url, maxBytes) => {
      const body = await fetcher.get(url, maxBytes);
      return body && counted(body);
    },
  };

  async function* counted(body: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
    for await (const chunk of body) {
      upstreamBytes.inc(chunk.length);
      yield chunk;
    }
  }
}
