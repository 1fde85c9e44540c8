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
    const response = await fetch(url, {
      headers: { accept: ACCEPT, ...(etag === undefined ? {} : { 'if-none-match': etag }) },
      signal: AbortSignal.timeout(PATIENCE_MS),
    });
    if (response.status === 304 && etag !== undefined) return 'unchanged';
    if (response.status === 404 || response.status === 410) return 'absent';
    await checkStatus(response);
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
      isJson: (response.headers.get('content-type') ?? '').includes('json'),
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
    const response = await fetch(url, { method, signal: AbortSignal.timeout(PATIENCE_MS) });
    if (response.status === 404 || response.status === 410) return 'absent';
    await checkStatus(response);
    return read(response);
  });
}

export function bodyOf(response: Response): AsyncIterable<Uint8Array> {
  return (response.body ?? []) as AsyncIterable<Uint8Array>;
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
