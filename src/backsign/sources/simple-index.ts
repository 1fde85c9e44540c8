// A simple index (PEP 503, PEP 691) as a list: every project's page is asked for once, several at a time, and what it
// says is kept, so that a crawl that was interrupted asks again with If-None-Match and gets nothing twice.
import { createHash } from 'node:crypto';
import * as fs from 'node:fs';
import type { Clock } from '../../lib/clock.ts';
import { mapConcurrent } from '../../lib/concurrency.ts';
import { CountersignError } from '../../lib/errors.ts';
import { decoded, filesOf, projectsOf, type NamedFile } from './index-page.ts';
import { askFile, askPage, bodyOf } from './index-request.ts';
import { KeptPages, type IndexedFile, type Page } from './kept-pages.ts';

const REQUESTS_IN_FLIGHT = 8;

export interface CrawlOptions {
  /** Of the index: `https://index.example/simple/`. */
  readonly url: string;
  /** Download every file and compare length and hash. */
  readonly fetch: boolean;
  /** Where pages are kept. */
  readonly pagesFile: string;
  /** The list that is made of them: NDJSON. */
  readonly listFile: string;
  readonly clock: Clock;
  readonly progress: (done: number, total: number) => void;
}

export interface Crawled {
  readonly projects: number;
  readonly files: number;
  /** `_last-serial` of the list of projects: the state of the index that was read. */
  readonly serial?: number;
}

/**
 * Reads a whole index into a list. A project that has gone since the list of projects was made has no files.
 * @throws CountersignError `manifest-invalid` when the index answers something else than a simple index,
 *   `service-unavailable` when it does not answer.
 */
export async function crawl(options: CrawlOptions): Promise<Crawled> {
  const base = options.url.endsWith('/') ? options.url : `${options.url}/`;
  const list = await askPage(base, undefined, options.clock);
  if (typeof list === 'string') {
    throw new CountersignError('manifest-invalid', `${base} has no list of projects: it is ${list}`);
  }
  const { projects, serial } = projectsOf(list);
  const pages = new KeptPages(options.pagesFile);
  const written = fs.openSync(options.listFile, 'w', 0o600);
  let done = 0;
  let files = 0;
  try {
    await mapConcurrent(projects, REQUESTS_IN_FLIGHT, async (project) => {
      const page = await pageOf(base, project, pages, options);
      fs.writeSync(written, page.files.map((file) => `${JSON.stringify(file)}\n`).join(''));
      files += page.files.length;
      options.progress(++done, projects.length);
    });
  } finally {
    pages.close();
    fs.closeSync(written);
  }
  return { projects: projects.length, files, ...(serial === undefined ? {} : { serial }) };
}

type Asking = Pick<CrawlOptions, 'clock' | 'fetch'>;

async function pageOf(base: string, project: string, pages: KeptPages, asking: Asking): Promise<Page> {
  const known = pages.get(project);
  // What was listed only does not do where every file is to be downloaded.
  const isEnough = known !== undefined && (!asking.fetch || known.files.every(isSettled));
  const url = `${base}${encodeURIComponent(project)}/`;
  const answer = await askPage(url, isEnough ? known.etag : undefined, asking.clock);
  if (answer === 'absent') return { project, files: [] };
  if (answer === 'unchanged') {
    if (known !== undefined) return known;
    throw new CountersignError('manifest-invalid', `${url} answers 304 to a first request`);
  }
  const fetched = new Map(known?.files.filter(isSettled).map((file) => [file.path, file]));
  const files: IndexedFile[] = [];
  for (const file of filesOf(answer)) files.push(await indexedFile(file, answer.url, fetched, asking));
  const page = { project, ...(answer.etag === undefined ? {} : { etag: answer.etag }), files };
  pages.add(page);
  return page;
}

function isSettled({ fetched, problem }: IndexedFile): boolean {
  return fetched === true || problem !== undefined;
}

/** The target path is the path of the address; a length that the index does not say is asked for. */
async function indexedFile(
  { href, length, sha256 }: NamedFile,
  pageUrl: string,
  fetched: ReadonlyMap<string, IndexedFile>,
  { clock, fetch: download }: Asking,
): Promise<IndexedFile> {
  const url = URL.canParse(href, pageUrl) ? new URL(href, pageUrl) : undefined;
  const path = url && decoded(url.pathname.slice(1));
  if (url === undefined || path === undefined || !/^https?:$/.test(url.protocol)) {
    return { path: href, problem: `${href.slice(0, 200)} on ${pageUrl} is no address of a file` };
  }
  url.hash = '';
  const claim: IndexedFile = { path, ...(sha256 === undefined ? {} : { sha256 }) };
  if (!download && length !== undefined) return { ...claim, length };
  const known = fetched.get(path);
  if (known?.sha256 !== undefined && known.sha256 === sha256 && known.length === (length ?? known.length))
    return known;
  const read = download ? hashOf : lengthOf;
  const found = await askFile<Measured>(url.href, download ? 'GET' : 'HEAD', clock, read);
  if (found === 'absent') return { ...claim, problem: `${url.href} is absent` };
  if (found.sha256 === undefined) return { ...claim, length: found.length };
  if (sha256 !== undefined && found.sha256 !== sha256) {
    return { path, problem: `${url.href} has sha256 ${found.sha256}, the index says ${sha256}` };
  }
  if (length !== undefined && found.length !== length) {
    return { path, problem: `${url.href} has ${found.length} bytes, the index says ${length}` };
  }
  return { path, length: found.length, sha256: found.sha256, fetched: true };
}

interface Measured {
  readonly length: number;
  readonly sha256?: string;
}

function lengthOf(response: Response): Promise<Measured> {
  return Promise.resolve({ length: Number(response.headers.get('content-length') ?? 0) });
}

async function hashOf(response: Response): Promise<Measured> {
  const hash = createHash('sha256');
  let length = 0;
  for await (const piece of bodyOf(response)) {
    hash.update(piece);
    length += piece.length;
  }
  return { length, sha256: hash.digest('hex') };
}
