// The HTTP edge of the proxy: a simple index for installers. All routes are here.
import { createServer, type RequestListener, type Server } from 'node:http';
import { Readable } from 'node:stream';
import Fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify';
import { CountersignError, messageOf } from '../lib/errors.ts';
import { inTurn } from '../lib/in-turn.ts';
import type { Logger } from '../lib/log.ts';
import { isCurrent, requestedRange } from '../lib/preconditions.ts';
import { VERSION } from '../lib/version.ts';
import { choosePageForm } from '../simple/page-form.ts';
import { normalizeProjectName } from '../simple/project-name.ts';
import { targetPathProblem } from '../tuf/target-path.ts';
import { PageAnswers } from './page-answers.ts';
import type { ProjectPages, VerifiedPage } from './project-pages.ts';
import type { ProxyMetrics } from './proxy-metrics.ts';
import { isPip, problemDocument, refusalOf, refusedPageType, type Refusal } from './refusal.ts';
import type { TargetAnswer, TargetAnswers } from './target-answers.ts';
import type { TrustedState } from './trusted-state.ts';
import type { UnverifiedAnswers } from './unverified-answers.ts';

/** Request line and headers together, bytes. */
const MAX_HEADER_BYTES = 16 * 1024;

/** A target path of 1,024 characters in percent-encoding. */
const MAX_PARAMETER_LENGTH = 4096;

/** Milliseconds. */
const HEADERS_TIMEOUT_MS = 10_000;
const IDLE_TIMEOUT_MS = 60_000;

const MAX_CONNECTIONS = 1000;

/** RFC 9110 9.1: "GET and HEAD" are supported by every server; balancers ask by HEAD whether one is well. */
const WITH_HEAD = { exposeHeadRoute: true };

export interface ProxyDeps {
  readonly state: TrustedState;
  readonly pages: ProjectPages;
  readonly targets: TargetAnswers;
  /** Present when verification is switched off for this run. */
  readonly unverified?: UnverifiedAnswers;
  readonly metrics: ProxyMetrics;
  readonly log: Logger;
}

/** The server, complete but not listening. */
export async function buildProxy(deps: ProxyDeps): Promise<FastifyInstance> {
  const app = Fastify({
    logger: false,
    bodyLimit: 1,
    exposeHeadRoutes: false,
    forceCloseConnections: true,
    routerOptions: { maxParamLength: MAX_PARAMETER_LENGTH },
    serverFactory: createListener,
    frameworkErrors: (error, request, reply) => {
      sendRefusal(deps, new CountersignError('request-invalid', messageOf(error)), request, reply);
    },
  });
  app.removeAllContentTypeParsers();
  app.addHook('onSend', (_request, reply, payload, done) => {
    void reply.header('x-content-type-options', 'nosniff').header('server', `countersign/${VERSION}`);
    done(null, payload);
  });
  app.addHook('onResponse', (request, reply, done) => {
    const route = request.routeOptions.url ?? 'none';
    const status = String(reply.statusCode);
    deps.metrics.requestSeconds.observe({ route, status }, reply.elapsedTime / 1000);
    done();
  });
  app.setErrorHandler((error, request, reply) => {
    sendRefusal(deps, error, request, reply);
  });
  app.setNotFoundHandler((request) => {
    throw new CountersignError('not-found', `there is no ${request.url.slice(0, 200)}, see /simple/`);
  });
  pageRoutes(app, deps);
  fileRoute(app, deps);
  stateRoutes(app, deps);
  await app.ready();
  return app;
}

function createListener(handler: RequestListener): Server {
  const options = {
    maxHeaderSize: MAX_HEADER_BYTES,
    headersTimeout: HEADERS_TIMEOUT_MS,
    requestTimeout: HEADERS_TIMEOUT_MS,
    keepAliveTimeout: IDLE_TIMEOUT_MS,
  };
  const server = createServer(options, inTurn(handler));
  server.maxConnections = MAX_CONNECTIONS;
  server.setTimeout(IDLE_TIMEOUT_MS);
  return server;
}

function pageRoutes(app: FastifyInstance, deps: ProxyDeps): void {
  const answers = new PageAnswers();

  const findPage = async (name: string): Promise<VerifiedPage | undefined> => {
    try {
      return await deps.pages.find(name);
    } catch (error) {
      if (deps.unverified === undefined) throw error;
      deps.log.warn({ project: name, refused: messageOf(error) }, 'UNVERIFIED page is passed on');
      deps.metrics.unverified.inc({ kind: 'page' });
      return deps.unverified.page(name);
    }
  };

  app.route<{ Params: { project: string } }>({
    method: ['GET', 'HEAD'],
    url: '/simple/:project/',
    handler: async (request, reply) => {
      const { project } = request.params;
      const name = normalizeProjectName(project);
      if (name === undefined) {
        throw new CountersignError('request-invalid', `${JSON.stringify(project)} is not a project name`);
      }
      // PEP 503: "redirect … to the normalized name".
      if (name !== project) return reply.redirect(`../${name}/`, 301);
      const chosen = choosePageForm(request.headers.accept);
      if (chosen === undefined) {
        throw new CountersignError('request-invalid', 'pages are HTML (PEP 503) or JSON (PEP 691)');
      }
      const page = await findPage(name);
      if (page === undefined) throw new CountersignError('not-found', `the index has no project ${name}`);
      const { bytes, tag } = answers.render(page, chosen.form);
      const etag = `"${tag}"`;
      void reply.headers({
        'cache-control': 'no-cache',
        vary: 'accept',
        etag,
        'content-type': chosen.mediaType,
      });
      if (isCurrent(request.headers['if-none-match'], etag)) return reply.code(304).send();
      return reply.send(bytes);
    },
  });
  app.get<{ Params: { project: string } }>('/simple/:project', WITH_HEAD, (request, reply) =>
    reply.redirect(`./${encodeURIComponent(request.params.project)}/`, 301),
  );
}

function fileRoute(app: FastifyInstance, deps: ProxyDeps): void {
  const find = async (path: string): Promise<TargetAnswer> => {
    if (deps.unverified === undefined) return deps.targets.find(path);
    try {
      const answer = await deps.targets.find(path);
      // Which content is passed on depends on whether the signed one can be had.
      const file = await answer.open();
      await file.close();
      return answer;
    } catch (error) {
      deps.log.warn({ path, refused: messageOf(error) }, 'UNVERIFIED file is passed on');
      deps.metrics.unverified.inc({ kind: 'file' });
      return deps.unverified.find(path);
    }
  };

  app.route<{ Params: { '*': string } }>({
    method: ['GET', 'HEAD'],
    url: '/files/*',
    handler: async (request, reply) => {
      const path = request.params['*'];
      const problem = targetPathProblem(path);
      if (problem !== undefined) throw new CountersignError('path-forbidden', `the path ${problem}`);
      return sendFile(deps, await find(path), request, reply);
    },
  });
}

async function sendFile(
  deps: ProxyDeps,
  answer: TargetAnswer,
  { method, headers, url }: FastifyRequest,
  reply: FastifyReply,
): Promise<FastifyReply> {
  const { length, tag } = answer;
  const etag = `"${tag}"`;
  // A target path may be given new content by a later snapshot.
  void reply.headers({ 'cache-control': 'no-cache', etag, 'accept-ranges': 'bytes' });
  const range = requestedRange(method, headers, etag, length);
  // RFC 9110 13.2.2: If-None-Match comes first. None of these reads the file, which may have gigabytes.
  if (isCurrent(headers['if-none-match'], etag)) return reply.code(304).send();
  if (range === 'unsatisfiable') {
    void reply.header('content-range', `bytes */${length}`);
    throw new CountersignError('range-unsatisfiable', `the file has ${length} bytes`);
  }
  if (method === 'HEAD') return reply.header('content-length', length).send();
  const file = await answer.open();
  const { start, end } = range ?? { start: 0, end: length - 1 };
  if (range !== undefined) void reply.code(206).header('content-range', `bytes ${start}-${end}/${length}`);
  void reply.type('application/octet-stream').header('content-length', end - start + 1);
  // When the file turns out to be a bad one, the stream fails and the connection is destroyed: the body stays short.
  const body = Readable.from(file.read(start, end), { objectMode: false });
  body.once('error', (error) => {
    // Before the first byte it is answered as every other refusal, and noted there.
    if (!(error instanceof CountersignError) || !reply.raw.headersSent) return;
    noteRefusal(deps, refusalOf(error), url, error);
  });
  body.once('close', () => {
    void file.close();
  });
  return reply.send(body);
}

function stateRoutes(app: FastifyInstance, { state, metrics }: ProxyDeps): void {
  app.get('/healthz', WITH_HEAD, async (_request, reply) => {
    const trusted = await state.refresh();
    return reply.header('cache-control', 'no-store').send({ status: 'ok', trusted });
  });
  app.get('/metrics', WITH_HEAD, async (_request, reply) => {
    const text = await metrics.registry.metrics();
    return reply.type(metrics.registry.contentType).header('cache-control', 'no-store').send(text);
  });
  app.get('/', WITH_HEAD, (_request, reply) =>
    reply
      .type('text/plain; charset=utf-8')
      .send(
        'countersign proxy: an index whose files are verified before they are passed on (PEP 458).\n' +
          'pip install --index-url URL/simple/ NAME\n',
      ),
  );
}

function noteRefusal(
  { metrics, log }: ProxyDeps,
  { code, reason }: Refusal,
  url: string,
  error: unknown,
): void {
  const path = url.slice(0, 200);
  metrics.refusals.inc({ code });
  if (code === 'internal') log.error({ path, error }, 'internal fault');
  else if (code === 'not-found') log.debug({ path, reason }, 'not found');
  else log.warn({ path, code, reason }, 'refused');
}

function sendRefusal(deps: ProxyDeps, error: unknown, request: FastifyRequest, reply: FastifyReply): void {
  const refusal = refusalOf(error);
  const { code, status, reason } = refusal;
  noteRefusal(deps, refusal, request.url, error);
  for (const name of ['content-length', 'content-type', 'etag', 'accept-ranges']) reply.removeHeader(name);
  if (code !== 'range-unsatisfiable') reply.removeHeader('content-range');
  void reply.header('cache-control', 'no-store');
  const isPage = request.routeOptions.url === '/simple/:project/';
  if (isPage && code !== 'not-found' && isPip(request.headers['user-agent'])) {
    void reply.code(200).header('content-type', refusedPageType(refusal)).send(`${reason}\n`);
    return;
  }
  reply.raw.statusMessage = reason;
  void reply
    .code(status)
    .header('content-type', 'application/problem+json')
    .send(Buffer.from(problemDocument(refusal)));
}
