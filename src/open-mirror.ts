// Puts a mirror together: where it keeps what it shows, where it keeps what it remembers, and where it asks.
import path from 'node:path';
import { httpFetcher } from './client/http-fetcher.ts';
import { Mirror, type MirrorObserver, type MirrorPorts } from './client/mirror/mirror.ts';
import { observeUpstream, type MirrorMetrics } from './client/mirror/mirror-metrics.ts';
import { RootArchive } from './client/mirror/root-archive.ts';
import { NO_TARGETS, type Selection } from './client/mirror/selection.ts';
import { Upstream } from './client/mirror/upstream.ts';
import type { StoreSetting } from './config/backends.ts';
import type { Clock } from './lib/clock.ts';
import { CountersignError } from './lib/errors.ts';
import { promiseRetention } from './publish/promise-retention.ts';
import { openStore } from './open-ports.ts';
import { openFileLargeObjects } from './storage/file-large-objects.ts';
import type { LargeObjects } from './storage/large-objects.ts';
import { MetadataDirectory } from './storage/metadata-directory.ts';
import { SqliteMirrorJournal } from './storage/sqlite-mirror-journal.ts';

/** Beside what the mirror shows, when that is a directory: no web server serves names with a period, and no store lists them. */
export const STATE_DIRECTORY = '.mirror';

export interface MirrorSettings {
  readonly metadataUrl: string;
  readonly rootBytes: Uint8Array;
  readonly to: StoreSetting;
  /** Undefined: beside what is shown. */
  readonly stateDirectory: string | undefined;
  /** Absent: metadata only. */
  readonly targets?: { readonly baseUrl: string; readonly selection: Selection };
  readonly jobs: number;
  readonly graceMs: number;
  readonly publishIncomplete: boolean;
}

export interface MirrorRuntime {
  readonly clock: Clock;
  readonly random: () => number;
  readonly metrics: MirrorMetrics;
  readonly observe: MirrorObserver;
  readonly signal: AbortSignal;
}

export interface OpenedMirror {
  readonly mirror: Mirror;
  close(): void;
}

/**
 * @throws CountersignError `usage`, `mirror-locked`, `mirror-state-invalid`, `store-unavailable`, `store-unsuitable`,
 *   `config-invalid`.
 */
export async function openMirror(settings: MirrorSettings, runtime: MirrorRuntime): Promise<OpenedMirror> {
  const { to, targets } = settings;
  const state = settings.stateDirectory ?? stateBeside(to);
  // First of all: it is the lock.
  const journal = SqliteMirrorJournal.open(path.join(state, 'journal.db'));
  try {
    const { clock, random, metrics, observe, signal } = runtime;
    const store = await openStore({ store: to }, runtime);
    const files = targets && (await openFiles(to, state, runtime));
    const ports: MirrorPorts = {
      store,
      files,
      journal,
      archive: new RootArchive(MetadataDirectory.open(path.join(state, 'trusted'))),
      upstream: new Upstream({
        fetcher: httpFetcher(clock),
        clock,
        random,
        metadataUrl: settings.metadataUrl,
        ...(targets && { targetBaseUrl: targets.baseUrl }),
        observe: observeUpstream(metrics),
      }),
      clock,
      observe,
      rootBytes: settings.rootBytes,
      selection: targets?.selection ?? NO_TARGETS,
      jobs: settings.jobs,
      promise: (now) => promiseRetention(store, settings.graceMs, now),
      publishIncomplete: settings.publishIncomplete,
      signal,
    };
    return {
      mirror: new Mirror(ports),
      close: () => {
        journal.close();
      },
    };
  } catch (error) {
    journal.close();
    throw error;
  }
}

function stateBeside(to: StoreSetting): string {
  if (to.kind === 'file') return path.join(to.directory, STATE_DIRECTORY);
  throw new CountersignError(
    'usage',
    'a mirror in a bucket keeps its state on this computer: give --state DIR',
  );
}

async function openFiles(
  to: StoreSetting,
  state: string,
  runtime: Pick<MirrorRuntime, 'clock' | 'random'>,
): Promise<LargeObjects> {
  if (to.kind === 'file') return openFileLargeObjects(to.directory);
  const { openS3LargeObjects } = await import('./storage/s3-large-objects.ts');
  return openS3LargeObjects(to, path.join(state, 'spool'), runtime);
}
