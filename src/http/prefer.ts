// RFC 7240: the preference `wait=N` of a request, in seconds.

/** The longest wait that is granted; proxies between us and the caller give up after about a minute. */
export const MAX_WAIT_SECONDS = 50;

/**
 * The seconds to wait, or undefined when the header asks for none. A preference that is malformed counts as absent,
 * and of two the first holds (RFC 7240 section 2).
 */
export function waitSeconds(header: string | readonly string[] | undefined): number | undefined {
  const text = typeof header === 'string' ? header : (header?.join(',') ?? '');
  for (const preference of text.split(',')) {
    const [token = '', value] = (preference.split(';')[0] ?? '').split('=').map((part) => part.trim());
    if (token.toLowerCase() !== 'wait') continue;
    const seconds = /^"?(\d{1,9})"?$/.exec(value ?? '')?.[1];
    return seconds === undefined ? undefined : Math.min(Number(seconds), MAX_WAIT_SECONDS);
  }
  return undefined;
}
