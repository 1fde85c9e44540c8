// How a refusal reaches the person in front of an installer. What pip 23 to 26 show, tried with the programs:
//  - of a file, status and reason phrase: "ERROR: 403 Client Error: REASON for url: …". A 500, 502 or 503 would be
//    asked for five times more, and then shown without its reason; 504 is shown like a 403.
//  - of a page, nothing at all, whatever its status: "no matching distribution". But a page of a type that is no page
//    is skipped with a warning that shows the type. So pip gets one whose parameter says why.
// Everybody else gets the status, and a problem document (RFC 9457).
import { CountersignError, ERRORS, messageOf, type ErrorCode } from '../lib/errors.ts';
import { printableLine } from '../lib/printable.ts';

export interface Refusal {
  readonly code: ErrorCode;
  readonly status: number;
  /** For people, one line of printable ASCII. */
  readonly reason: string;
  readonly remedy: string;
}

/** Characters of a reason phrase: two lines of a terminal. */
const MAX_REASON = 300;

export function refusalOf(error: unknown): Refusal {
  const known = error instanceof CountersignError && error.code !== 'internal';
  const code = known ? error.code : 'internal';
  // What came from a stranger must not write into a header or a terminal.
  const reason = printableLine(
    known ? `countersign: ${messageOf(error)}` : 'countersign: internal fault, see its log',
    MAX_REASON,
  );
  return { code, status: statusOf(code), reason, remedy: ERRORS[code].remedy };
}

function statusOf(code: ErrorCode): number {
  if (code === 'not-found' || code === 'target-unsigned') return 404;
  if (code === 'request-invalid' || code === 'path-forbidden') return 400;
  if (code === 'method-not-allowed') return 405;
  if (code === 'range-unsatisfiable') return 416;
  const { kind } = ERRORS[code];
  if (kind === 'unavailable') return 504;
  return kind === 'internal' ? 500 : 403;
}

/** RFC 9457. */
export function problemDocument({ code, status, reason, remedy }: Refusal): string {
  return JSON.stringify({
    type: `urn:countersign:error:${code}`,
    title: reason,
    status,
    code,
    detail: remedy,
  });
}

/** Whether a refused page is told in the way that pip shows. */
export function isPip(userAgent: string | undefined): boolean {
  return userAgent?.startsWith('pip/') === true;
}

/** A media type that no installer takes for a page (RFC 9110 8.3.1: a quoted parameter). */
export function refusedPageType({ reason }: Refusal): string {
  return `text/plain; charset=utf-8; refused="${reason.replaceAll(/["\\]/g, "'")}"`;
}
