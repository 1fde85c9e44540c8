// What Vault's refusals mean, in words for the operator. Errors of the HTTP client hold the request, with the token
// and what was to be signed: nothing of them is passed on but their code.
import { CountersignError } from '../../lib/errors.ts';
import { printableLine } from '../../lib/printable.ts';

/** Characters of what the server says that are passed on. */
const MAX_WORDS = 300;

export interface VaultAnswer {
  readonly status: number;
  /** What the server says, printable. */
  readonly said: string;
}

/** The server's answer in an error of node-vault; undefined when there was none. */
export function answerOf(error: unknown): VaultAnswer | undefined {
  const response = field(error, 'response');
  const status = field(response, 'statusCode');
  if (typeof status !== 'number') return undefined;
  const errors = field(field(response, 'body'), 'errors');
  const first: unknown = Array.isArray(errors) ? errors[0] : undefined;
  return { status, said: printableLine(typeof first === 'string' ? first : '', MAX_WORDS) };
}

/**
 * `signer-unavailable` that names the server, what was asked of it, and why it did not do it.
 * @param secrets Cut out of what the server says, should it repeat them.
 */
export function vaultUnavailable(
  address: string,
  request: string,
  error: unknown,
  secrets: readonly string[] = [],
): CountersignError {
  if (error instanceof CountersignError) return error;
  const answer = answerOf(error);
  let reason = answer === undefined ? connectionFailure(error) : refusal(answer, request);
  for (const secret of secrets) if (secret !== '') reason = reason.replaceAll(secret, '[secret]');
  return new CountersignError('signer-unavailable', `vault ${address}: ${request}: ${reason}`, {
    details: { address, ...(answer === undefined ? {} : { status: answer.status }) },
  });
}

function refusal({ status, said }: VaultAnswer, request: string): string {
  const words = said === '' ? '' : ` (${said})`;
  if (status === 503) return /sealed/i.test(said) ? 'it is sealed: unseal it' : `it is not available${words}`;
  if (status === 429) return `429, too many requests or a standby node${words}`;
  if (status === 472 || status === 473) return `${status}, a standby node that does not pass requests on`;
  if (status === 403)
    return `403, permission denied: the token is not valid, or its policy does not allow ${request}`;
  if (status === 404) return `404, there is no such key, path or mount${words}`;
  if (status === 413) return '413, the request is larger than a proxy or the server allows';
  if (/not active|standby/i.test(said)) return `a standby node without an active one${words}`;
  return `HTTP ${status}${words}`;
}

const CONNECTION: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'nothing listens there (ECONNREFUSED)',
  ETIMEDOUT: 'no answer in time (timeout)',
  ENOTFOUND: 'its name is not known (ENOTFOUND)',
  ECONNRESET: 'it cut the connection (ECONNRESET)',
  ERR_ANSWER_TOO_LARGE: 'its answer has no end',
  ERR_TOO_MANY_REDIRECTS: 'it sends from one address to the next',
  REDIRECT_TO_PLAIN_HTTP: 'it sends to an address without TLS, where the token would go in the clear',
};

function connectionFailure(error: unknown): string {
  const code = field(error, 'code');
  if (typeof code !== 'string') return 'no answer that can be read';
  return CONNECTION[code] ?? `no connection (${printableLine(code, MAX_WORDS)})`;
}

/** A property of anything, where it has one. */
export function field(value: unknown, name: string): unknown {
  return typeof value === 'object' && value !== null && Object.hasOwn(value, name)
    ? (value as Record<string, unknown>)[name]
    : undefined;
}
