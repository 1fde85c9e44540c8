// The HTTP edge: strict, bounded and boring. All routes are listed here; each has its file. Limits of connections are
// in listener.ts, who may call what in auth.ts, and how an error looks in problem.ts.
import Fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify';
import { CountersignError } from '../lib/errors.ts';
import { protectRoutes } from './auth.ts';
import { changesRoute } from './changes.ts';
import { eventStatusRoute } from './event-status.ts';
import { eventsRoute } from './events.ts';
import { createListener, refuseConnection } from './listener.ts';
import { metadataFilesRoute } from './metadata-files.ts';
import { describeRoutes, openapiRoute } from './openapi.ts';
import { PROBLEM_TYPE, ProblemError, problemOf } from './problem.ts';
import type { ServerDeps } from './server-deps.ts';
import { Slots } from '../lib/slots.ts';
import { simpleIndexRoute } from './simple-index.ts';
import { statusRoutes } from './status.ts';
import { streamRoute } from './stream.ts';
import { targetFilesRoute } from './target-files.ts';
import { targetsRoute } from './targets.ts';

/** Bodies of requests other than events, bytes: there are none. */
const OTHER_BODY_BYTES = 1024;

/** A target path of 1,024 characters, its hash, and room for percent-encoding. */
const MAX_PARAMETER_LENGTH = 4096;

/**
 * The HTTP server, complete but not listening: call `listen`, or `inject` in tests. `close` stops accepting, answers
 * what is in hand and waits for it, `shutdownGraceMs` at most; abort `shutdownSignal` first, so that waits and
 * streams end.
 */
export async function buildServer(deps: ServerDeps): Promise<FastifyInstance> {
  const app = Fastify({
    logger: false,
    genReqId: deps.newId,
    requestIdHeader: false,
    bodyLimit: OTHER_BODY_BYTES,
    exposeHeadRoutes: false,
    // Requests on open connections are still answered while closing, with "Connection: close".
    return503OnClosing: false,
    routerOptions: { maxParamLength: MAX_PARAMETER_LENGTH },
    serverFactory: (handler) => createListener(handler, deps),
    clientErrorHandler: (error, socket) => {
      refuseConnection(error, socket, deps.newId());
    },
    frameworkErrors: (error, request, reply) => {
      sendProblem(deps, error, request, reply);
    },
    ajv: { customOptions: { removeAdditional: false, coerceTypes: false, allErrors: false } },
  });

  // Response schemas document; they must not drop what they do not list.
  app.setSerializerCompiler(() => (data) => JSON.stringify(data));
  app.removeAllContentTypeParsers();
  for (const [mediaType, format] of [
    ['application/json', 'json'],
    ['application/x-ndjson', 'ndjson'],
  ] as const) {
    app.addContentTypeParser(mediaType, { parseAs: 'buffer' }, (_request, bytes, done) => {
      done(null, { format, bytes });
    });
  }

  app.setErrorHandler((error, request, reply) => {
    sendProblem(deps, error, request, reply);
  });
  app.setNotFoundHandler((request) => {
    throw new ProblemError('not-found', `there is no ${pathOf(request)}`);
  });
  app.addHook('onSend', (request, reply, payload, done) => {
    void reply.header('x-content-type-options', 'nosniff').header('x-request-id', request.id);
    if (deps.shutdownSignal.aborted) void reply.header('connection', 'close');
    done(null, payload);
  });
  app.addHook('onResponse', (request, reply, done) => {
    record(deps, request, reply);
    done();
  });
  app.addHook('preClose', (done) => {
    const closed = new AbortController();
    app.server.once('close', () => {
      closed.abort();
    });
    void deps.clock.sleep(deps.limits.shutdownGraceMs, closed.signal).then(() => {
      app.server.closeAllConnections();
    });
    done();
  });

  await describeRoutes(app, deps.version);
  protectRoutes(app, deps);
  const methods = collectMethods(app);
  const streams = new Slots(deps.limits.streams);
  eventsRoute(app, deps);
  eventStatusRoute(app, deps);
  targetsRoute(app, deps);
  changesRoute(app, deps, streams);
  streamRoute(app, deps, streams);
  statusRoutes(app, deps);
  openapiRoute(app);
  metadataFilesRoute(app, deps);
  targetFilesRoute(app, deps);
  if (deps.renderedPages) simpleIndexRoute(app, deps);
  refuseOtherMethods(app, methods);
  await app.ready();
  return app;
}

function sendProblem(deps: ServerDeps, error: unknown, request: FastifyRequest, reply: FastifyReply): void {
  const problem = problemOf(error, request.id);
  deps.metrics.errors.inc({ code: problem.code });
  if (problem.status >= 500) {
    const logged = error instanceof CountersignError && error.code !== 'internal' ? error.message : error;
    deps.log.error({ requestId: request.id, code: problem.code, error: logged }, 'request failed');
  }
  // What a route said about its own answer does not hold for this one.
  for (const name of ['cache-control', 'content-encoding', 'content-length', 'etag', 'preference-applied']) {
    reply.removeHeader(name);
  }
  void reply
    .code(problem.status)
    .headers(problem.headers)
    .header('cache-control', 'no-store')
    .header('content-type', PROBLEM_TYPE)
    // As bytes: Fastify adds a charset to text, which JSON types do not have (RFC 8259 section 11).
    .send(Buffer.from(problem.body));
}

/** One line and one observation a request: no body, no query, no token. */
function record(deps: ServerDeps, request: FastifyRequest, reply: FastifyReply): void {
  const route = request.routeOptions.url ?? 'none';
  const status = reply.statusCode;
  deps.metrics.requestSeconds.observe({ route, status: String(status) }, reply.elapsedTime / 1000);
  deps.log.info(
    {
      requestId: request.id,
      method: request.method,
      path: pathOf(request),
      status,
      durationMs: Math.round(reply.elapsedTime * 10) / 10,
      ...(request.identity === undefined ? {} : { caller: request.identity.name }),
      remote: request.ip,
    },
    'request',
  );
}

function pathOf(request: FastifyRequest): string {
  return (request.url.split('?', 1)[0] ?? '').slice(0, 200);
}

function collectMethods(app: FastifyInstance): Map<string, Set<string>> {
  const methods = new Map<string, Set<string>>();
  app.addHook('onRoute', ({ url, method }) => {
    const known = methods.get(url) ?? new Set();
    for (const name of [method].flat()) known.add(name);
    methods.set(url, known);
  });
  return methods;
}

/** 405 with Allow, before a body is read, for every method that a route does not answer. */
function refuseOtherMethods(app: FastifyInstance, methods: ReadonlyMap<string, ReadonlySet<string>>): void {
  for (const [url, known] of [...methods]) {
    const allow = [...known].join(', ');
    const others = app.supportedMethods.filter((method) => !known.has(method));
    app.route({
      method: others,
      url,
      config: { access: 'public' },
      schema: { hide: true },
      onRequest: (request) => {
        throw new ProblemError(
          'method-not-allowed',
          `${pathOf(request)} answers ${allow}, not ${request.method}`,
          {
            headers: { allow },
          },
        );
      },
      handler: () => undefined,
    });
  }
}
