// Byte ranges as this server answers them (RFC 9110 section 14): the one outside the file is a problem document.
import type { IncomingHttpHeaders } from 'node:http';
import { requestedRange, type ByteRange } from '../lib/preconditions.ts';
import { ProblemError } from './problem.ts';

/**
 * The range that a GET asks for, or undefined for the whole file.
 * @throws ProblemError `range-unsatisfiable`.
 */
export function satisfiableRange(
  method: string,
  headers: IncomingHttpHeaders,
  etag: string,
  size: number,
): ByteRange | undefined {
  const range = requestedRange(method, headers, etag, size);
  if (range !== 'unsatisfiable') return range;
  const message = `range ${headers.range ?? ''} lies outside the ${size} bytes`;
  throw new ProblemError('range-unsatisfiable', message, { headers: { 'content-range': `bytes */${size}` } });
}
