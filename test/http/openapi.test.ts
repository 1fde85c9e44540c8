// The published contract: complete, and true of what the service answers.
import { Compile } from 'typebox/schema';
import { expect, test } from 'vitest';
import { send, startService, wireEvent, type TestService } from './service.ts';

interface Operation {
  readonly operationId: string;
  readonly summary: string;
  readonly security: readonly object[];
  readonly requestBody?: { readonly content: Record<string, { schema: object; example: unknown }> };
  readonly responses: Record<string, { description: string; content?: Record<string, { schema: object }> }>;
}

interface Document {
  readonly openapi: string;
  readonly paths: Record<string, Record<string, Operation>>;
  readonly components: { readonly schemas: Record<string, object> };
}

async function read(service: TestService): Promise<Document> {
  return (await service.app.inject({ url: '/openapi.json' })).json<Document>();
}

test('every route is described, with every body and the problems it can answer', async () => {
  const document = await read(await startService());
  expect(document.openapi).toBe('3.1.0');
  const routes = Object.entries(document.paths).flatMap(([path, item]) =>
    Object.keys(item).map((method) => `${method.toUpperCase()} ${path}`),
  );
  expect(routes.sort()).toEqual([
    'GET /healthz',
    'GET /metadata/{path}',
    'GET /metrics',
    'GET /openapi.json',
    'GET /readyz',
    'GET /targets/{path}',
    'GET /v1/changes',
    'GET /v1/events/{id}',
    'GET /v1/status',
    'GET /v1/stream',
    'GET /v1/targets/{path}',
    'HEAD /healthz',
    'HEAD /metadata/{path}',
    'HEAD /openapi.json',
    'HEAD /readyz',
    'HEAD /targets/{path}',
    'POST /v1/events',
  ]);
  expect(Object.keys(document.components.schemas)).toEqual(['Problem']);
  for (const [path, item] of Object.entries(document.paths)) {
    for (const operation of Object.values(item)) {
      expect(operation.summary).not.toBe('');
      const secured = path.startsWith('/v1/') || path === '/metrics';
      expect([path, operation.security.length > 0]).toEqual([path, secured]);
      for (const [status, { description, content }] of Object.entries(operation.responses)) {
        expect(description).not.toBe('Default Response');
        if (Number(status) < 400) continue;
        expect(content).toEqual({
          'application/problem+json': { schema: { $ref: '#/components/schemas/Problem' } },
        });
      }
    }
  }
  const post = document.paths['/v1/events']!['post']!;
  expect(Object.keys(post.requestBody!.content)).toEqual(['application/json', 'application/x-ndjson']);
  expect(Object.keys(post.responses)).toEqual(
    expect.arrayContaining(['200', '202', '400', '401', '403', '409', '413', '415', '503']),
  );
});

test('operation ids are unique', async () => {
  const document = await read(await startService());
  const ids = Object.values(document.paths).flatMap((item) =>
    Object.entries(item)
      .filter(([method]) => method !== 'head')
      .map(([, { operationId }]) => operationId),
  );
  expect(new Set(ids).size).toBe(ids.length);
});

test('what the service answers fits its own description', async () => {
  const service = await startService();
  const document = await read(service);
  const fits = (path: string, method: string, status: number, type: string, value: unknown): void => {
    const { schema } = document.paths[path]![method]!.responses[String(status)]!.content![type]!;
    const check = Compile('$ref' in schema ? document.components.schemas['Problem']! : schema);
    expect([path, status, check.Errors(value)]).toEqual([path, status, [true, []]]);
  };
  const problem = 'application/problem+json';
  const accepted = await send(service, { events: [wireEvent('a')] });
  fits('/v1/events', 'post', 202, 'application/json', accepted.json());
  fits('/v1/events', 'post', 400, problem, (await send(service, { events: [{}] })).json());
  await service.publish();
  const get = async (url: string): Promise<unknown> => (await service.app.inject({ url })).json();
  fits('/v1/events/{id}', 'get', 200, 'application/json', await get('/v1/events/a'));
  fits('/v1/events/{id}', 'get', 404, problem, await get('/v1/events/z'));
  fits('/v1/targets/{path}', 'get', 200, 'application/json', await get('/v1/targets/packages/a.whl'));
  fits('/v1/targets/{path}', 'get', 404, problem, await get('/v1/targets/absent'));
  fits('/v1/status', 'get', 200, 'application/json', await get('/v1/status'));
  fits('/v1/changes', 'get', 200, 'application/x-ndjson', await get('/v1/changes?after=1'));
  fits('/readyz', 'get', 503, problem, await get('/readyz'));
});

test('the examples of the request are accepted as they stand', async () => {
  const service = await startService();
  const { content } = (await read(service)).paths['/v1/events']!['post']!.requestBody!;
  for (const [type, { example }] of Object.entries(content)) {
    expect((await send(service, example, { 'content-type': type })).statusCode).toBe(202);
  }
});
