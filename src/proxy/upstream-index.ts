// Pages of an index that does not sign them. Nothing in them is trusted: they say which files there may be.
import { followRedirects, unavailable } from '../client/follow-redirects.ts';
import type { HttpAnswer } from '../client/http-get.ts';
import { CountersignError, messageOf } from '../lib/errors.ts';
import { wholeBody } from '../lib/whole-body.ts';
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
    const answer = await followRedirects(url, AbortSignal.timeout(PATIENCE_MS), { accept: ACCEPT });
    const bytes = await bytesOf(answer, url).finally(() => answer.discard());
    if (bytes === undefined) return undefined;
    const type = answer.header('content-type') ?? '';
    const page = type.includes('json')
      ? parseJsonPage(bytes, url.href)
      : parseHtmlPage(bytes.toString('utf8'), name, url.href);
    return { page, bytes, url: answer.url.href };
  } catch (error) {
    if (error instanceof CountersignError) throw error;
    throw unavailable(url, messageOf(error), error);
  }
}

/** Undefined: the index has no such page. */
async function bytesOf({ status, body }: HttpAnswer, url: URL): Promise<Buffer | undefined> {
  if (status === 404 || status === 410) return undefined;
  if (status !== 200) throw unavailable(url, `answers ${status}`);
  const tooLong = () =>
    new CountersignError('page-invalid', `${url.href} has more than ${MAX_PAGE_BYTES} bytes`);
  return wholeBody(body, MAX_PAGE_BYTES, tooLong);
}
