// The verifying client for other programs: `import { openUpdater } from 'countersign/client'`.
import { httpFetcher } from './client/http-fetcher.ts';
import { Updater } from './client/updater.ts';
import { systemClock } from './lib/clock.ts';
import { MetadataDirectory } from './storage/metadata-directory.ts';

export {
  downloadTarget,
  targetFileName,
  targetUrl,
  type Download,
  type DownloadPlan,
} from './client/target-download.ts';
export type { Fetcher } from './client/fetcher.ts';
export { DEFAULT_PATIENCE, httpFetcher, type Patience } from './client/http-fetcher.ts';
export type { MetadataStore } from './client/metadata-store.ts';
export type { Target } from './client/roles/targets-file.ts';
export { Updater, type TrustedVersions, type UpdaterPorts } from './client/updater.ts';
export { MetadataDirectory } from './storage/metadata-directory.ts';
export { systemClock, type Clock } from './lib/clock.ts';
export { CountersignError, type ErrorCode } from './lib/errors.ts';

export interface UpdaterPlace {
  /** Directory of what is trusted, made when it is absent. Several processes may share it. */
  readonly metadataDir: string;
  /** Where `timestamp.json` is. */
  readonly metadataUrl: string;
  /** The root that came with the program; taken when the directory trusts none yet (TUF 5.2). */
  readonly root?: Uint8Array;
}

/**
 * An updater over HTTP with a local directory. No request is made.
 * @throws CountersignError `store-unavailable` when the directory cannot be made or read; `metadata-invalid`,
 *   `signature-invalid` when `root` is none.
 */
export async function openUpdater({ metadataDir, metadataUrl, root }: UpdaterPlace): Promise<Updater> {
  const store = MetadataDirectory.open(metadataDir);
  if (root !== undefined && (await store.read('root.json')) === undefined) await Updater.init(store, root);
  return new Updater({ store, fetcher: httpFetcher(systemClock), clock: systemClock, metadataUrl });
}
