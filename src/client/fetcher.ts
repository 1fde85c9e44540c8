// How the client gets files: a port, so that tests and mirrors can bring their own. Nothing that it brings is trusted.
import { CountersignError } from '../lib/errors.ts';
import { wholeBody } from '../lib/whole-body.ts';

export interface Fetcher {
  /**
   * The body of a file in chunks, or undefined when there is none. The caller stops reading at its limit; `maxBytes`
   * says so in advance. Bounded in time: an endless or endlessly slow body ends in an error.
   * @throws CountersignError `store-unavailable` when the other side does not answer or fails, while reading too;
   *   `metadata-too-large` when it announces more than `maxBytes`.
   */
  get(url: string, maxBytes: number): Promise<AsyncIterable<Uint8Array> | undefined>;
}

/**
 * A whole metadata file, or undefined when there is none.
 * @throws CountersignError `metadata-too-large` above `maxBytes`, whatever the fetcher believes; `store-unavailable`.
 */
export async function fetchWhole(
  fetcher: Fetcher,
  url: string,
  maxBytes: number,
): Promise<Uint8Array | undefined> {
  const body = await fetcher.get(url, maxBytes);
  if (body === undefined) return undefined;
  // TUF 5.3.3 to 5.6.1 "download … up to the number of bytes".
  const tooLong = () => new CountersignError('metadata-too-large', `${url} has more than ${maxBytes} bytes`);
  return wholeBody(body, maxBytes, tooLong);
}
