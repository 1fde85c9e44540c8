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
  /** Directory of what is trusted; `Updater.init` puts the first root there. */
  readonly metadataDir: string;
  /** Where `timestamp.json` is. */
  readonly metadataUrl: string;
}

/**
 * An updater over HTTP with a local directory.
 * @throws CountersignError `store-unavailable` when the directory cannot be made.
 */
export function openUpdater({ metadataDir, metadataUrl }: UpdaterPlace): Updater {
  return new Updater({
    store: MetadataDirectory.open(metadataDir),
    fetcher: httpFetcher(systemClock),
    clock: systemClock,
    metadataUrl,
  });
}
