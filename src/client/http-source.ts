// A repository behind a URL, read with GET: bounded in bytes and time, redirects within the same scheme only.
import { CountersignError, messageOf } from '../lib/errors.ts';
import { wholeBody } from '../lib/whole-body.ts';
import { followRedirects, unavailable } from './follow-redirects.ts';
import type { RepositorySource } from './source.ts';

/** Milliseconds for one object. */
const DEADLINE_MS = 30_000;

/**
 * `base` is what stands before `metadata/timestamp.json`, with or without a final slash.
 * @throws CountersignError `usage` when it is no http or https URL.
 */
export function httpSource(base: string): RepositorySource {
  const root = parseBase(base);
  return {
    get: async (name, maxBytes) => {
      const url = new URL(name, root);
      try {
        const signal = AbortSignal.timeout(DEADLINE_MS);
        const answer = await followRedirects(url, signal);
        try {
          if (answer.status === 404) return undefined;
          if (answer.status !== 200) throw unavailable(url, `answers ${answer.status}`);
          return await wholeBody(
            answer.body,
            maxBytes,
            () => new CountersignError('metadata-too-large', `${name} has more than ${maxBytes} bytes`),
          );
        } finally {
          await answer.discard();
        }
      } catch (error) {
        if (error instanceof CountersignError) throw error;
        throw unavailable(url, messageOf(error), error);
      }
    },
  };
}

function parseBase(base: string): URL {
  const url = URL.canParse(base) ? new URL(base) : undefined;
  if (url === undefined || !/^https?:$/.test(url.protocol)) {
    throw new CountersignError('usage', `${base} is not an http or https URL`);
  }
  if (!url.pathname.endsWith('/')) url.pathname += '/';
  return url;
}
