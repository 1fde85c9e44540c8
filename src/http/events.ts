// POST /v1/events: the way in. Nothing is answered 202 that is not durable in the ledger.
import type { FastifyInstance } from 'fastify';
import { Type } from 'typebox';
import type { EventState, Receipt } from '../ledger/ledger.ts';
import { parseEventsBody, type EventsBody } from './event-body.ts';
import { EventLineSchema, EventsBodySchema, ReceiptsSchema } from './event-schema.ts';
import { lifetimeOf, whenOver } from './lifetime.ts';
import { content, problems } from './openapi.ts';
import { waitSeconds } from './prefer.ts';
import { ProblemError, requestInvalid } from './problem.ts';
import type { ServerDeps } from './server-deps.ts';
import { Slots } from '../lib/slots.ts';

/** How old a count of the backlog may be: it is a limit of memory and disk, not of correctness. */
const BACKLOG_AGE_MS = 100;

/** Bodies that are in memory at once, in units of the largest one. */
const BODIES_IN_HAND = 8;

export interface WireReceipt {
  readonly id: string;
  readonly position: number;
  readonly state: EventState['state'];
}

/** A receipt as every route shows it. */
export function wireReceipt({ id, position, state }: Receipt): WireReceipt {
  return { id, position, ...state };
}

export function eventsRoute(app: FastifyInstance, deps: ServerDeps): void {
  const { ledger, history, publisher, waiter, limits, clock, metrics } = deps;
  const waiting = new Slots(limits.waitingRequests);
  const bodyBytes = new Slots(BODIES_IN_HAND * limits.requestBytes);
  const backlog = { events: 0, countedAt: -Infinity };

  const refuseFullBacklog = async (): Promise<void> => {
    if (clock.now() - backlog.countedAt >= BACKLOG_AGE_MS || clock.now() < backlog.countedAt) {
      backlog.events = (await history.backlog()).events;
      backlog.countedAt = clock.now();
    }
    if (backlog.events < limits.backlogEvents) return;
    throw tryAgain(
      'backlog-full',
      `${backlog.events} events wait, the limit is ${limits.backlogEvents}`,
      deps,
    );
  };

  app.route<{ Body: EventsBody | undefined }>({
    method: 'POST',
    url: '/v1/events',
    bodyLimit: limits.requestBytes,
    config: { access: ['events'] },
    // Events are validated one by one by these same schemas (event-body.ts), so that every flaw can be named.
    validatorCompiler: () => () => true,
    schema: {
      operationId: 'sendEvents',
      summary: 'Send upload events',
      description:
        'All events of a request are accepted, or none is. `Prefer: wait=N` keeps the request until every event is published or rejected, N seconds at most: then the answer is 200.',
      tags: ['events'],
      headers: Type.Object({
        prefer: Type.Optional(Type.String({ description: '`wait=N`, seconds (RFC 7240), 50 at most' })),
      }),
      body: {
        content: {
          'application/json': { schema: EventsBodySchema },
          'application/x-ndjson': { schema: EventLineSchema },
        },
      },
      response: {
        200: content('Every event is published or rejected', 'application/json', ReceiptsSchema),
        202: content('Every event is durable; its state is read later', 'application/json', ReceiptsSchema),
        ...problems(400, 401, 403, 409, 413, 415, 503),
      },
    },
    onRequest: (request, reply, done) => {
      const coding = request.headers['content-encoding'] ?? 'identity';
      if (coding !== 'identity') {
        throw new ProblemError(
          'unsupported-media-type',
          `content coding "${coding.slice(0, 40)}" is not read here`,
          {
            headers: { 'accept-encoding': 'identity' },
          },
        );
      }
      // Too large is answered as such by the body parser; a body of unknown length counts as the largest.
      const announced = Number(request.headers['content-length'] ?? limits.requestBytes);
      const release = bodyBytes.take(Math.min(announced, limits.requestBytes));
      if (release === undefined) throw tryAgain('busy', 'other requests fill the memory for bodies', deps);
      whenOver(reply.raw, release);
      done();
    },
    handler: async (request, reply) => {
      if (request.body === undefined) {
        if (request.headers['content-type'] !== undefined) throw requestInvalid('the body is empty');
        throw new ProblemError('unsupported-media-type', 'the request has neither a body nor a Content-Type');
      }
      const events = parseEventsBody(request.body, deps.newId);
      await refuseFullBacklog();
      const receipts = await ledger.append(events, clock.now());
      publisher.wake();
      metrics.eventsAccepted.inc(receipts.length);
      backlog.events += receipts.length;

      const seconds = waitSeconds(request.headers['prefer']);
      const release = seconds === undefined || seconds === 0 ? undefined : waiting.take();
      if (seconds === undefined || release === undefined) {
        return reply.code(202).send({ events: receipts.map(wireReceipt) });
      }
      let settled = receipts;
      try {
        const signal = lifetimeOf(reply.raw, deps.shutdownSignal);
        const states = await waiter.wait([...new Set(receipts.map(({ id }) => id))], seconds * 1000, signal);
        settled = receipts.map((receipt) => ({ ...receipt, state: states.get(receipt.id) ?? receipt.state }));
      } finally {
        release();
      }
      const done = settled.every(({ state }) => state.state !== 'accepted');
      if (done) reply.header('preference-applied', `wait=${seconds}`);
      return reply.code(done ? 200 : 202).send({ events: settled.map(wireReceipt) });
    },
  });
}

/** 503 with a Retry-After of one to five seconds, different for each caller so that they do not return together. */
export function tryAgain(
  code: 'backlog-full' | 'busy',
  message: string,
  deps: Pick<ServerDeps, 'random'>,
): ProblemError {
  return new ProblemError(code, message, {
    headers: { 'retry-after': String(1 + Math.floor(deps.random() * 5)) },
  });
}
