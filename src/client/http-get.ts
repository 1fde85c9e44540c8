// One GET over HTTP or HTTPS, without following anything. node:http in place of fetch(): a process that makes five requests
// would spend more time on loading fetch() than on all of them.
import http, { type IncomingMessage } from 'node:http';
import https from 'node:https';
import type { Readable } from 'node:stream';
import zlib from 'node:zlib';
import { VERSION } from '../lib/version.ts';

export interface HttpAnswer {
  readonly status: number;
  /** Value of a header, by its name in lower case. */
  header(name: string): string | undefined;
  /** Decompressed. Fails when the other side breaks off. */
  readonly body: AsyncIterable<Uint8Array>;
  /** Gives the connection up, or what is left of the body; always, once. Never rejects. */
  discard(): Promise<void>;
}

const CONNECTIONS = { keepAlive: true };

/** Idle connections are given up before most servers do, and keep no process alive. */
const agents = {
  'http:': new http.Agent(CONNECTIONS),
  'https:': new https.Agent(CONNECTIONS),
};

const MAX_DRAINED_BYTES = 16 * 1024;
const DRAIN_MS = 1000;

const CODINGS = 'gzip, br, deflate';

/**
 * The answer, as soon as its headers are there.
 * @throws what node:http throws, and the reason of `signal`, also while the body is read.
 */
export async function httpGet(
  url: URL,
  signal: AbortSignal,
  headers: Readonly<Record<string, string>>,
): Promise<HttpAnswer> {
  for (;;) {
    try {
      return answerOf(await request(url, signal, headers));
    } catch (error) {
      // A kept connection that the other side closed at this moment: a new one is as good as the first.
      if (!(error instanceof StaleConnection)) throw error;
    }
  }
}

class StaleConnection extends Error {}

function request(
  url: URL,
  signal: AbortSignal,
  headers: Readonly<Record<string, string>>,
): Promise<IncomingMessage> {
  const secure = url.protocol === 'https:';
  return new Promise((resolve, reject) => {
    const sent = (secure ? https : http).get(url, {
      agent: secure ? agents['https:'] : agents['http:'],
      signal,
      headers: { 'user-agent': `countersign/${VERSION}`, 'accept-encoding': CODINGS, ...headers },
    });
    sent.once('response', resolve);
    sent.once('error', (error: NodeJS.ErrnoException) => {
      const stale = sent.reusedSocket && !signal.aborted && error.code === 'ECONNRESET';
      reject(stale ? new StaleConnection() : error);
    });
    // Also for what is no error to node:http, such as an answer that upgrades the connection.
    sent.once('close', () => {
      reject(new Error('the other side closed the connection'));
    });
  });
}

function answerOf(message: IncomingMessage): HttpAnswer {
  // Discarded on purpose: nobody waits for its error.
  message.on('error', () => undefined);
  const body = decoded(message);
  return {
    status: message.statusCode ?? 0,
    header: (name) => {
      const value = message.headers[name];
      return Array.isArray(value) ? value.join(', ') : value;
    },
    body,
    discard: async () => {
      if (body !== message) body.destroy();
      await drain(message);
    },
  };
}

/** What is left of a small answer (a 404) is read, so that the next request finds its connection free: for a moment only. */
async function drain(message: IncomingMessage): Promise<void> {
  if (message.readableEnded || message.destroyed) return;
  const length = Number(message.headers['content-length'] ?? Number.NaN);
  if (!message.complete && !(length <= MAX_DRAINED_BYTES)) {
    message.destroy();
    return;
  }
  const timer = setTimeout(() => message.destroy(), DRAIN_MS);
  await new Promise<void>((resolve) => {
    message.once('close', resolve).resume();
  });
  clearTimeout(timer);
}

/** RFC 9110 8.4.1. A coding that was not asked for is left as it is: no signature fits it. */
function decoded(message: IncomingMessage): Readable {
  const coding = message.headers['content-encoding']?.trim().toLowerCase();
  const decoder =
    coding === 'gzip' || coding === 'x-gzip'
      ? zlib.createGunzip()
      : coding === 'br'
        ? zlib.createBrotliDecompress()
        : coding === 'deflate'
          ? zlib.createInflate()
          : undefined;
  if (decoder === undefined) return message;
  // As pipeline() does it, which would destroy the connection at the end of the body.
  message.once('error', (error) => decoder.destroy(error));
  decoder.on('error', () => undefined);
  return message.pipe(decoder);
}
