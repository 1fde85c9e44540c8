// Puts the proxy together and listens.
import path from 'node:path';
import { httpFetcher } from '../client/http-fetcher.ts';
import type { MetadataStore } from '../client/metadata-store.ts';
import { Updater } from '../client/updater.ts';
import { sha256Hex } from '../lib/bytes.ts';
import type { Clock } from '../lib/clock.ts';
import { CountersignError, hasCode, messageOf } from '../lib/errors.ts';
import type { Logger } from '../lib/log.ts';
import { FileCache } from './file-cache.ts';
import { ProjectPages } from './project-pages.ts';
import { countingFetcher, createProxyMetrics, observeRefreshes, type FileOrigin } from './proxy-metrics.ts';
import { buildProxy } from './proxy-server.ts';
import { TargetAnswers } from './target-answers.ts';
import { TrustedState } from './trusted-state.ts';
import { UnverifiedAnswers } from './unverified-answers.ts';
import { VerifiedFiles } from './verified-files.ts';

export interface ProxyOptions {
  readonly metadataUrl: string;
  /** With a final slash, like all addresses here. */
  readonly targetBaseUrl: string;
  readonly fileBaseUrls: readonly string[];
  readonly indexUrl?: string;
  /** The root that came with the installation. */
  readonly root: Uint8Array;
  readonly stateDirectory: string;
  readonly maxCacheBytes: number;
  readonly freshMs: number;
  readonly checkedFiles: number;
  readonly host: string;
  readonly port: number;
  readonly verify: boolean;
}

export interface ProxyPorts {
  readonly openStore: (directory: string) => MetadataStore;
  readonly clock: Clock;
  readonly newId: () => string;
  readonly log: Logger;
}

export interface RunningProxy {
  /** `http://127.0.0.1:8459` */
  readonly address: string;
  stop(): Promise<void>;
}

/**
 * @throws CountersignError `metadata-invalid` and `signature-invalid` for a root that is none; `store-unavailable`;
 *   `usage` when the address cannot be listened on.
 */
export async function startProxy(options: ProxyOptions, ports: ProxyPorts): Promise<RunningProxy> {
  const { targetBaseUrl, fileBaseUrls, indexUrl, freshMs, checkedFiles, host, port } = options;
  const { clock, log, newId } = ports;
  const index = indexUrl === undefined ? {} : { indexUrl };
  const metrics = createProxyMetrics({ process: true });
  const fetcher = countingFetcher(metrics, httpFetcher(clock));
  const updater = new Updater({
    store: await trustedStore(options, ports),
    fetcher,
    clock,
    metadataUrl: options.metadataUrl,
  });
  const cache = await FileCache.open({
    directory: options.stateDirectory,
    maxBytes: options.maxCacheBytes,
    now: () => clock.now(),
    newId,
  });
  const observe = observeRefreshes(metrics, () => clock.now());
  const state = new TrustedState({ updater, clock, freshMs, observe });
  const answered = (origin: FileOrigin): void => {
    metrics.files.inc({ origin });
    metrics.cacheBytes.set(cache.bytes);
  };
  const files = new VerifiedFiles({ cache, fetcher, clock, answered });
  const places = { targetBaseUrl, fileBaseUrls, ...index };
  const pages = new ProjectPages({ ...places, state, files, clock, checkedFiles, freshMs });
  const targets = new TargetAnswers({ state, files, pages, fetcher, targetBaseUrl });
  const app = await buildProxy({
    state,
    pages,
    targets,
    metrics,
    log,
    ...(options.verify ? {} : { unverified: new UnverifiedAnswers({ ...places, fetcher }) }),
  });
  try {
    return { address: await app.listen({ host, port }), stop: () => app.close() };
  } catch (error) {
    await app.close();
    throw new CountersignError('usage', `cannot listen on ${host}:${port}: ${messageOf(error)}`, {
      cause: error,
    });
  }
}

/** What is trusted is kept apart for each first root: another root is another repository, and starts anew. */
async function trustedStore(
  { root, stateDirectory }: ProxyOptions,
  ports: ProxyPorts,
): Promise<MetadataStore> {
  const store = ports.openStore(path.join(stateDirectory, 'metadata', sha256Hex(root).slice(0, 16)));
  try {
    await Updater.init(store, root);
  } catch (error) {
    // A newer root has taken its place in an earlier run.
    if (!hasCode(error, 'file-exists')) throw error;
  }
  return store;
}
