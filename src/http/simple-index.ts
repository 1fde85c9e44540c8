// GET /simple/NAME/: the page of a project that this service renders. It answers with the address of the page's target
// file, under a name that says its hash: the bytes are the signed ones, their links are relative to where they lie, and
// any cache may keep them for a year.
import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox';
import type { FastifyInstance } from 'fastify';
import { Type } from 'typebox';
import { TIMESTAMP_CACHING } from '../lib/caching.ts';
import { choosePageForm } from '../simple/page-form.ts';
import { htmlPagePath, jsonPagePath } from '../simple/page-path.ts';
import { normalizeProjectName } from '../simple/project-name.ts';
import { hashedTargetPath } from '../tuf/layout.ts';
import { problems } from './openapi.ts';
import { ProblemError } from './problem.ts';
import type { ServerDeps } from './server-deps.ts';

export function simpleIndexRoute(app: FastifyInstance, { catalogue }: ServerDeps): void {
  app.withTypeProvider<TypeBoxTypeProvider>().route({
    method: ['GET', 'HEAD'],
    url: '/simple/:project/',
    config: { access: 'public' },
    schema: {
      operationId: 'readProjectPage',
      summary: 'The page of a project',
      description:
        'A redirect to the signed page (PEP 503 HTML or PEP 691 JSON, as Accept says). Needs `simple-index: render`.',
      tags: ['repository'],
      params: Type.Object({ project: Type.String() }),
      response: {
        301: { description: 'The normalized name (PEP 503)', type: 'null' },
        307: { description: 'The page is at Location', type: 'null' },
        ...problems(404, 503),
      },
    },
    handler: async (request, reply) => {
      const { project } = request.params;
      const name = normalizeProjectName(project);
      if (name !== undefined && name !== project) return reply.redirect(`../${name}/`, 301);
      // PEP 691: a server may answer in a form that was not asked for, rather than 406.
      const form = choosePageForm(request.headers.accept)?.form ?? 'html';
      const path = name === undefined ? undefined : form === 'json' ? jsonPagePath(name) : htmlPagePath(name);
      const { target } = path === undefined ? {} : await catalogue.lookup(path);
      if (path === undefined || target === undefined) {
        throw new ProblemError('not-found', `the index has no project ${project.slice(0, 200)}`);
      }
      return reply
        .headers({ 'cache-control': TIMESTAMP_CACHING, vary: 'accept' })
        .redirect(`../../targets/${hashedTargetPath(path, target.hashes.sha256)}`, 307);
    },
  });
}
