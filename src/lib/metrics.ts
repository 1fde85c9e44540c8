// What operators watch, as Prometheus metrics (docs/operations.md explains each alarm). One object per process.
import { Counter, Gauge, Histogram, Registry, collectDefaultMetrics } from 'prom-client';

export type Metrics = ReturnType<typeof createMetrics>;

/** A registry of its own, so that tests and two services in one process do not share counts. */
export function createMetrics(options: { process: boolean } = { process: false }) {
  const registry = new Registry();
  const registers = [registry];
  if (options.process) collectDefaultMetrics({ register: registry });
  return {
    registry,
    eventsAccepted: new Counter({
      name: 'countersign_events_accepted_total',
      help: 'Events accepted durably',
      registers,
    }),
    eventsSettled: new Counter({
      name: 'countersign_events_settled_total',
      help: 'Events published or rejected',
      labelNames: ['state'] as const,
      registers,
    }),
    eventLatency: new Histogram({
      name: 'countersign_event_publication_seconds',
      help: 'From acceptance of an event to its snapshot being public',
      buckets: [0.01, 0.025, 0.05, 0.1, 0.15, 0.25, 0.5, 1, 2.5, 5, 10, 60],
      registers,
    }),
    backlog: new Gauge({
      name: 'countersign_backlog_events',
      help: 'Accepted events that no publication has settled yet',
      registers,
    }),
    publications: new Counter({
      name: 'countersign_publications_total',
      help: 'Consistent snapshots made public',
      registers,
    }),
    publicationSeconds: new Histogram({
      name: 'countersign_publication_seconds',
      help: 'Duration of one publication, from plan to finish',
      buckets: [0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30],
      registers,
    }),
    binsSigned: new Counter({
      name: 'countersign_bins_signed_total',
      help: 'Bins signed, because an event touched them or for renewal',
      labelNames: ['reason'] as const,
      registers,
    }),
    signatures: new Counter({
      name: 'countersign_signatures_total',
      help: 'Signatures of online keys in the publications of this process, by role',
      labelNames: ['role'] as const,
      registers,
    }),
    auditRecord: new Gauge({
      name: 'countersign_audit_record',
      help: 'Number of the newest record of the audit log that this process wrote',
      registers,
    }),
    snapshotVersion: new Gauge({
      name: 'countersign_snapshot_version',
      help: 'Version of the public snapshot',
      registers,
    }),
    expirySeconds: new Gauge({
      name: 'countersign_expiry_timestamp_seconds',
      help: 'When the published role expires, seconds since the epoch; for bins the earliest',
      labelNames: ['role'] as const,
      registers,
    }),
    alteredBins: new Gauge({
      name: 'countersign_altered_bins',
      help: 'Bins whose bytes in the store are not what was published',
      registers,
    }),
    publisherActive: new Gauge({
      name: 'countersign_publisher_active',
      help: '1 when this process holds the publisher lease',
      registers,
    }),
    errors: new Counter({
      name: 'countersign_errors_total',
      help: 'Errors by code (docs/errors.md)',
      labelNames: ['code'] as const,
      registers,
    }),
    requestSeconds: new Histogram({
      name: 'countersign_http_request_seconds',
      help: 'Duration of HTTP requests by route',
      labelNames: ['route', 'status'] as const,
      buckets: [0.001, 0.005, 0.02, 0.1, 0.5, 2.5, 10],
      registers,
    }),
  };
}
