// GET /openapi.json: the contract, made from the schemas that the routes themselves carry.
import swagger from '@fastify/swagger';
import type { FastifyInstance } from 'fastify';
import { Type, type TObject, type TSchema } from 'typebox';
import { PROBLEM_TYPE, ProblemSchema } from './problem.ts';

interface ResponseSchema {
  readonly description: string;
  readonly headers?: Readonly<Record<string, object>>;
  readonly content: Readonly<Record<string, { readonly schema: TSchema }>>;
}

/** A response with one media type. */
export function content(description: string, mediaType: string, schema: TSchema): ResponseSchema {
  return { description, content: { [mediaType]: { schema } } };
}

const PROBLEM_DESCRIPTIONS = {
  400: 'The request is malformed',
  401: 'No valid bearer token',
  403: 'The token lacks the scope',
  404: 'There is nothing under this name',
  409: 'The event id is known with other content',
  410: 'The changes after this version are no longer kept',
  413: 'The body is too large',
  415: 'The body has another media type',
  416: 'The range lies outside the file',
  502: 'The configured file is not the one that metadata describes',
  503: 'Not now; Retry-After says when, if known',
} as const;

/** The problem responses of a route; every route can also answer 500. */
export function problems(...statuses: (keyof typeof PROBLEM_DESCRIPTIONS)[]): Record<number, ResponseSchema> {
  const schema = Type.Ref('Problem#');
  const one = (description: string): ResponseSchema => content(description, PROBLEM_TYPE, schema);
  return {
    ...Object.fromEntries(statuses.map((status) => [status, one(PROBLEM_DESCRIPTIONS[status])])),
    500: one('A fault inside countersign'),
  };
}

/** Must be called before the routes are added. */
export async function describeRoutes(app: FastifyInstance, version: string): Promise<void> {
  app.addSchema(ProblemSchema);
  await app.register(swagger, {
    openapi: {
      openapi: '3.1.0',
      info: {
        title: 'countersign',
        version,
        description: 'The signing service of a package index (PEP 458).',
        license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
      },
      tags: [
        { name: 'events', description: 'What the index tells countersign' },
        { name: 'catalogue', description: 'What is published' },
        { name: 'service', description: 'How the service does' },
        { name: 'repository', description: 'The repository as TUF clients read it' },
      ],
      components: {
        securitySchemes: {
          token: { type: 'http', scheme: 'bearer', description: 'A token of the configured tokens file' },
        },
      },
    },
    refResolver: {
      buildLocalReference: (schema, _base, _fragment, index) =>
        typeof schema['$id'] === 'string' ? schema['$id'] : `Schema${index}`,
    },
    transform: ({ schema, url, route }) => {
      if (schema.hide === true) return { schema, url };
      const access = route.config?.access;
      const security =
        access === undefined || access === 'public' ? [] : access.map((scope) => ({ token: [scope] }));
      if (!url.endsWith('*')) return { schema: { ...schema, security }, url };
      // OpenAPI has names for parameters, no wildcards.
      const rest = (schema.params as TObject).properties['*'] ?? Type.String();
      const params = Type.Object({ path: rest });
      return { schema: { ...schema, security, params }, url: url.replace('*', ':path') };
    },
  });
}

export function openapiRoute(app: FastifyInstance): void {
  app.route({
    method: ['GET', 'HEAD'],
    url: '/openapi.json',
    config: { access: 'public' },
    schema: {
      operationId: 'describe',
      summary: 'This document',
      tags: ['service'],
      response: { 200: content('OpenAPI 3.1', 'application/json', Type.Object({})) },
    },
    handler: () => app.swagger(),
  });
}
