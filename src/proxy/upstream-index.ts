// Pages of an index that does not sign them. Nothing in them is trusted: they say which files there may be.
import { followRedirects, unavailable } from '../client/follow-redirects.ts';
import { CountersignError, messageOf } from '../lib/errors.ts';
import { parseHtmlPage } from '../simple/page-html.ts';
import { parseJsonPage } from '../simple/page-json.ts';
import { MAX_PAGE_BYTES, type ProjectPage } from '../simple/project-page.ts';

/** PEP 691 "Content-Type"; HTML for an index that has nothing newer. */
const ACCEPT =
  'application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html;q=0.2, text/html;q=0.1';

/** Milliseconds until a page has come, whole. pip waits 15 s. */
const PATIENCE_MS = 12_000;

export interface UpstreamPage {
  readonly page: ProjectPage;
  readonly bytes: Uint8Array;
  /** Where it came from, after redirects: its links are relative to this. */
  readonly url: string;
}

/**
 * The page of a project, or undefined when the index has none.
 * @param indexUrl what stands before the project's name, with a final slash.
 * @throws CountersignError `store-unavailable`, `page-invalid`, `metadata-too-large`.
 */
export async function upstreamPage(indexUrl: string, name: string): Promise<UpstreamPage | undefined> {
  const url = new URL(`${indexUrl}${name}/`);
  try {
    const response = await followRedirects(url, AbortSignal.timeout(PATIENCE_MS), { accept: ACCEPT });
    if (response.status !== 200) {
      await response.body?.cancel();
      if (response.status === 404 || response.status === 410) return undefined;
      throw unavailable(url, `answers ${response.status}`);
    }
    const bytes = await readBounded(response, url);
    const type = response.headers.get('content-type') ?? '';
    const page = type.includes('json')
      ? parseJsonPage(bytes, url.href)
      : parseHtmlPage(bytes.toString('utf8'), name, url.href);
    return { page, bytes, url: response.url };
  } catch (error) {
    if (error instanceof CountersignError) throw error;
    throw unavailable(url, messageOf(error), error);
  }
}

async function readBounded(response: Response, url: URL): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of (response.body ?? []) as AsyncIterable<Uint8Array>) {
    length += chunk.length;
    if (length > MAX_PAGE_BYTES) {
      throw new CountersignError('page-invalid', `${url.href} has more than ${MAX_PAGE_BYTES} bytes`);
    }
    chunks.push(chunk);
  }
  return Buffer.concat(chunks, length);
}
