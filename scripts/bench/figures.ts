// What one run of the benchmark found, and what is promised of it.
import type { ClientFigures } from './client.ts';
import { median, percentile } from './load.ts';
import type { ModelIndex } from './model-index.ts';
import type { PeerFigures } from './peer.ts';

export interface Figures {
  readonly index: ModelIndex;
  /** Milliseconds from the start of the process until it is ready, each start. */
  readonly startMs: readonly number[];
  /** (a) Publications a second, one event at a time, each run. */
  readonly single: readonly number[];
  /** (b) Events a second in one batch, each run. */
  readonly batch: readonly number[];
  readonly batchSize: number;
  /** (c) Events a second accepted. */
  readonly intake: readonly number[];
  /** (d) Milliseconds from 202 to public, ascending. */
  readonly latencyMs: readonly number[];
  /** (e) MB, over the life of the service; undefined where the system does not tell. */
  readonly peakMb: number | undefined;
  /** (f) */
  readonly clients: readonly ClientFigures[];
  readonly peer: PeerFigures | undefined;
}

export interface Bound {
  readonly name: string;
  readonly unit: string;
  readonly value: number | undefined;
  readonly limit: number;
  readonly kind: 'at least' | 'at most';
}

/** Everything that is promised, with what was found; a value that could not be measured is undefined. */
export function boundsOf(figures: Figures): Bound[] {
  const single = median(figures.single);
  const batch = median(figures.batch);
  const ratios = peerRatios(figures);
  const least = (name: string, unit: string, value: number | undefined, limit: number): Bound => ({
    name,
    unit,
    value,
    limit,
    kind: 'at least',
  });
  const most = (name: string, unit: string, value: number | undefined, limit: number): Bound => ({
    name,
    unit,
    value,
    limit,
    kind: 'at most',
  });
  return [
    least('one event at a time', 'publications/s', single, 50),
    least('one event at a time, against the peer', 'times', ratios?.single, 8),
    least('events in one batch', 'events/s', batch, 700),
    least('events in one batch, against the peer', 'times', ratios?.batch, 10),
    least('intake in requests of 100', 'events/s', median(figures.intake), 5000),
    most('99 % public after their 202', 'ms', percentile(figures.latencyMs, 0.99), 150),
    most('memory, highest', 'MB', figures.peakMb, 400),
    most('start until ready', 'ms', median(figures.startMs), 3000),
  ];
}

export function isKept({ value, limit, kind }: Bound): boolean {
  return value === undefined || (kind === 'at least' ? value >= limit : value <= limit);
}

/** How many times the peer's rate ours is. */
export function peerRatios({
  single,
  batch,
  batchSize,
  peer,
}: Figures): { readonly single: number; readonly batch: number } | undefined {
  if (peer === undefined) return undefined;
  return {
    single: median(single) * median(peer.single),
    batch: (median(batch) * median(peer.batches)) / batchSize,
  };
}
