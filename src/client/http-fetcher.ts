// Files over HTTP. Slow retrieval attack (TUF 1.5.2 "slow retrieval attacks"): a body must keep up a rate, measured only
// while we wait for the other side; with the caller's limit of bytes that bounds the total time too.
import type { Clock } from '../lib/clock.ts';
import { CountersignError, messageOf } from '../lib/errors.ts';
import { followRedirects, unavailable } from './follow-redirects.ts';
import type { HttpAnswer } from './http-get.ts';
import type { Fetcher } from './fetcher.ts';

export interface Patience {
  /** Milliseconds until the headers have come, redirects included. */
  readonly answerMs: number;
  /** In each stretch of so many milliseconds of waiting … */
  readonly stretchMs: number;
  /** … at least so many bytes come. */
  readonly stretchBytes: number;
}

/** 2 KB a second: slower than any modem, and 5 MB of metadata end within 42 minutes at worst. */
export const DEFAULT_PATIENCE: Patience = { answerMs: 30_000, stretchMs: 15_000, stretchBytes: 30_000 };

/** HTTP and HTTPS with the certificates that Node trusts; `clock` measures the waiting. */
export function httpFetcher(clock: Clock, patience: Patience = DEFAULT_PATIENCE): Fetcher {
  return {
    get: async (text, maxBytes) => {
      const url = parseUrl(text);
      const stop = new AbortController();
      const timer = setTimeout(() => {
        stop.abort(new Error(`no answer within ${patience.answerMs} ms`));
      }, patience.answerMs);
      let answer: HttpAnswer;
      try {
        answer = await followRedirects(url, stop.signal);
      } catch (error) {
        throw asUnavailable(url, error, stop.signal);
      } finally {
        clearTimeout(timer);
      }
      const { status } = answer;
      // 403: an object store that may not list its objects says so for those that do not exist (interop rule 9).
      if (status === 404 || status === 403) {
        await answer.discard();
        return undefined;
      }
      // The length is that of the coded body (RFC 9110 8.6): what cannot be compressed grows a little.
      const coded = answer.header('content-encoding') !== undefined;
      const announced = coded ? 0 : Number(answer.header('content-length') ?? 0);
      if (status !== 200 || announced > maxBytes) await answer.discard();
      if (status !== 200) throw unavailable(url, `answers ${status}`);
      if (announced > maxBytes) {
        throw new CountersignError(
          'metadata-too-large',
          `${url.href} has ${announced} bytes, at most ${maxBytes} are allowed`,
        );
      }
      return readAtPace(answer, { url, stop, clock, patience });
    },
  };
}

function parseUrl(text: string): URL {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined || !/^https?:$/.test(url.protocol)) {
    throw new CountersignError('usage', `${text} is not an http or https URL`);
  }
  return url;
}

interface Transfer {
  readonly url: URL;
  readonly stop: AbortController;
  readonly clock: Clock;
  readonly patience: Patience;
}

async function* readAtPace(
  answer: HttpAnswer,
  { url, stop, clock, patience }: Transfer,
): AsyncGenerator<Uint8Array> {
  const body = answer.body[Symbol.asyncIterator]();
  const { stretchMs, stretchBytes } = patience;
  let waitedMs = 0;
  let bytes = 0;
  try {
    for (;;) {
      const since = clock.now();
      const timer = setTimeout(() => {
        stop.abort(new Error(`sends less than ${stretchBytes} bytes in ${stretchMs} ms`));
      }, stretchMs - waitedMs);
      let read;
      try {
        read = await body.next();
      } finally {
        clearTimeout(timer);
      }
      if (read.done === true) return;
      // The clock may be set back meanwhile, but no wait can outlast its timer.
      waitedMs = Math.min(stretchMs - 1, waitedMs + Math.max(0, clock.now() - since));
      bytes += read.value.length;
      if (bytes >= stretchBytes) waitedMs = bytes = 0;
      yield read.value;
    }
  } catch (error) {
    throw asUnavailable(url, error, stop.signal);
  } finally {
    // Also when the caller has seen enough: the connection is given up then, not drained.
    await answer.discard();
  }
}

function asUnavailable(url: URL, error: unknown, signal: AbortSignal): CountersignError {
  if (error instanceof CountersignError) return error;
  const reason: unknown = signal.aborted ? signal.reason : error;
  return unavailable(url, reasonOf(reason), error);
}

/** Of a host with several addresses node:http names the code only, and keeps the reasons in a list. */
function reasonOf(error: unknown): string {
  const first: unknown = error instanceof AggregateError ? error.errors[0] : error;
  return messageOf(first);
}
