// A simple index (PEP 503, PEP 691) as a list: every project's page is asked for once, several at a time, and what it
// says is kept, so that a crawl that was interrupted asks again with If-None-Match and gets nothing twice.
import * as fs from 'node:fs';
import type { Clock } from '../../lib/clock.ts';
import { mapConcurrent } from '../../lib/concurrency.ts';
import { CountersignError } from '../../lib/errors.ts';
import { indexedFiles, isSettled, type Asking } from './index-files.ts';
import { projectsOf } from './index-page.ts';
import { askPage } from './index-request.ts';
import { KeptPages, type Page } from './kept-pages.ts';
import { writeWhole } from '../write-whole.ts';

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
 *   `service-unavailable` when it does not answer, `backsign-state` when what it says cannot be written.
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
  let size = 0;
  let files = 0;
  try {
    await mapConcurrent(projects, REQUESTS_IN_FLIGHT, async (project) => {
      const page = await pageOf(base, project, pages, options);
      const lines = Buffer.from(page.files.map((file) => `${JSON.stringify(file)}\n`).join(''));
      writeWhole(written, options.listFile, lines, size);
      size += lines.length;
      files += page.files.length;
      options.progress(++done, projects.length);
    });
  } finally {
    pages.close();
    fs.closeSync(written);
  }
  return { projects: projects.length, files, ...(serial === undefined ? {} : { serial }) };
}

async function pageOf(base: string, project: string, pages: KeptPages, asking: Asking): Promise<Page> {
  const known = pages.get(project);
  // What was listed only does not do where every file is to be downloaded.
  const isEnough =
    known?.files.every((file) => file.mayPass !== true && (!asking.fetch || isSettled(file))) === true;
  const url = `${base}${encodeURIComponent(project)}/`;
  const answer = await askPage(url, isEnough ? known.etag : undefined, asking.clock);
  if (answer === 'absent') return { project, files: [] };
  if (answer === 'unchanged') {
    if (known !== undefined) return known;
    throw new CountersignError('manifest-invalid', `${url} answers 304 to a first request`);
  }
  const files = await indexedFiles(answer, known?.files ?? [], asking);
  const page = { project, ...(answer.etag === undefined ? {} : { etag: answer.etag }), files };
  pages.add(page);
  return page;
}
