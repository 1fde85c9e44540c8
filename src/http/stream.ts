// GET /v1/stream: the changes of each snapshot as it is published, as server-sent events. A reader that was cut off
// comes back with Last-Event-ID and misses nothing.
import { Readable } from 'node:stream';
import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox';
import type { FastifyInstance } from 'fastify';
import { Type } from 'typebox';
import { tryAgain } from './events.ts';
import { lifetimeOf, whenOver } from './lifetime.ts';
import { content, problems } from './openapi.ts';
import { requestInvalid } from './problem.ts';
import type { ServerDeps } from './server-deps.ts';
import type { Slots } from '../lib/slots.ts';
import { changesLine, checkStart, latestSnapshot, snapshotsAfter, VERSION_PATTERN } from './snapshot-feed.ts';

/** A comment this often keeps proxies from closing a quiet stream, and shows us a reader that is gone. */
const HEARTBEAT_MS = 15_000;

/** How often the ledger is asked, in case another process publishes. */
const POLL_MS = 1000;

export function streamRoute(app: FastifyInstance, deps: ServerDeps, streams: Slots): void {
  const { history, publisher, waiter, clock } = deps;

  async function* messages(after: number, signal: AbortSignal): AsyncGenerator<string> {
    let last = after;
    let spokenAt = clock.now();
    yield 'retry: 2000\n\n';
    const ended = (): boolean => signal.aborted;
    while (!ended()) {
      const pause = new AbortController();
      const stop = (): void => {
        pause.abort();
      };
      signal.addEventListener('abort', stop);
      // Registered before asking: a publication that finishes in between is not missed.
      const published = waiter.nextPublication(POLL_MS, pause.signal);
      try {
        for await (const changes of snapshotsAfter(history, last)) {
          if (ended()) return;
          last = changes.snapshot;
          spokenAt = clock.now();
          yield `id: ${last}\nevent: snapshot\ndata: ${changesLine(changes, publisher.status())}\n\n`;
        }
        if (Math.abs(clock.now() - spokenAt) >= HEARTBEAT_MS) {
          spokenAt = clock.now();
          yield ': nothing new\n\n';
        }
        await published;
      } finally {
        signal.removeEventListener('abort', stop);
        stop();
      }
    }
  }

  app.withTypeProvider<TypeBoxTypeProvider>().route({
    method: 'GET',
    url: '/v1/stream',
    config: { access: ['read'] },
    schema: {
      operationId: 'followChanges',
      summary: 'What each snapshot changes, as it is published',
      description:
        'Server-sent events: `id` is the snapshot version, `event` is `snapshot`, `data` a line of `/v1/changes`. Starts after `Last-Event-ID`, else after `after`, else with the next snapshot.',
      tags: ['catalogue'],
      headers: Type.Object({ 'last-event-id': Type.Optional(Type.String()) }),
      querystring: Type.Object(
        { after: Type.Optional(Type.String({ pattern: VERSION_PATTERN, description: 'Snapshot version' })) },
        { additionalProperties: false },
      ),
      response: {
        200: content('Never ends by itself', 'text/event-stream', Type.String()),
        ...problems(400, 401, 403, 410, 503),
      },
    },
    handler: async (request, reply) => {
      const given = request.headers['last-event-id'] ?? request.query.after;
      if (given !== undefined && !new RegExp(VERSION_PATTERN).test(given)) {
        throw requestInvalid('Last-Event-ID is not a snapshot version');
      }
      const after = given === undefined ? await latestSnapshot(history) : Number(given);
      await checkStart(history, after);
      const release = streams.take();
      if (release === undefined) throw tryAgain('busy', 'too many streams are open', deps);
      whenOver(reply.raw, release);
      const signal = lifetimeOf(reply.raw, deps.shutdownSignal);
      const body = Readable.from(messages(after, signal), { objectMode: true, highWaterMark: 1 });
      return reply.type('text/event-stream').header('cache-control', 'no-store').send(body);
    },
  });
}
