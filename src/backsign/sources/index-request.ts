// Requests to a simple index: whole answers of bounded size, conditional where an earlier answer is known, and again after a
// pause where the other side is busy or gone for a moment.
import type { Clock } from '../../lib/clock.ts';
import { CountersignError, messageOf } from '../../lib/errors.ts';

/** PEP 691 "Content-Type"; HTML for an index that has nothing newer. */
const ACCEPT =
  'application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html;q=0.2, text/html;q=0.1';

/** Milliseconds until an answer has come, whole. */
const PATIENCE_MS = 120_000;

/** Milliseconds before each further attempt. */
const PAUSES_MS = [1000, 4000, 16_000];

/** An index that says when to come back is believed up to so many milliseconds. */
const LONGEST_PAUSE_MS = 60_000;

/** Bytes; the list of all projects of PyPI has some 40 MB. */
const MAX_PAGE_BYTES = 256 * 1024 * 1024;

const REDIRECTS = new Set([301, 302, 303, 307, 308]);
const MAX_REDIRECTS = 5;

export interface PageAnswer {
  /** After redirects. */
  readonly url: string;
  readonly etag?: string;
  /** `X-PyPI-Last-Serial`. */
  readonly serial?: number;
  readonly isJson: boolean;
  readonly text: string;
}

/**
 * A page of an index; `unchanged` against `etag`, or `absent` (404, 410).
 * @throws CountersignError `service-unavailable` when it cannot be read after several attempts.
 */
export function askPage(
  url: string,
  etag: string | undefined,
  clock: Clock,
): Promise<PageAnswer | 'unchanged' | 'absent'> {
  return persistently(url, clock, async () => {
    const response = await ask(url, {
      headers: { accept: ACCEPT, ...(etag === undefined ? {} : { 'if-none-match': etag }) },
    });
    if (response.status === 304 && etag !== undefined) return 'unchanged';
    if (response.status === 404 || response.status === 410) return 'absent';
    await checkStatus(response);
    const isJson = await hasJson(response);
    const pieces: Uint8Array[] = [];
    let size = 0;
    for await (const piece of bodyOf(response)) {
      size += piece.length;
      if (size > MAX_PAGE_BYTES) throw new HopelessAnswer(`it has more than ${MAX_PAGE_BYTES} bytes`);
      pieces.push(piece);
    }
    const tag = response.headers.get('etag');
    const serial = Number(response.headers.get('x-pypi-last-serial') ?? Number.NaN);
    return {
      url: response.url,
      ...(tag === null ? {} : { etag: tag }),
      ...(Number.isSafeInteger(serial) ? { serial } : {}),
      isJson,
      text: Buffer.concat(pieces).toString('utf8'),
    };
  });
}

/**
 * Asks for a file and hands its answer to `read`; `absent` when there is none.
 * @throws CountersignError `service-unavailable` when it cannot be read after several attempts.
 */
export function askFile<T>(
  url: string,
  method: 'GET' | 'HEAD',
  clock: Clock,
  read: (response: Response) => Promise<T>,
): Promise<T | 'absent'> {
  return persistently(url, clock, async () => {
    // Lengths and hashes are those of the file, and not of what a server makes of it on the way.
    const response = await ask(url, { method, headers: { 'accept-encoding': 'identity' } });
    if (response.status === 404 || response.status === 410) return 'absent';
    await checkStatus(response);
    return read(response);
  });
}

export function bodyOf(response: Response): AsyncIterable<Uint8Array> {
  return (response.body ?? []) as AsyncIterable<Uint8Array>;
}

/** The first answer that is no redirect. */
async function ask(start: string, init: RequestInit): Promise<Response> {
  const signal = AbortSignal.timeout(PATIENCE_MS);
  let url = new URL(start);
  for (let hops = 0; hops <= MAX_REDIRECTS; hops++) {
    const response = await fetch(url, { ...init, redirect: 'manual', signal });
    const location = response.headers.get('location');
    if (!REDIRECTS.has(response.status) || location === null) return response;
    await response.body?.cancel();
    const next = URL.canParse(location, url.href) ? new URL(location, url) : undefined;
    // What is read is signed: nobody on the way may have written it.
    if (url.protocol === 'https:' && next?.protocol !== 'https:') {
      throw new HopelessAnswer(`it redirects from https to ${(next?.href ?? location).slice(0, 200)}`);
    }
    if (next === undefined || !/^https?:$/.test(next.protocol)) {
      throw new HopelessAnswer(`it redirects to ${location.slice(0, 200)}`);
    }
    url = next;
  }
  throw new HopelessAnswer(`it redirects more than ${MAX_REDIRECTS} times`);
}

/**
 * Whether a page is JSON; else it is HTML.
 * @throws CountersignError `manifest-invalid` for what installers do not read either: a page without links, as somebody's
 *   plain text would be, says that all files are gone.
 */
async function hasJson(response: Response): Promise<boolean> {
  const type = response.headers.get('content-type') ?? '';
  if (/json/i.test(type)) return true;
  if (/^\s*(?:text\/html|application\/vnd\.pypi\.simple\.v1\+html)\s*(?:;|$)/i.test(type)) return false;
  await response.body?.cancel();
  throw new CountersignError(
    'manifest-invalid',
    `${response.url} has the content type ${JSON.stringify(type)}, expected text/html or application/vnd.pypi.simple.v1+json`,
  );
}

/** An answer that another attempt would not make better. */
class HopelessAnswer extends Error {}

/** An answer that asks to come back. */
class BusyAnswer extends Error {
  readonly pauseMs: number;

  constructor(message: string, pauseMs: number) {
    super(message);
    this.pauseMs = pauseMs;
  }
}

async function checkStatus(response: Response): Promise<void> {
  const { status } = response;
  if (response.ok) return;
  // An answer that nobody reads keeps its connection.
  await response.body?.cancel();
  const message = `it answers ${status}`;
  if (status !== 429 && status < 500) throw new HopelessAnswer(message);
  const seconds = Number(response.headers.get('retry-after') ?? 0);
  throw new BusyAnswer(message, Math.min((Number.isFinite(seconds) ? seconds : 0) * 1000, LONGEST_PAUSE_MS));
}

async function persistently<T>(url: string, clock: Clock, attempt: () => Promise<T>): Promise<T> {
  for (let failures = 0; ; failures++) {
    try {
      return await attempt();
    } catch (error) {
      if (error instanceof CountersignError) throw error;
      const pauseMs = PAUSES_MS[failures];
      if (pauseMs === undefined || error instanceof HopelessAnswer) {
        const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
        throw new CountersignError('service-unavailable', `${url} cannot be read: ${messageOf(cause)}`, {
          cause: error,
        });
      }
      await clock.sleep(Math.max(pauseMs, error instanceof BusyAnswer ? error.pauseMs : 0));
    }
  }
}
