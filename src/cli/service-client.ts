// Commands that talk to a running service: one HTTP client with the service's own errors, bounded retries, and no
// secret in any message.
import type { Config } from '../config.ts';
import { isLoopbackHost } from '../config/backends.ts';
import { CountersignError, ERRORS, messageOf, type ErrorCode } from '../lib/errors.ts';
import { readSecretFile, TOKEN_VARIABLE, type Secrets } from '../secrets.ts';
import type { Session } from './session.ts';

/** A request that waits for a snapshot is answered within this; anything slower is a broken connection. */
const REQUEST_TIMEOUT_MS = 90_000;

/** The longest that one Retry-After is obeyed. */
const MAX_RETRY_MS = 60_000;

/** First pause after a broken connection; it doubles with each attempt. */
const FIRST_PAUSE_MS = 500;
const MAX_BROKEN_CONNECTIONS = 5;

export interface ServiceRequest {
  readonly method: 'GET' | 'POST';
  /** From the root: `/v1/status`. */
  readonly path: string;
  readonly body?: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** Milliseconds since the epoch after which a busy service is given up; absent: at once. */
  readonly retryUntil?: number;
}

export interface ServiceReply {
  readonly status: number;
  readonly body: unknown;
}

export class ServiceClient {
  readonly url: string;
  readonly #token: string | undefined;
  readonly #session: Session;
  /** Until the service has answered once, a refused connection means that it is not there. */
  #answered = false;

  constructor(session: Session, url: string, token: string | undefined) {
    this.#session = session;
    this.url = url;
    this.#token = token;
  }

  /**
   * Sends a request; one that says `retryUntil` is repeated while the service is busy, so it must be idempotent.
   * @throws CountersignError the service's own code, or `service-unavailable` when it does not answer.
   */
  async request(request: ServiceRequest): Promise<ServiceReply> {
    const { clock } = this.#session.context;
    let broken = 0;
    for (;;) {
      let response: Response;
      let text: string;
      try {
        response = await fetch(this.url + request.path.slice(1), this.#init(request));
        text = await response.text();
      } catch (error) {
        broken += 1;
        const pause = FIRST_PAUSE_MS * 2 ** (broken - 1);
        const again = this.#answered && broken < MAX_BROKEN_CONNECTIONS;
        if (!again || clock.now() + pause > (request.retryUntil ?? 0)) throw this.#unavailable(error);
        await clock.sleep(pause);
        continue;
      }
      this.#answered = true;
      if (response.ok) return { status: response.status, body: this.#json(response, text) };
      const retryAfter = this.#retryAfterMs(response);
      if (retryAfter === undefined || clock.now() + retryAfter > (request.retryUntil ?? 0)) {
        throw this.#refusal(response, text);
      }
      await clock.sleep(retryAfter);
    }
  }

  #init(request: ServiceRequest): RequestInit {
    return {
      method: request.method,
      headers: {
        accept: 'application/json',
        ...request.headers,
        ...(this.#token === undefined ? {} : { authorization: `Bearer ${this.#token}` }),
      },
      ...(request.body === undefined ? {} : { body: request.body }),
      // A redirect would hand the events to somebody else.
      redirect: 'error',
      signal: AbortSignal.timeout(REQUEST_TIMEOUT_MS),
    };
  }

  /** Milliseconds to wait, when the answer is "busy, come again"; jittered, so that many callers spread. */
  #retryAfterMs(response: Response): number | undefined {
    const seconds = response.headers.get('retry-after');
    if (response.status !== 503 || seconds === null || !/^\d{1,6}$/.test(seconds)) return undefined;
    const jitter = 1 + this.#session.context.random() / 4;
    return Math.min(Number(seconds) * 1000, MAX_RETRY_MS) * jitter;
  }

  #json(response: Response, text: string): unknown {
    try {
      return JSON.parse(text);
    } catch (error) {
      throw new CountersignError(
        'service-unavailable',
        `${this.url} answered ${response.status} without JSON; it is not a countersign service`,
        { cause: error },
      );
    }
  }

  #refusal(response: Response, text: string): CountersignError {
    let problem: Readonly<Record<string, unknown>> = {};
    try {
      problem = Object(JSON.parse(text)) as Record<string, unknown>;
    } catch {
      // Not a problem document: a proxy answered, and its status is all there is to say.
    }
    const { code, detail, title } = problem;
    const said = typeof detail === 'string' ? detail : typeof title === 'string' ? title : undefined;
    if (typeof code === 'string' && Object.hasOwn(ERRORS, code)) {
      return new CountersignError(code as ErrorCode, said ?? `the service answered ${response.status}`);
    }
    return new CountersignError(
      'service-unavailable',
      `${this.url} answered ${response.status} ${said ?? ''}`.trimEnd(),
    );
  }

  #unavailable(error: unknown): CountersignError {
    const cause = error instanceof Error && error.cause !== undefined ? error.cause : error;
    const reason = (cause as { code?: string }).code ?? messageOf(cause);
    return new CountersignError('service-unavailable', `no answer from ${this.url} (${reason})`, {
      cause: error,
    });
  }
}

export interface ServiceOptions {
  readonly url?: string;
  readonly tokenFile?: string;
}

/**
 * The client for `--url` and `--token-file`, or for the configuration and the environment.
 * @throws CountersignError `usage`, `config-invalid`, `secret-unreadable`.
 */
export async function openServiceClient(session: Session, options: ServiceOptions): Promise<ServiceClient> {
  const { config, secrets } = await session.load();
  const url = options.url === undefined ? urlOf(config) : checkedUrl(options.url);
  const token = await tokenOf(options.tokenFile, secrets);
  const { protocol, hostname } = new URL(url);
  if (token !== undefined && protocol === 'http:' && !isLoopbackHost(hostname.replace(/^\[|\]$/g, ''))) {
    session.note(`countersign: warning: the token travels to ${url} without encryption`);
  }
  return new ServiceClient(session, url, token);
}

async function tokenOf(file: string | undefined, secrets: Secrets): Promise<string | undefined> {
  const text = file === undefined ? secrets.token : await readSecretFile(file, 'token file');
  const token = text?.trim();
  // fetch() refuses a header with anything else, and its message repeats the header.
  if (token === undefined || /^[\x21-\x7e]+$/.test(token)) return token;
  const place = file === undefined ? TOKEN_VARIABLE : `token file ${file}`;
  throw new CountersignError(
    'secret-unreadable',
    `${place} holds ${holding(token)}, expected one token and nothing else`,
  );
}

/** What is wrong with a token, without a character of it. */
function holding(token: string): string {
  const lines = token.split(/\r\n|\r|\n/).length;
  if (token === '') return 'nothing but blanks';
  return lines > 1 ? `${lines} lines` : 'a blank or a character that is not ASCII';
}

/** Where a service with this configuration is reached from this computer. */
export function urlOf({ listen, tls }: Config): string {
  if (listen.port === 0) {
    throw new CountersignError(
      'usage',
      'listen has port 0, so the address of the service is not known; give --url',
    );
  }
  const host = listen.host === '0.0.0.0' ? '127.0.0.1' : listen.host === '::' ? '::1' : listen.host;
  return `${tls === undefined ? 'http' : 'https'}://${host.includes(':') ? `[${host}]` : host}:${listen.port}/`;
}

function checkedUrl(text: string): string {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined || !/^https?:$/.test(url.protocol) || url.search !== '' || url.hash !== '') {
    throw new CountersignError(
      'usage',
      `--url is ${JSON.stringify(text)}, expected an address such as http://127.0.0.1:8458`,
    );
  }
  if (url.username !== '' || url.password !== '') {
    throw new CountersignError(
      'usage',
      '--url has a user or password in it; use --token-file or COUNTERSIGN_TOKEN',
    );
  }
  return url.href.endsWith('/') ? url.href : `${url.href}/`;
}
