// What operators of a mirror watch, as Prometheus metrics (docs/mirrors.md explains each).
import { Counter, Gauge, Registry } from 'prom-client';
import type { SyncReport } from './mirror.ts';
import type { RequestKind } from './upstream.ts';

export type MirrorMetrics = ReturnType<typeof createMirrorMetrics>;

export function createMirrorMetrics() {
  const registry = new Registry();
  const registers = [registry];
  const gauge = (name: string, help: string): Gauge =>
    new Gauge({ name: `countersign_mirror_${name}`, help, registers });
  const counter = <T extends string>(name: string, help: string, labelNames: readonly T[]): Counter<T> =>
    new Counter({ name: `countersign_mirror_${name}`, help, labelNames, registers });
  return {
    registry,
    syncs: counter('syncs_total', 'Syncs by result: "ok", or the code of the error', ['result']),
    lastSuccess: gauge(
      'last_success_timestamp_seconds',
      'When the last sync succeeded, seconds since the epoch',
    ),
    expires: gauge('expiry_timestamp_seconds', 'When the timestamp that the mirror shows expires'),
    snapshot: gauge('snapshot_version', 'Version of the snapshot that the mirror shows'),
    problems: gauge('missing_targets', 'Selected target files that upstream does not have in the right form'),
    retention: gauge('upstream_retention_seconds', 'How long upstream promises to keep superseded metadata'),
    roles: counter('roles_taken_total', 'Roles taken in a new version', []),
    files: counter('targets_stored_total', 'Target files stored', []),
    removed: counter('objects_removed_total', 'Superseded objects removed', ['kind']),
    requests: counter('upstream_requests_total', 'Requests to upstream, repetitions included', ['kind']),
    bytes: counter('upstream_bytes_total', 'Bytes received from upstream', ['kind']),
  };
}

/** For UpstreamPorts.observe. */
export function observeUpstream({ requests, bytes }: MirrorMetrics) {
  return {
    requested: (kind: RequestKind): void => {
      requests.inc({ kind });
    },
    received: (kind: RequestKind, count: number): void => {
      bytes.inc({ kind }, count);
    },
  };
}

/** @param now milliseconds since the epoch. */
export function recordSync(metrics: MirrorMetrics, report: SyncReport, now: number): void {
  metrics.syncs.inc({ result: 'ok' });
  metrics.lastSuccess.set(now / 1000);
  metrics.expires.set(report.expires / 1000);
  metrics.snapshot.set(report.snapshot);
  metrics.problems.set(report.problemCount);
  if (report.upstreamRetentionMs !== undefined) metrics.retention.set(report.upstreamRetentionMs / 1000);
  metrics.roles.inc(report.rolesTaken);
  metrics.removed.inc({ kind: 'metadata' }, report.removed.metadata);
  metrics.removed.inc({ kind: 'target' }, report.removed.targets);
}
