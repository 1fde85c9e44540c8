// The page of a project, from one of two places. Where the index signs its pages (docs/adr/0023), from the page's own
// target file: what it lists was signed. Otherwise from an upstream index: its page is a hint, a file's length and hash
// come from signed metadata, and a file that no snapshot knows is listed as one that cannot be installed by accident.
import { targetUrl } from '../client/target-download.ts';
import type { Target } from '../client/roles/targets-file.ts';
import { ByteCache } from '../lib/byte-cache.ts';
import type { Clock } from '../lib/clock.ts';
import { mapConcurrent } from '../lib/concurrency.ts';
import { CountersignError } from '../lib/errors.ts';
import { parseHtmlPage } from '../simple/page-html.ts';
import { parseJsonPage } from '../simple/page-json.ts';
import { htmlPagePath, jsonPagePath } from '../simple/page-path.ts';
import { MAX_PAGE_BYTES, type PageFile, type ProjectPage } from '../simple/project-page.ts';
import { absoluteLink, targetPathOf } from './link-path.ts';
import type { TrustedState } from './trusted-state.ts';
import { upstreamPage } from './upstream-index.ts';
import type { VerifiedFiles } from './verified-files.ts';

/** Bytes of pages in memory, in their own form. */
const CACHE_BYTES = 32 * 1024 * 1024;

/** Target paths that are looked up at once for one page. */
const LOOKUPS_AT_ONCE = 4;

/** What a person reads who asks for a file that was uploaded, but is in no snapshot. PEP 458 asks to say so. */
export const NOT_YET_SIGNED =
  'no signed snapshot lists it: if it is new, full TUF protection is not yet available but will be shortly';

export interface ListedFile extends PageFile {
  readonly targetPath: string;
}

export interface VerifiedPage {
  readonly name: string;
  readonly versions: readonly string[];
  readonly files: readonly ListedFile[];
  /** Bytes of the page that this was read from, for caches. */
  readonly bytes: Uint8Array;
  /** Whether the page itself was signed. */
  readonly signed: boolean;
}

export interface ProjectPagesDeps {
  readonly state: TrustedState;
  readonly files: VerifiedFiles;
  readonly clock: Clock;
  /** With a final slash. */
  readonly targetBaseUrl: string;
  /** Where target files are in the links of pages, besides `targetBaseUrl`; each with a final slash. */
  readonly fileBaseUrls: readonly string[];
  /** Of an index whose pages are not signed; with a final slash. */
  readonly indexUrl?: string;
  /** How many of a project's newest files are looked up for a page that is not signed. */
  readonly checkedFiles: number;
  /** For how long an unsigned page is not asked for again, milliseconds. */
  readonly freshMs: number;
}

export class ProjectPages {
  readonly #deps: ProjectPagesDeps;
  readonly #signed = new ByteCache<VerifiedPage>(CACHE_BYTES);
  readonly #unsigned = new ByteCache<VerifiedPage>(CACHE_BYTES);

  constructor(deps: ProjectPagesDeps) {
    this.#deps = deps;
  }

  /**
   * @param name normalized.
   * @returns undefined when there is no such project.
   * @throws CountersignError whatever keeps the page from being verified.
   */
  async find(name: string): Promise<VerifiedPage | undefined> {
    const { state, indexUrl } = this.#deps;
    const paths = [jsonPagePath(name), htmlPagePath(name)];
    for (const path of paths) {
      const target = await state.findFresh(path);
      if (target !== undefined) return this.#signedPage(name, target);
    }
    if (indexUrl !== undefined) return this.#unsignedPage(indexUrl, name);
    // A project that was published this moment is in newer metadata.
    for (const path of paths) {
      const target = await state.find(path);
      if (target !== undefined) return this.#signedPage(name, target);
    }
    return undefined;
  }

  #signedPage(name: string, target: Target): Promise<VerifiedPage | undefined> {
    const { state, files, targetBaseUrl } = this.#deps;
    const tag = target.hashes.get('sha256') ?? [...target.hashes.values()].join('-');
    return this.#signed.get(`${name} ${tag}`, async () => {
      if (target.length > MAX_PAGE_BYTES) {
        throw new CountersignError(
          'page-invalid',
          `${target.path} has ${target.length} bytes, at most ${MAX_PAGE_BYTES}`,
        );
      }
      const baseUrl = targetBaseUrl;
      const url = targetUrl(target, { baseUrl, consistentSnapshot: state.consistentSnapshot });
      const bytes = await files.readAll({ ...target, url });
      const page = target.path.endsWith('.json')
        ? parseJsonPage(bytes, target.path)
        : parseHtmlPage(Buffer.from(bytes).toString('utf8'), name, target.path);
      // TUF binds a page to its path; this binds it to its project too.
      if (page.name !== name) {
        throw new CountersignError(
          'page-invalid',
          `${target.path} is the page of ${JSON.stringify(page.name)}`,
        );
      }
      return { ...page, bytes, signed: true, files: this.#resolve(page, `${baseUrl}${target.path}`) };
    });
  }

  async #unsignedPage(indexUrl: string, name: string): Promise<VerifiedPage | undefined> {
    const { clock, freshMs, state } = this.#deps;
    // Anew in each span of freshness, and for each snapshot.
    const { snapshot } = await state.refresh();
    const span = freshMs === 0 ? clock.now() : Math.floor(clock.now() / freshMs);
    const key = `${name} ${snapshot} ${span}`;
    return this.#unsigned.get(key, async () => {
      const found = await upstreamPage(indexUrl, name);
      if (found === undefined) return undefined;
      const files = await this.#checkNewest(this.#resolve(found.page, found.url));
      const { bytes, page } = found;
      return { name, versions: page.versions, files, bytes, signed: false };
    });
  }

  #resolve(page: ProjectPage, pageUrl: string): ListedFile[] {
    return listLinks(page, pageUrl, [this.#deps.targetBaseUrl, ...this.#deps.fileBaseUrls]);
  }

  async #checkNewest(files: readonly ListedFile[]): Promise<ListedFile[]> {
    const newest = new Set(newestFiles(files, this.#deps.checkedFiles));
    const checked = await mapConcurrent(files, LOOKUPS_AT_ONCE, async (file) => {
      // Not known from signed metadata: nothing is better than what a stranger chose.
      const bare: { -readonly [K in keyof ListedFile]: ListedFile[K] } = { ...file, hashes: {} };
      delete bare.coreMetadata;
      if (!newest.has(file)) return { known: true, file: bare };
      const target = await this.#deps.state.find(file.targetPath);
      if (target === undefined) return { known: false, file: bare };
      const signed = { size: target.length, hashes: Object.fromEntries(target.hashes) };
      return { known: true, file: { ...bare, ...signed } };
    });
    // PEP 592: a yanked file is taken only by who names its version; then its download says why it is refused. When
    // nothing is signed, every request for the project gets to hear that.
    const anyKnown = checked.some(({ known }) => known);
    return checked.map(({ known, file }) =>
      known || !anyKnown ? file : { ...file, yanked: `countersign: ${NOT_YET_SIGNED}` },
    );
  }
}

/** Those uploaded last; without times, the last ones on the page. */
function newestFiles(files: readonly ListedFile[], count: number): ListedFile[] {
  return files
    .map((file, index) => ({ file, index, time: file.uploadTime ?? '' }))
    .sort((a, b) => (a.time < b.time ? 1 : a.time > b.time ? -1 : b.index - a.index))
    .slice(0, count)
    .map(({ file }) => file);
}

/**
 * The files of a page with the target path of every link; links that could lead to no target are left out.
 * @param bases see targetPathOf.
 */
export function listLinks(page: ProjectPage, pageUrl: string, bases: readonly string[]): ListedFile[] {
  return page.files.flatMap((file) => {
    const url = absoluteLink(file.url, pageUrl);
    const targetPath = url && targetPathOf(url, bases);
    if (url === undefined || targetPath === undefined) return [];
    // An installer takes the name from the address: both must be one.
    if (targetPath.split('/').at(-1) !== file.fileName) return [];
    return [{ ...file, url: url.href, targetPath }];
  });
}
