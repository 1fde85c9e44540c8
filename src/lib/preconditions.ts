// Conditional and range requests (RFC 9110 sections 13 and 14), as far as immutable files need them.
import type { IncomingHttpHeaders } from 'node:http';

/** True when the client holds the representation with `etag` already. RFC 9110 13.1.2: weak comparison. */
export function isCurrent(ifNoneMatch: string | undefined, etag: string): boolean {
  if (ifNoneMatch === undefined) return false;
  if (ifNoneMatch.trim() === '*') return true;
  return ifNoneMatch.split(',').some((tag) => tag.trim().replace(/^W\//, '') === etag);
}

export interface ByteRange {
  /** First byte, from 0. */
  readonly start: number;
  /** Last byte, inclusive. */
  readonly end: number;
}

/**
 * The one range that a GET asks for, or undefined for the whole file: no Range, another unit, several ranges, or an
 * If-Range that names another representation (RFC 9110 13.1.5 and 14.2 allow to ignore all of these).
 * 'unsatisfiable' when it lies outside.
 */
export function requestedRange(
  method: string,
  headers: IncomingHttpHeaders,
  etag: string,
  size: number,
): ByteRange | 'unsatisfiable' | undefined {
  const match = /^bytes=(\d{0,15})-(\d{0,15})$/i.exec(headers.range?.replaceAll(' ', '') ?? '');
  if (method !== 'GET' || match === null) return undefined;
  const ifRange = headers['if-range'];
  if (ifRange !== undefined && ifRange !== etag) return undefined;
  const [, first = '', last = ''] = match;
  if (first === '' && last === '') return undefined;
  if (first !== '' && last !== '' && Number(last) < Number(first)) return undefined;
  const start = first === '' ? Math.max(0, size - Number(last)) : Number(first);
  const end = first === '' || last === '' ? size - 1 : Math.min(Number(last), size - 1);
  if (start >= size || (first === '' && Number(last) === 0)) {
    return 'unsatisfiable';
  }
  return { start, end };
}
