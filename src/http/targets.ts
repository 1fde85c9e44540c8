// GET /v1/targets/{path}: what the current snapshot says about a target path.
import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox';
import type { FastifyInstance } from 'fastify';
import { Type } from 'typebox';
import { checkTargetPath } from '../tuf/target-path.ts';
import { TargetSchema } from './event-schema.ts';
import { content, problems } from './openapi.ts';
import { ProblemError } from './problem.ts';
import type { ServerDeps } from './server-deps.ts';

const LookupSchema = Type.Object({
  path: Type.String(),
  snapshot: Type.Object({ version: Type.Integer(), expires: Type.String() }),
  bin: Type.Object({
    name: Type.String(),
    version: Type.Integer(),
    expires: Type.String(),
    signatures: Type.Array(Type.Object({ keyid: Type.String(), sig: Type.String() })),
  }),
  target: TargetSchema,
});

export function targetsRoute(app: FastifyInstance, { catalogue }: ServerDeps): void {
  app.withTypeProvider<TypeBoxTypeProvider>().route({
    method: 'GET',
    url: '/v1/targets/*',
    config: { access: ['read'] },
    schema: {
      operationId: 'readTarget',
      summary: 'What the current snapshot says about a target path',
      description: 'With the bin that lists it, its version and its signatures.',
      tags: ['catalogue'],
      params: Type.Object({ '*': Type.String({ description: 'Target path' }) }),
      response: {
        200: content('The path is published', 'application/json', LookupSchema),
        ...problems(400, 401, 403, 404, 503),
      },
    },
    handler: async (request) => {
      const path = request.params['*'];
      checkTargetPath(path);
      const { snapshot, bin, target } = await catalogue.lookup(path);
      if (target === undefined) {
        throw new ProblemError('target-absent', `snapshot ${snapshot.version} does not list "${path}"`, {
          members: { snapshot, bin },
        });
      }
      return { path, snapshot, bin, target };
    },
  });
}
