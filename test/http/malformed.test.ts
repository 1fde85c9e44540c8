// Hostile bodies: whatever arrives, the answer is a problem document of the caller's kind, nothing is accepted and
// nothing stays behind in memory.
import { once } from 'node:events';
import { request, type IncomingMessage } from 'node:http';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { send, SHA, startService, wireEvent } from './service.ts';

const json = { 'content-type': 'application/json' };
const ndjson = { 'content-type': 'application/x-ndjson' };
const one = (parts: Record<string, unknown>): string => JSON.stringify({ events: [wireEvent('a', parts)] });

const MALFORMED: readonly (readonly [string, string | Buffer, Record<string, string>])[] = [
  ['nothing', '', json],
  ['not JSON', '{"events":', json],
  ['a scalar', '7', json],
  ['null', 'null', json],
  ['an array', '[]', json],
  ['no events', '{"events":[]}', json],
  ['events that are no array', '{"events":{"length":1}}', json],
  ['an event that is null', '{"events":[null]}', json],
  ['an unknown key', '{"events":[],"x":1}', json],
  ['a byte order mark', `\ufeff${one({})}`, json],
  ['UTF-16', Buffer.from(one({}), 'utf16le'), json],
  ['bytes that are no UTF-8', Buffer.from(one({ path: 'xÿ' }), 'latin1'), json],
  ['deep arrays', '['.repeat(100_000) + ']'.repeat(100_000), json],
  [
    'deep custom data',
    one({ custom: {} }).replace('{}', `{"a":`.repeat(5000) + '1' + '}'.repeat(5000)),
    json,
  ],
  ['a length as text', one({ length: '4' }), json],
  ['a length of 2^53', one({ length: 2 ** 53 }), json],
  ['a negative length', one({ length: -1 }), json],
  ['a fraction', one({ length: 1.5 }), json],
  ['a hash too short', one({ hashes: { sha256: 'ab' } }), json],
  ['no hash', one({ hashes: {} }), json],
  ['another hash', one({ hashes: { md5: SHA } }), json],
  ['a path that climbs', one({ path: '../../etc/passwd' }), json],
  ['a path with a zero byte', one({ path: 'a\0b' }), json],
  ['a path of 2,000 characters', one({ path: 'a'.repeat(2000) }), json],
  ['a prototype as a path', one({ path: '__proto__' }), json],
  ['an unknown operation', one({ op: 'replace' }), json],
  ['a remove with a hash', one({ op: 'remove' }), json],
  ['an id of 200 characters', JSON.stringify({ events: [{ ...wireEvent('a'), id: 'a'.repeat(200) }] }), json],
  ['ten thousand changes', JSON.stringify({ events: [{ changes: Array(10_000).fill({}) }] }), json],
  ['an NDJSON line that is broken', `${JSON.stringify(wireEvent('a'))}\n{`, ndjson],
  ['an NDJSON array', '[{}]\n', ndjson],
  ['only line ends', '\n\n\n', ndjson],
  ['another media type', 'events=1', { 'content-type': 'application/x-www-form-urlencoded' }],
  ['no media type', '{}', {}],
];

test.each(MALFORMED)('%s is refused and changes nothing', async (_what, body, headers) => {
  const service = await startService();
  const answer = await send(service, body, headers);
  expect([400, 415]).toContain(answer.statusCode);
  expect(answer.headers['content-type']).toBe('application/problem+json');
  expect(answer.json()).toMatchObject({ status: answer.statusCode });
  expect(answer.body.length).toBeLessThan(10_000);
  expect(await service.ledger.backlog()).toEqual({ events: 0 });
  expect(service.wakes).toBe(0);
});

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;

test('10,000 malformed requests leave memory and backlog as they were', async () => {
  const service = await startService();
  // The deep ones cost time to make, not to refuse.
  const kinds = MALFORMED.filter(([, body]) => body.length < 5000);
  const round = async (count: number): Promise<void> => {
    for (let sent = 0; sent < count; sent += 50) {
      const batch = Array.from({ length: 50 }, (_, i) => kinds[(sent + i) % kinds.length]!);
      const answers = await Promise.all(batch.map(([, body, headers]) => send(service, body, headers)));
      for (const { statusCode } of answers)
        if (statusCode !== 400 && statusCode !== 415) expect(statusCode).toBe(400);
    }
  };
  const used = (): number => {
    collectGarbage();
    return process.memoryUsage().heapUsed;
  };
  await round(2000);
  const before = used();
  await round(10_000);
  // A leak of 400 bytes a request would be 4 MB.
  expect(used() - before).toBeLessThan(4 * 1024 * 1024);
  expect(await service.ledger.backlog()).toEqual({ events: 0 });
}, 60_000);

test('no body whatever is answered with 5xx', async () => {
  const service = await startService();
  const almost = fc.record(
    {
      id: fc.oneof(fc.string(), fc.constant('a'), fc.jsonValue()),
      changes: fc.oneof(
        fc.jsonValue(),
        fc.array(
          fc.record(
            {
              op: fc.constantFrom('add', 'put', 'remove', 'x'),
              path: fc.oneof(fc.string(), fc.constantFrom('a', 'b/c')),
              length: fc.oneof(fc.nat(), fc.jsonValue()),
              hashes: fc.constantFrom({ sha256: SHA }, {}, null),
              custom: fc.oneof(fc.jsonValue(), fc.object()),
            },
            { requiredKeys: ['op', 'path'] },
          ),
        ),
      ),
    },
    { requiredKeys: [] },
  );
  const text = fc.oneof(
    fc.string({ unit: 'binary' }),
    fc.json(),
    fc.array(fc.oneof(almost, fc.jsonValue())).map((events) => JSON.stringify({ events })),
    fc.array(almost).map((events) => events.map((event) => JSON.stringify(event)).join('\n')),
  );
  const body = fc.oneof(
    text.map((value) => Buffer.from(value)),
    fc.uint8Array({ maxLength: 200 }).map((value) => Buffer.from(value)),
  );
  await fc.assert(
    fc.asyncProperty(body, fc.constantFrom(json, ndjson), async (bytes, headers) => {
      const before = (await service.ledger.backlog()).events;
      const answer = await send(service, bytes, headers);
      const after = (await service.ledger.backlog()).events;
      expect([202, 400, 409, 415]).toContain(answer.statusCode);
      if (answer.statusCode !== 202) expect(after).toBe(before);
    }),
    { numRuns: process.env['SLOW'] === '1' ? 20_000 : 600 },
  );
});

/** Over a real connection: `inject` refuses some addresses itself. */
async function get(origin: string, path: string): Promise<[status: number, mediaType: string | undefined]> {
  const { hostname, port } = new URL(origin);
  const question = request({ hostname, port, path });
  question.end();
  const [answer] = (await once(question, 'response')) as [IncomingMessage];
  answer.resume();
  await once(answer, 'end');
  return [answer.statusCode ?? 0, answer.headers['content-type']];
}

test('no address whatever is answered with 5xx', async () => {
  const service = await startService();
  const origin = await service.listen();
  const prefix = fc.constantFrom(
    '/',
    '/metadata/',
    '/targets/',
    '/v1/targets/',
    '/v1/events/',
    '/v1/changes?after=',
  );
  const rest = fc.oneof(
    fc.string(),
    fc.webPath(),
    fc.constantFrom('%', '%zz', '%00', '..%2f', `${SHA}.x`, `a/${SHA}.`, 'a'.repeat(5000)),
  );
  await fc.assert(
    fc.asyncProperty(prefix, rest, async (start, end) => {
      const url = start + end.replaceAll(/[^!-~]/g, encodeURIComponent.bind(undefined));
      const [status, mediaType] = await get(origin, url);
      expect(status).toBeLessThan(500);
      if (status >= 400) expect(mediaType).toBe('application/problem+json');
    }),
    { numRuns: 400 },
  );
});
