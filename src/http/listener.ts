// The socket side of the server: what a connection may cost before and between requests. Node's defaults leave a slow
// or endless client alone for minutes.
import { createServer, type RequestListener, type Server, type ServerOptions } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { Socket } from 'node:net';
import { inTurn } from '../lib/in-turn.ts';
import { rawProblem } from './problem.ts';
import type { ServerDeps } from './server-deps.ts';

/** Request line and headers together, bytes. Target paths have 1,024 at most. */
const MAX_HEADER_BYTES = 16 * 1024;

const MAX_HEADERS = 100;

/** A server with every limit set; it listens when Fastify says so. */
export function createListener(
  handler: RequestListener,
  { limits, tls }: Pick<ServerDeps, 'limits' | 'tls'>,
): Server {
  const options: ServerOptions = {
    maxHeaderSize: MAX_HEADER_BYTES,
    headersTimeout: limits.headersTimeoutMs,
    requestTimeout: limits.requestTimeoutMs,
    keepAliveTimeout: limits.keepAliveTimeoutMs,
    // Node looks for requests over their time this often.
    connectionsCheckingInterval: Math.max(50, Math.min(1000, limits.headersTimeoutMs / 4)),
    requireHostHeader: true,
    insecureHTTPParser: false,
  };
  const listener = inTurn(handler);
  const server =
    tls === undefined
      ? createServer(options, listener)
      : createTlsServer({ ...options, cert: tls.certificate, key: tls.key, minVersion: 'TLSv1.2' }, listener);
  server.maxHeadersCount = MAX_HEADERS;
  server.maxConnections = limits.connections;
  server.setTimeout(limits.idleTimeoutMs);
  return server;
}

/** Answers a connection whose bytes never became a request, and closes it. */
export function refuseConnection(error: { readonly code?: string }, socket: Socket, requestId: string): void {
  // Nobody is there to read, or an answer is already on its way.
  if (error.code === 'ECONNRESET' || !socket.writable || socket.bytesWritten > 0) socket.destroy();
  else socket.end(rawProblem(error.code, requestId));
}
