// GET /v1/changes: what every snapshot after V changed, one JSON document a line, as fast as the reader reads.
import { Readable } from 'node:stream';
import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox';
import type { FastifyInstance } from 'fastify';
import { Type } from 'typebox';
import { tryAgain } from './events.ts';
import { lifetimeOf, whenOver } from './lifetime.ts';
import { content, problems } from './openapi.ts';
import type { ServerDeps } from './server-deps.ts';
import type { Slots } from '../lib/slots.ts';
import {
  changesLine,
  checkStart,
  snapshotsAfter,
  SnapshotChangesSchema,
  VERSION_PATTERN,
} from './snapshot-feed.ts';

export function changesRoute(app: FastifyInstance, deps: ServerDeps, streams: Slots): void {
  const { history, publisher } = deps;

  async function* lines(after: number, signal: AbortSignal): AsyncGenerator<string> {
    for await (const changes of snapshotsAfter(history, after)) {
      if (signal.aborted) return;
      yield `${changesLine(changes, publisher.status())}\n`;
    }
  }

  app.withTypeProvider<TypeBoxTypeProvider>().route({
    method: 'GET',
    url: '/v1/changes',
    config: { access: ['read'] },
    schema: {
      operationId: 'readChanges',
      summary: 'What each snapshot after a version changed',
      tags: ['catalogue'],
      querystring: Type.Object(
        {
          after: Type.Optional(
            Type.String({
              pattern: VERSION_PATTERN,
              description: 'Snapshot version; 0, the default, is the beginning',
            }),
          ),
        },
        { additionalProperties: false },
      ),
      response: {
        200: content('One line a snapshot, oldest first', 'application/x-ndjson', SnapshotChangesSchema),
        ...problems(400, 401, 403, 410, 503),
      },
    },
    handler: async (request, reply) => {
      const after = Number(request.query.after ?? '0');
      await checkStart(history, after);
      const release = streams.take();
      if (release === undefined) throw tryAgain('busy', 'too many streams are open', deps);
      whenOver(reply.raw, release);
      const signal = lifetimeOf(reply.raw, deps.shutdownSignal);
      const body = Readable.from(lines(after, signal), { objectMode: true, highWaterMark: 1 });
      return reply.type('application/x-ndjson').header('cache-control', 'no-store').send(body);
    },
  });
}
