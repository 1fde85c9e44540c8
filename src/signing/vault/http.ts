// One HTTP request to a Vault server with its answer, as node-vault wants it done (its option `request-promise`). That
// library's own way asks the proxy that the environment names, to which a token for this computer's agent would go in
// the clear, and limits neither the time nor the size of an answer: a signature that never comes to its end would keep
// the publisher waiting, and in office.
import { Agent as HttpAgent, request as httpRequest, type IncomingMessage } from 'node:http';
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https';
import { wholeBody } from '../../lib/whole-body.ts';

/** Bytes of an answer: 128 signatures have some 20 KB, a key with a thousand versions some 200. */
const MAX_ANSWER_BYTES = 8 * 1024 * 1024;

/** A standby node sends to the active one. */
const MAX_REDIRECTS = 5;

export interface HttpSettings {
  /** PEM certificates in place of the system's. */
  readonly ca?: string;
  /** Milliseconds for a request with its answer and all redirects. */
  readonly requestMs: number;
}

/** What node-vault hands over; more of it is not used. */
export interface HttpRequest {
  readonly method: string;
  readonly uri: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** The body; `true` when there is none. */
  readonly json?: unknown;
}

export interface HttpAnswer {
  readonly statusCode: number;
  /** Parsed JSON, or text. */
  readonly body: unknown;
  readonly request: { readonly path: string };
}

export class VaultHttp {
  readonly #http = new HttpAgent({ keepAlive: true });
  readonly #https: HttpsAgent;
  readonly #requestMs: number;

  constructor({ ca, requestMs }: HttpSettings) {
    const authorities = ca === undefined ? {} : { ca };
    this.#https = new HttpsAgent({ keepAlive: true, rejectUnauthorized: true, ...authorities });
    this.#requestMs = requestMs;
  }

  /** @throws Error with a `code`, the system's or one that ./failures.ts knows. */
  async send({ method, uri, headers = {}, json }: HttpRequest): Promise<HttpAnswer> {
    const signal = AbortSignal.timeout(this.#requestMs);
    const body = typeof json === 'object' && json !== null ? JSON.stringify(json) : undefined;
    try {
      let url = new URL(uri);
      for (let redirects = 0; ; redirects++) {
        const answer = await this.#ask(method, url, headers, body, signal);
        const text = await textOf(answer);
        const next = redirectOf(method, url, answer);
        if (next === undefined) {
          return { statusCode: answer.statusCode ?? 0, body: parsed(text), request: { path: url.pathname } };
        }
        if (redirects === MAX_REDIRECTS) throw failure('ERR_TOO_MANY_REDIRECTS');
        url = next;
      }
    } catch (error) {
      if (signal.aborted) throw failure('ETIMEDOUT');
      throw error;
    }
  }

  close(): void {
    this.#http.destroy();
    this.#https.destroy();
  }

  #ask(
    method: string,
    url: URL,
    given: Readonly<Record<string, string>>,
    body: string | undefined,
    signal: AbortSignal,
  ): Promise<IncomingMessage> {
    const content =
      body === undefined
        ? {}
        : { 'content-type': 'application/json', 'content-length': String(Buffer.byteLength(body)) };
    const headers = { accept: 'application/json', ...given, ...content };
    return new Promise((resolve, reject) => {
      const request =
        url.protocol === 'https:'
          ? httpsRequest(url, { method, headers, signal, agent: this.#https }, resolve)
          : httpRequest(url, { method, headers, signal, agent: this.#http }, resolve);
      request.on('error', reject);
      request.end(body);
    });
  }
}

/** Too much of it ends the connection. */
async function textOf(answer: AsyncIterable<Uint8Array>): Promise<string> {
  return (await wholeBody(answer, MAX_ANSWER_BYTES, () => failure('ERR_ANSWER_TOO_LARGE'))).toString('utf8');
}

/** Where the server sends to, if it does. The token goes along: never out of TLS, and never in the clear to elsewhere. */
function redirectOf(method: string, from: URL, { statusCode, headers }: IncomingMessage): URL | undefined {
  const moved = statusCode === 307 || statusCode === 308 || (method === 'GET' && statusCode === 301);
  if (!moved && !(method === 'GET' && statusCode === 302)) return undefined;
  const { location } = headers;
  if (location === undefined || !URL.canParse(location, from.href)) return undefined;
  const to = new URL(location, from);
  if (to.protocol === 'https:' || (to.protocol === 'http:' && to.origin === from.origin)) return to;
  throw failure('REDIRECT_TO_PLAIN_HTTP');
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

function failure(code: string): Error {
  return Object.assign(new Error(code), { code });
}
