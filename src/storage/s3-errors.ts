// What an S3 server's refusal or silence means: may the request be repeated, may it have been carried out all the same,
// and which words help the operator.
import { CountersignError, type ErrorDetails } from '../lib/errors.ts';
import { printableLine } from '../lib/printable.ts';

/** Characters of what a server says that are passed on. */
const MAX_WORDS = 400;

export interface Verdict {
  /** Sending the same request again may succeed. */
  readonly retry: boolean;
  /** The server may have carried the request out although no success was heard of. */
  readonly mayHaveHappened: boolean;
}

/** Codes below 500 after which the same request may succeed; in none of these cases was it carried out. */
const PASSING = new Set([
  // Two conditional writes to one key met: S3 asks for the request again.
  'ConditionalRequestConflict',
  'OperationAborted',
  'RequestTimeout',
  'IncompleteBody',
  'BadDigest',
  'XAmzContentChecksumMismatch',
  // The SDK has taken the server's time from this answer and signs the next request with it.
  'RequestTimeTooSkewed',
  'TooManyRequestsException',
  'SlowDown',
]);

const NO_CREDENTIALS = /^(CredentialsProviderError|TokenProviderError|ProviderError)$/;

const EXPLANATIONS: Readonly<Record<string, string>> = {
  AccessDenied:
    'the policy must allow s3:GetObject, s3:PutObject and s3:DeleteObject on the objects and s3:ListBucket on the bucket; without s3:ListBucket an absent object is answered with 403, not 404',
  AllAccessDisabled: 'the bucket is disabled',
  NoSuchBucket: 'the bucket does not exist; countersign does not create buckets',
  PermanentRedirect: 'the bucket is in another region: set region= in the store setting',
  AuthorizationHeaderMalformed: 'the bucket is in another region: set region= in the store setting',
  InvalidAccessKeyId:
    'the server does not know the access key that the standard chain found; when it was replaced, start again',
  SignatureDoesNotMatch: 'the secret key is another one, or a proxy changes requests on their way',
  ExpiredToken:
    'the credentials have expired; those in the environment or in a shared file are read once: start again with new ones',
  RequestTimeTooSkewed: 'the clocks of this computer and of the server differ by too much',
  CredentialsProviderError: 'no credentials in the standard chain (environment, files, role)',
};

/** The HTTP status of the answer, or undefined when there was none. */
export function statusOf(error: unknown): number | undefined {
  const metadata = field(error, '$metadata');
  const status = field(metadata, 'httpStatusCode');
  return typeof status === 'number' ? status : undefined;
}

/** S3's name of the error, `NoSuchKey`, or the runtime's. */
export function s3Code(error: unknown): string {
  const name = field(error, 'name');
  return typeof name === 'string' && name !== '' ? name : 'Error';
}

export function judge(error: unknown): Verdict {
  if (error instanceof CountersignError) return { retry: false, mayHaveHappened: false };
  const code = s3Code(error);
  const status = statusOf(error);
  if (PASSING.has(code) || status === 429) return { retry: true, mayHaveHappened: false };
  if (NO_CREDENTIALS.test(code)) return { retry: false, mayHaveHappened: false };
  // No answer, half an answer, an answer that is no S3 answer, or a fault of the server.
  if (status === undefined || status < 300) return { retry: true, mayHaveHappened: true };
  if (status >= 500) return { retry: status !== 501, mayHaveHappened: true };
  return { retry: false, mayHaveHappened: false };
}

/** True when the answer says that there is no such object. A bare 404, from a proxy perhaps, does not say that. */
export function isAbsent(error: unknown): boolean {
  return statusOf(error) === 404 && s3Code(error) === 'NoSuchKey';
}

/** True when a condition of the request did not hold: nothing was written. */
export function isRefused(error: unknown): boolean {
  return statusOf(error) === 412;
}

/** `store-unavailable` that names the object, what the server said, and where useful the way out. */
export function s3Unavailable(action: string, uri: string, error: unknown): CountersignError {
  if (error instanceof CountersignError) return error;
  const details: Record<string, string | number> = { answer: printableLine(s3Code(error), MAX_WORDS) };
  const status = statusOf(error);
  const requestId = field(field(error, '$metadata'), 'requestId');
  if (status !== undefined) details['status'] = status;
  // What the server's operator asks for.
  if (typeof requestId === 'string') details['requestId'] = printableLine(requestId, MAX_WORDS);
  // No cause: the SDK's errors carry the request with its signature and session token.
  return new CountersignError('store-unavailable', `cannot ${action} ${uri}: ${describe(error)}`, {
    details: details satisfies ErrorDetails,
  });
}

/** `AccessDenied (403): what it means`. */
export function describe(error: unknown): string {
  const code = s3Code(error);
  const status = statusOf(error);
  const said = field(error, 'message');
  // A failed connection to several addresses has no message of its own.
  const known = [EXPLANATIONS[code], said, field(error, 'code')];
  const words = known.find((text): text is string => typeof text === 'string' && text !== '') ?? '';
  const text = `${code}${status === undefined ? '' : ` (${status})`}${words === '' ? '' : `: ${words}`}`;
  // The server chooses these words, and they end up on terminals.
  return printableLine(text, MAX_WORDS);
}

function field(value: unknown, name: string): unknown {
  return typeof value === 'object' && value !== null && name in value
    ? (value as Record<string, unknown>)[name]
    : undefined;
}
