// Who may do what: bearer tokens and their scopes.
import { expect, test } from 'vitest';
import { parseTokens } from '../../src/http/tokens.ts';
import { sha256Hex } from '../../src/lib/bytes.ts';
import { send, startService, wireEvent } from './service.ts';

const FILE = `
tokens:
  - { name: index, sha256: ${sha256Hex('index-token')}, scopes: [events] }
  - { name: prometheus, sha256: ${sha256Hex('metrics-token')}, scopes: [metrics] }
  - { name: mirror, sha256: ${sha256Hex('read-token')}, scopes: [read] }
  - { name: former, sha256: ${sha256Hex('old-token')}, scopes: [events, read], expires: 2020-01-01T00:00:00Z }
`;

test('every route asks for its scope, and public ones for none', async () => {
  const service = await startService({ auth: parseTokens(FILE) });
  service.store.tamper('metadata/timestamp.json', Buffer.from('{}'));
  const table: [string, Record<string, number>][] = [
    [
      '/v1/status',
      { none: 401, 'index-token': 403, 'read-token': 200, 'metrics-token': 403, 'old-token': 401 },
    ],
    ['/v1/changes', { none: 401, 'index-token': 403, 'read-token': 200 }],
    ['/v1/stream', { none: 401, 'index-token': 403 }],
    ['/v1/targets/x', { none: 401, 'index-token': 403, 'read-token': 404 }],
    ['/v1/events/x', { none: 401, 'index-token': 404, 'read-token': 404, 'metrics-token': 403 }],
    ['/metrics', { none: 401, 'read-token': 403, 'metrics-token': 200 }],
    ['/healthz', { none: 200 }],
    ['/readyz', { none: 200 }],
    ['/openapi.json', { none: 200 }],
    ['/metadata/timestamp.json', { none: 200, nonsense: 200 }],
    [`/targets/${'a'.repeat(64)}.x`, { none: 404 }],
  ];
  for (const [url, answers] of table) {
    for (const [token, status] of Object.entries(answers)) {
      const headers = token === 'none' ? {} : { authorization: `Bearer ${token}` };
      const answer = await service.app.inject({ url, headers });
      expect([url, token, answer.statusCode]).toEqual([url, token, status]);
      if (status === 401) expect(answer.headers['www-authenticate']).toContain('Bearer realm="countersign"');
      if (status === 403)
        expect(answer.json<{ detail: string }>().detail).toMatch(/no scope "(read|events|metrics)/);
    }
  }
});

test('sending events needs the scope "events", before the body is read', async () => {
  const service = await startService({ auth: parseTokens(FILE) });
  const post = async (authorization: string, body: unknown = { events: [wireEvent('a')] }) =>
    (await send(service, body, { 'content-type': 'application/json', authorization })).statusCode;
  expect(await post('Bearer index-token')).toBe(202);
  expect(await post('Bearer read-token')).toBe(403);
  expect(await post('Bearer wrong', 'not JSON')).toBe(401);
  expect(await post('Basic aW5kZXg6eA==')).toBe(401);
  expect(await post(`Bearer ${'a'.repeat(600)}`)).toBe(401);
  expect((await service.ledger.read(0, 10)).length).toBe(1);
});

test('without tokens, a web page in a browser on this computer cannot send events', async () => {
  const service = await startService();
  const headers = { 'content-type': 'application/json', origin: 'http://rebound.example' };
  const answer = await send(service, { events: [wireEvent('a')] }, headers);
  expect(answer.statusCode).toBe(403);
  expect((await service.ledger.backlog()).events).toBe(0);
});

test.each([
  ['nothing', ''],
  ['a list at the top', '[]'],
  ['an unknown key', 'tokens: [{ name: a, sha256: HASH, scopes: [read], scope: x }]'],
  ['an unknown scope', 'tokens: [{ name: a, sha256: HASH, scopes: [admin] }]'],
  ['no scope', 'tokens: [{ name: a, sha256: HASH, scopes: [] }]'],
  ['the token instead of its digest', 'tokens: [{ name: a, sha256: secret-token, scopes: [read] }]'],
  ['upper-case hex', `tokens: [{ name: a, sha256: ${'A'.repeat(64)}, scopes: [read] }]`],
  ['a key twice', 'tokens: [{ name: a, name: b, sha256: HASH, scopes: [read] }]'],
  [
    'a name twice',
    `tokens: [{ name: a, sha256: HASH, scopes: [read] }, { name: a, sha256: ${'b'.repeat(64)}, scopes: [read] }]`,
  ],
  [
    'a digest twice',
    'tokens: [{ name: a, sha256: HASH, scopes: [read] }, { name: b, sha256: HASH, scopes: [read] }]',
  ],
  [
    'a date that is none',
    'tokens: [{ name: a, sha256: HASH, scopes: [read], expires: 2026-13-41T00:00:00Z }]',
  ],
  ['an alias', 'x: &x 1\ntokens: *x'],
])('a tokens file with %s is refused, without showing what it holds', (_what, text) => {
  let message = 'accepted';
  try {
    parseTokens(text.replaceAll('HASH', 'a'.repeat(64)));
  } catch (error) {
    expect(error).toMatchObject({ code: 'config-invalid' });
    message = (error as Error).message;
  }
  expect(message).toMatch(/^tokens file: /);
  expect(message).not.toContain('secret-token');
  expect(message).not.toContain('aaaaaaaa');
});
