// From a link on a page to the target path that signed metadata knows the file by.
import { targetPathProblem } from '../tuf/target-path.ts';

/**
 * The target path of a file at `url`: what follows the first of `bases` that it lies below, otherwise the whole path of
 * the address (as back-signing reads a simple index). Undefined when that could be no target path.
 */
export function targetPathOf(url: URL, bases: readonly string[]): string | undefined {
  const address = `${url.origin}${url.pathname}`;
  const base = bases.find((it) => address.startsWith(it));
  const quoted = base === undefined ? url.pathname.slice(1) : address.slice(base.length);
  let path;
  try {
    path = decodeURIComponent(quoted);
  } catch {
    return undefined;
  }
  return targetPathProblem(path) === undefined ? path : undefined;
}

/** An address as the beginning of others: absolute, without query and fragment, with a final slash. */
export function asBase(url: URL): string {
  return `${url.origin}${url.pathname.endsWith('/') ? url.pathname : `${url.pathname}/`}`;
}

/** A link on a page, absolute; undefined for everything but http and https. */
export function absoluteLink(link: string, page: string): URL | undefined {
  if (!URL.canParse(link, page)) return undefined;
  const url = new URL(link, page);
  return /^https?:$/.test(url.protocol) ? url : undefined;
}
