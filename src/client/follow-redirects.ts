// GET, following redirects by a rule of our own: never to another scheme. Shared by everything that reads over HTTP.
import { CountersignError } from '../lib/errors.ts';
import { httpGet, type HttpAnswer } from './http-get.ts';

const MAX_REDIRECTS = 5;

/**
 * The first answer that is no redirect, whatever its status, and where it came from.
 * @throws CountersignError `store-unavailable` for a redirect to another scheme and for too many; what `httpGet` throws.
 */
export async function followRedirects(
  start: URL,
  signal: AbortSignal,
  headers: Readonly<Record<string, string>> = {},
): Promise<HttpAnswer & { readonly url: URL }> {
  let url = start;
  for (let hops = 0; hops <= MAX_REDIRECTS; hops++) {
    const answer = await httpGet(url, signal, headers);
    const location = answer.header('location');
    if (answer.status < 300 || answer.status > 399 || location === undefined) return { ...answer, url };
    await answer.discard();
    if (!URL.canParse(location, url.href)) throw unavailable(url, 'redirects to what is no address');
    const next = new URL(location, url);
    // From https to http: whoever is on the way could answer. From http to another scheme: not what was asked for.
    if (next.protocol !== url.protocol) throw unavailable(url, `redirects to ${next.protocol}//`);
    url = next;
  }
  throw unavailable(start, `redirects more than ${MAX_REDIRECTS} times`);
}

/** `store-unavailable` that names the address. */
export function unavailable(url: URL, problem: string, cause?: unknown): CountersignError {
  return new CountersignError('store-unavailable', `${url.href}: ${problem}`, { cause });
}
