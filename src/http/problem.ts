// Problem documents (RFC 9457): the body of every error that leaves over HTTP, and the only place that knows status
// codes. A caller learns the code and, for what it sent itself, the message; faults on our side keep theirs for the
// log, because messages about stores and ledgers name hosts and paths.
import { STATUS_CODES } from 'node:http';
import type { FastifyError } from 'fastify';
import { Type } from 'typebox';
import { CountersignError, ERRORS, type ErrorCode } from '../lib/errors.ts';

export const PROBLEM_TYPE = 'application/problem+json';

/** Total: the compiler refuses a code without a status. Codes that never reach HTTP answer 500. */
const STATUS: Readonly<Record<ErrorCode, number>> = {
  'request-invalid': 400,
  'path-forbidden': 400,
  'event-conflict': 409,
  'event-unknown': 404,
  'target-exists': 409,
  'target-absent': 404,
  'backlog-full': 503,
  unauthorized: 401,
  forbidden: 403,
  'not-found': 404,
  'method-not-allowed': 405,
  'request-too-large': 413,
  'unsupported-media-type': 415,
  'changes-expired': 410,
  'header-too-large': 431,
  'request-timeout': 408,
  'range-unsatisfiable': 416,
  busy: 503,
  unhealthy: 503,
  usage: 500,
  'config-invalid': 500,
  'secret-unreadable': 500,
  'file-exists': 500,
  'file-unwritable': 500,
  'not-bootstrapped': 503,
  'not-empty': 500,
  'key-mismatch': 500,
  'bundle-invalid': 500,
  'bundle-conflict': 500,
  'manifest-invalid': 500,
  'backsign-state': 500,
  'follow-state': 500,
  'too-many-removals': 500,
  'key-overlap-missing': 500,
  'plan-invalid': 500,
  'plan-refused': 500,
  'ceremony-file-missing': 500,
  'ceremony-file-invalid': 500,
  'ceremony-mismatch': 500,
  'ceremony-incomplete': 500,
  'ceremony-aborted': 500,
  'code-wrong': 500,
  interrupted: 500,
  'answer-wrong': 500,
  'passphrase-weak': 500,
  'self-check-failed': 500,
  'share-invalid': 500,
  'transcript-invalid': 500,
  'transcript-locked': 500,
  'metadata-invalid': 500,
  'page-invalid': 500,
  'target-unsigned': 500,
  'metadata-too-large': 500,
  'metadata-missing': 500,
  'metadata-expired': 500,
  'signature-invalid': 500,
  'version-rollback': 500,
  'update-failed': 503,
  'too-many-delegations': 500,
  'length-or-hash-mismatch': 502,
  'bin-altered': 503,
  'head-moved': 503,
  'lease-lost': 503,
  'immutable-conflict': 500,
  'timestamp-conflict': 500,
  'clock-backwards': 503,
  'event-superseded': 500,
  'audit-broken': 500,
  'reconcile-refused': 500,
  'copy-refused': 500,
  'mirror-refused': 500,
  'mirror-incomplete': 500,
  'mirror-locked': 500,
  'mirror-state-invalid': 500,
  'upstream-unavailable': 503,
  'signer-invalid': 500,
  'ledger-unavailable': 503,
  'ledger-invalid': 500,
  'store-unavailable': 503,
  'store-conflict': 503,
  'store-unsuitable': 500,
  'signer-unavailable': 503,
  'service-unavailable': 503,
  'demo-failed': 500,
  internal: 500,
};

/** One thing that is wrong in a request body. */
export interface Flaw {
  /** Line of an NDJSON body, from 1. */
  readonly line?: number;
  /** JSON pointer (RFC 6901) into the body, or into the line. */
  readonly pointer: string;
  readonly detail: string;
}

interface ProblemExtras {
  readonly headers?: Readonly<Record<string, string>>;
  /** Further members of the document (RFC 9457 section 3.2). */
  readonly members?: Readonly<Record<string, unknown>>;
  readonly cause?: unknown;
}

/** An error made by the HTTP edge: its message is written for the caller, and it may bring headers and members. */
export class ProblemError extends CountersignError {
  override readonly name = 'ProblemError';
  readonly headers: Readonly<Record<string, string>>;
  readonly members: Readonly<Record<string, unknown>>;

  constructor(code: ErrorCode, message: string, extras: ProblemExtras = {}) {
    super(code, message, { cause: extras.cause });
    this.headers = extras.headers ?? {};
    this.members = extras.members ?? {};
  }
}

/** A malformed request, with every flaw that was found. */
export function requestInvalid(message: string, flaws: readonly Flaw[] = []): ProblemError {
  return new ProblemError(
    'request-invalid',
    message,
    flaws.length === 0 ? {} : { members: { errors: flaws } },
  );
}

export interface Problem {
  readonly code: ErrorCode;
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

/** The answer to anything that was thrown while request `requestId` was in hand. */
export function problemOf(thrown: unknown, requestId: string): Problem {
  const error = thrown instanceof CountersignError ? thrown : fromFramework(thrown);
  const status = STATUS[error.code];
  const shown = status < 500 || error instanceof ProblemError;
  const members = error instanceof ProblemError ? error.members : shown ? error.details : {};
  const document = {
    ...members,
    type: `urn:countersign:error:${error.code}`,
    title: ERRORS[error.code].meaning,
    status,
    ...(shown ? { detail: error.message } : {}),
    code: error.code,
    instance: `urn:countersign:request:${requestId}`,
  };
  return {
    code: error.code,
    status,
    headers: error instanceof ProblemError ? error.headers : {},
    body: JSON.stringify(document),
  };
}

/** The error in the catalogue for one that Fastify raised; everything unknown is `internal`. */
function fromFramework(thrown: unknown): CountersignError {
  const error = (thrown instanceof Error ? thrown : {}) as Partial<FastifyError>;
  const message = error.message ?? '';
  if (error.validation !== undefined) {
    const flaws = error.validation.map((flaw) => ({
      pointer: flaw.instancePath,
      detail: `${error.validationContext ?? 'request'} ${flaw.message ?? 'does not fit'}`,
    }));
    return requestInvalid(message, flaws);
  }
  switch (error.statusCode) {
    case 400:
    case 414:
      return new ProblemError('request-invalid', message);
    case 404:
      return new ProblemError('not-found', message);
    case 413:
      return new ProblemError('request-too-large', message);
    case 415:
      return new ProblemError('unsupported-media-type', message);
    default:
      return new CountersignError('internal', 'fault inside countersign', { cause: thrown });
  }
}

/**
 * The complete answer to a connection that never became a request: a broken, oversized or endless header.
 * `parserCode` is Node's name for what happened.
 */
export function rawProblem(parserCode: string | undefined, requestId: string): string {
  const error =
    parserCode === 'HPE_HEADER_OVERFLOW'
      ? new ProblemError('header-too-large', 'request line and headers are too large')
      : parserCode === 'ERR_HTTP_REQUEST_TIMEOUT'
        ? new ProblemError('request-timeout', 'the request did not arrive in time')
        : new ProblemError('request-invalid', 'not a well-formed HTTP/1.1 request');
  const { status, body } = problemOf(error, requestId);
  return [
    `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? 'Error'}`,
    `Content-Type: ${PROBLEM_TYPE}`,
    `Content-Length: ${Buffer.byteLength(body)}`,
    'Connection: close',
    '',
    body,
  ].join('\r\n');
}

export const ProblemSchema = Type.Object(
  {
    type: Type.String({ description: '`urn:countersign:error:` and the code' }),
    title: Type.String({ description: 'What the code means' }),
    status: Type.Integer({ description: 'The HTTP status' }),
    detail: Type.Optional(Type.String({ description: 'What happened here, with the values' })),
    code: Type.String({ description: 'Stable name of the error; docs/errors.md lists them' }),
    instance: Type.String({ description: 'Names this request in the log' }),
    errors: Type.Optional(
      Type.Array(
        Type.Object({
          line: Type.Optional(Type.Integer({ description: 'Line of an NDJSON body, from 1' })),
          pointer: Type.String({ description: 'JSON pointer into the body or the line' }),
          detail: Type.String(),
        }),
        { description: 'Every flaw of a request, at most 20' },
      ),
    ),
    reasons: Type.Optional(
      Type.Array(Type.Object({ code: Type.String(), detail: Type.String() }), {
        description: 'Why the service is not healthy or not ready',
      }),
    ),
  },
  {
    $id: 'Problem',
    description: 'An error (RFC 9457)',
    examples: [
      {
        type: 'urn:countersign:error:request-invalid',
        title: ERRORS['request-invalid'].meaning,
        status: 400,
        detail: '1 flaw in the request; nothing was accepted',
        code: 'request-invalid',
        instance: 'urn:countersign:request:0b5c7d0e-8a5e-4d53-9b53-5f1df3a1d9a8',
        errors: [{ pointer: '/events/0/changes/0/size', detail: 'is not a known key' }],
      },
    ],
  },
);
