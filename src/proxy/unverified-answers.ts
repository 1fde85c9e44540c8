// What is passed on without verification, when the person who runs the proxy has switched it off for this run (PEP 458
// `--unsafely-disable-package-verification`). Used only for what verification has refused; every answer is logged.
import { fetchWhole, type Fetcher } from '../client/fetcher.ts';
import { quotePath } from '../client/quoted-name.ts';
import { sha256Hex } from '../lib/bytes.ts';
import { CountersignError } from '../lib/errors.ts';
import { parseJsonPage } from '../simple/page-json.ts';
import { jsonPagePath } from '../simple/page-path.ts';
import { parseFileName } from '../simple/project-name.ts';
import { MAX_PAGE_BYTES, type ProjectPage } from '../simple/project-page.ts';
import { listLinks, type ListedFile, type VerifiedPage } from './project-pages.ts';
import { inMemory, type TargetAnswer } from './target-answers.ts';
import { upstreamPage } from './upstream-index.ts';

/** Bytes in memory for one file: this is a way out of an emergency, not a way to work. */
const MAX_UNVERIFIED_BYTES = 1024 * 1024 * 1024;

export interface UnverifiedDeps {
  readonly fetcher: Fetcher;
  /** With a final slash. */
  readonly targetBaseUrl: string;
  readonly fileBaseUrls: readonly string[];
  readonly indexUrl?: string;
}

export class UnverifiedAnswers {
  readonly #deps: UnverifiedDeps;

  constructor(deps: UnverifiedDeps) {
    this.#deps = deps;
  }

  /** As the index, or else the store of target files, has it now. */
  async page(name: string): Promise<VerifiedPage | undefined> {
    const { fetcher, indexUrl, targetBaseUrl, fileBaseUrls } = this.#deps;
    const bases = [targetBaseUrl, ...fileBaseUrls];
    const of = (page: ProjectPage, url: string, bytes: Uint8Array): VerifiedPage => {
      return { name, versions: page.versions, files: listLinks(page, url, bases), bytes, signed: false };
    };
    if (indexUrl !== undefined) {
      const found = await upstreamPage(indexUrl, name);
      return found && of(found.page, found.url, found.bytes);
    }
    const url = targetBaseUrl + jsonPagePath(name);
    const bytes = await fetchWhole(fetcher, url, MAX_PAGE_BYTES);
    return bytes && of(parseJsonPage(bytes, url), url, bytes);
  }

  /** @throws CountersignError `not-found`, `store-unavailable`. */
  async find(path: string): Promise<TargetAnswer> {
    const url = (await this.#linkTo(path)) ?? this.#deps.targetBaseUrl + quotePath(path);
    const bytes = await fetchWhole(this.#deps.fetcher, url, MAX_UNVERIFIED_BYTES);
    if (bytes === undefined) throw new CountersignError('not-found', `${url} does not exist`);
    return inMemory(bytes, `unverified-${sha256Hex(bytes)}`);
  }

  async #linkTo(path: string): Promise<string | undefined> {
    const project = parseFileName(path.split('/').at(-1) ?? '')?.project;
    const page = project === undefined ? undefined : await this.page(project);
    return page?.files.find((file: ListedFile) => file.targetPath === path)?.url;
  }
}
