// A simple index (PEP 503, PEP 691) as a list: every project's page is asked for once, several at a time, and what it
// says is kept, so that a crawl that was interrupted asks again with If-None-Match and gets nothing twice.
import { createHash } from 'node:crypto';
import * as fs from 'node:fs';
import { mapConcurrent } from '../../lib/concurrency.ts';
import { CountersignError, messageOf } from '../../lib/errors.ts';

/** PEP 691 "Content-Type"; HTML for an index that has nothing newer. */
const ACCEPT =
  'application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html;q=0.2, text/html;q=0.1';

const REQUESTS_IN_FLIGHT = 8;

/** Milliseconds until an answer has come, whole. */
const PATIENCE_MS = 120_000;

/** Bytes; the list of all projects of PyPI has some 40 MB. */
const MAX_PAGE_BYTES = 256 * 1024 * 1024;

export interface CrawlOptions {
  /** Of the index: `https://index.example/simple/`. */
  readonly url: string;
  /** Download every file and compare length and hash. */
  readonly fetch: boolean;
  /** Where pages are kept. */
  readonly pagesFile: string;
  /** The list that is made of them: NDJSON. */
  readonly listFile: string;
  readonly progress: (done: number, total: number) => void;
}

interface IndexedFile {
  readonly path: string;
  readonly length?: number;
  readonly sha256?: string;
  /** Why it cannot be signed although the index names it. */
  readonly problem?: string;
}

interface Page {
  readonly project: string;
  readonly etag?: string;
  readonly files: readonly IndexedFile[];
}

export interface Crawled {
  readonly projects: number;
  readonly files: number;
  /** `_last-serial` of the list of projects: the state of the index that was read. */
  readonly serial?: number;
}

/** @throws CountersignError `manifest-invalid` when the index answers something else than a simple index. */
export async function crawl(options: CrawlOptions): Promise<Crawled> {
  const base = options.url.endsWith('/') ? options.url : `${options.url}/`;
  const list = await ask(base, undefined);
  if (list === undefined) throw invalid(base, 'has no list of projects');
  const { projects, serial } = projectsOf(list, base);
  const known = keptPages(options.pagesFile);
  const pages = fs.openSync(options.pagesFile, 'a', 0o600);
  const written = fs.openSync(options.listFile, 'w', 0o600);
  let done = 0;
  let files = 0;
  try {
    await mapConcurrent(projects, REQUESTS_IN_FLIGHT, async (project) => {
      const page = await pageOf(base, project, known.get(project), options.fetch);
      if (page !== known.get(project)) fs.writeSync(pages, `${JSON.stringify(page)}\n`);
      fs.writeSync(written, page.files.map((file) => `${JSON.stringify(file)}\n`).join(''));
      files += page.files.length;
      options.progress(++done, projects.length);
    });
  } finally {
    fs.closeSync(pages);
    fs.closeSync(written);
  }
  return { projects: projects.length, files, ...(serial === undefined ? {} : { serial }) };
}

interface Answer {
  readonly url: string;
  readonly etag?: string;
  readonly serial?: number;
  readonly json: boolean;
  readonly text: string;
}

/** Undefined: not modified. */
async function ask(url: string, etag: string | undefined): Promise<Answer | undefined> {
  let response: Response;
  try {
    response = await fetch(url, {
      headers: { accept: ACCEPT, ...(etag === undefined ? {} : { 'if-none-match': etag }) },
      signal: AbortSignal.timeout(PATIENCE_MS),
    });
    if (response.status === 304) return undefined;
    if (!response.ok || response.body === null) throw new Error(`it answers ${response.status}`);
    const pieces: Uint8Array[] = [];
    let size = 0;
    for await (const piece of response.body as AsyncIterable<Uint8Array>) {
      size += piece.length;
      if (size > MAX_PAGE_BYTES) throw new Error(`it has more than ${MAX_PAGE_BYTES} bytes`);
      pieces.push(piece);
    }
    const tag = response.headers.get('etag');
    const serial = Number(response.headers.get('x-pypi-last-serial') ?? Number.NaN);
    return {
      url: response.url,
      ...(tag === null ? {} : { etag: tag }),
      ...(Number.isSafeInteger(serial) ? { serial } : {}),
      json: (response.headers.get('content-type') ?? '').includes('json'),
      text: Buffer.concat(pieces).toString('utf8'),
    };
  } catch (error) {
    const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
    throw new CountersignError('service-unavailable', `${url} cannot be read: ${messageOf(cause)}`, {
      cause: error,
    });
  }
}

function projectsOf({ text, json, serial }: Answer, url: string): { projects: string[]; serial?: number } {
  if (!json) {
    const projects = [...anchors(text)].map(({ href }) =>
      decodeURIComponent(href.split('/').filter(Boolean).at(-1) ?? ''),
    );
    return {
      projects: [...new Set(projects)].filter(Boolean).sort(),
      ...(serial === undefined ? {} : { serial }),
    };
  }
  const document = parse(text, url) as { projects?: unknown; meta?: { '_last-serial'?: unknown } };
  if (!Array.isArray(document.projects)) throw invalid(url, 'has no projects');
  const names = (document.projects as { name?: unknown }[]).map(({ name }) => name);
  const last = Number(document.meta?.['_last-serial'] ?? serial ?? Number.NaN);
  return {
    projects: [...new Set(names.filter((name) => typeof name === 'string').map(normalized))].sort(),
    ...(Number.isSafeInteger(last) ? { serial: last } : {}),
  };
}

async function pageOf(
  base: string,
  project: string,
  known: Page | undefined,
  download: boolean,
): Promise<Page> {
  const answer = await ask(`${base}${encodeURIComponent(project)}/`, known?.etag);
  if (answer === undefined && known !== undefined) return known;
  if (answer === undefined) throw invalid(`${base}${project}/`, 'answers 304 to a first request');
  const found = answer.json ? filesOfJson(answer) : filesOfHtml(answer);
  const files: IndexedFile[] = [];
  for (const { href, length, sha256 } of found) {
    files.push(await indexedFile(new URL(href, answer.url), length, sha256, download));
  }
  return { project, ...(answer.etag === undefined ? {} : { etag: answer.etag }), files };
}

interface Found {
  readonly href: string;
  readonly length?: number;
  readonly sha256?: string;
}

function filesOfJson({ text, url }: Answer): Found[] {
  const { files } = parse(text, url) as { files?: unknown };
  if (!Array.isArray(files)) throw invalid(url, 'has no files');
  return (files as { url?: unknown; size?: unknown; hashes?: { sha256?: unknown } }[]).map((file) => ({
    href: String(file.url),
    ...(typeof file.size === 'number' ? { length: file.size } : {}),
    ...(typeof file.hashes?.sha256 === 'string' ? { sha256: file.hashes.sha256 } : {}),
  }));
}

/** PEP 503: the hash is the fragment of the address. */
function filesOfHtml({ text, url }: Answer): Found[] {
  return [...anchors(text)].map(({ href }) => {
    const [, sha256] = /^#sha256=([0-9a-f]{64})$/.exec(new URL(href, url).hash) ?? [];
    return { href, ...(sha256 === undefined ? {} : { sha256 }) };
  });
}

/** The target path is the path of the address; a length that the index does not say is asked for. */
async function indexedFile(
  url: URL,
  length: number | undefined,
  sha256: string | undefined,
  download: boolean,
) {
  const path = decodeURIComponent(url.pathname.slice(1));
  url.hash = '';
  const claim: IndexedFile = { path, ...(sha256 === undefined ? {} : { sha256 }) };
  if (!download && length !== undefined) return { ...claim, length };
  const response = await fetch(url, {
    method: download ? 'GET' : 'HEAD',
    signal: AbortSignal.timeout(PATIENCE_MS),
  }).catch((error: unknown) => {
    throw new CountersignError('service-unavailable', `${url.href} cannot be read: ${messageOf(error)}`, {
      cause: error,
    });
  });
  if (!response.ok) return { ...claim, problem: `${url.href} answers ${response.status}` };
  if (!download) return { ...claim, length: Number(response.headers.get('content-length') ?? 0) };
  const hash = createHash('sha256');
  let bytes = 0;
  for await (const piece of (response.body ?? []) as AsyncIterable<Uint8Array>) {
    hash.update(piece);
    bytes += piece.length;
  }
  const digest = hash.digest('hex');
  if (sha256 !== undefined && digest !== sha256) {
    return { path, problem: `${url.href} has sha256 ${digest}, the index says ${sha256}` };
  }
  if (length !== undefined && bytes !== length) {
    return { path, problem: `${url.href} has ${bytes} bytes, the index says ${length}` };
  }
  return { path, length: bytes, sha256: digest };
}

function* anchors(html: string): Generator<{ href: string }> {
  for (const match of html.matchAll(/<a\s[^>]*?href\s*=\s*(?:"([^"]*)"|'([^']*)')/gi)) {
    yield { href: (match[1] ?? match[2] ?? '').replaceAll('&amp;', '&') };
  }
}

/** PEP 503 "Normalized Names". */
function normalized(name: string): string {
  return name.replaceAll(/[-_.]+/g, '-').toLowerCase();
}

function keptPages(file: string): Map<string, Page> {
  const pages = new Map<string, Page>();
  if (!fs.existsSync(file)) return pages;
  for (const line of fs.readFileSync(file, 'utf8').split('\n')) {
    // The last line of a crawl that was killed may be half a line: its project is asked for again.
    if (!line.endsWith('}')) continue;
    const page = JSON.parse(line) as Page;
    pages.set(page.project, page);
  }
  return pages;
}

function parse(text: string, url: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw invalid(url, `is not JSON: ${messageOf(error)}`);
  }
}

function invalid(url: string, problem: string): CountersignError {
  return new CountersignError('manifest-invalid', `${url} ${problem}`);
}
