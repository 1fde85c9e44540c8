// GET /v1/events/{id}: what became of an event.
import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox';
import type { FastifyInstance } from 'fastify';
import { Type } from 'typebox';
import { EVENT_ID_PATTERN, ReceiptSchema } from './event-schema.ts';
import { wireReceipt } from './events.ts';
import { content, problems } from './openapi.ts';
import { ProblemError } from './problem.ts';
import type { ServerDeps } from './server-deps.ts';

export function eventStatusRoute(app: FastifyInstance, { history }: ServerDeps): void {
  app.withTypeProvider<TypeBoxTypeProvider>().route({
    method: 'GET',
    url: '/v1/events/:id',
    config: { access: ['read', 'events'] },
    schema: {
      operationId: 'readEvent',
      summary: 'State of an event',
      tags: ['events'],
      params: Type.Object({ id: Type.String({ pattern: EVENT_ID_PATTERN }) }),
      response: {
        200: content('The event is known', 'application/json', ReceiptSchema),
        ...problems(400, 401, 403, 404, 503),
      },
    },
    handler: async (request) => {
      const { id } = request.params;
      const receipt = (await history.events([id])).get(id);
      if (receipt === undefined) throw new ProblemError('event-unknown', `no event "${id}" is known`);
      return wireReceipt(receipt);
    },
  });
}
