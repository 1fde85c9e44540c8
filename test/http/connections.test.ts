// Connections that are slow, huge, broken, kept, or in hand when the service stops.
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { Agent, request } from 'node:http';
import { connect, type Socket } from 'node:net';
import path from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { sha256Hex } from '../../src/lib/bytes.ts';
import { openFilesIn } from '../support/open-files.ts';
import { tempDir } from '../support/temp-dir.ts';
import { allClosed, holdHead, startService, wireEvent } from './service.ts';

async function dial(
  origin: string,
): Promise<{ socket: Socket; text: () => string; ended: Promise<unknown> }> {
  const { hostname, port } = new URL(origin);
  const socket = connect(Number(port), hostname);
  onTestFinished(() => void socket.destroy());
  let text = '';
  socket.on('data', (chunk) => (text += chunk.toString()));
  socket.on('error', () => undefined);
  await once(socket, 'connect');
  // Not events.once: a reset is an end too.
  const ended = new Promise((resolve) => socket.once('close', resolve));
  return { socket, text: () => text, ended };
}

const fast = { headersTimeoutMs: 200, requestTimeoutMs: 400 };

test('headers that trickle in are cut off with 408', async () => {
  const service = await startService({ limits: fast });
  const { socket, text, ended } = await dial(await service.listen());
  socket.write('GET /healthz HTTP/1.1\r\nHost: x\r\n');
  const drip = setInterval(() => socket.write('X-A: b\r\n'), 40);
  await ended;
  clearInterval(drip);
  expect(text()).toMatch(/^HTTP\/1.1 408 .*application\/problem\+json.*request-timeout/s);
});

test('a body that trickles in is cut off', async () => {
  const service = await startService({ limits: fast });
  const { socket, ended } = await dial(await service.listen());
  socket.write(
    'POST /v1/events HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 5000\r\n\r\n{',
  );
  const drip = setInterval(() => socket.write(' '), 40);
  await ended;
  clearInterval(drip);
  expect(await service.ledger.backlog()).toEqual({ events: 0 });
});

test.each([
  ['a header of 20 KB', `GET / HTTP/1.1\r\nHost: x\r\nX: ${'a'.repeat(20_000)}\r\n\r\n`, 431],
  ['an address of 20 KB', `GET /${'a'.repeat(20_000)} HTTP/1.1\r\nHost: x\r\n\r\n`, 431],
  ['no HTTP at all', '\x16\x03\x01\x02\x00\x01\x00\r\n\r\n', 400],
  [
    'two lengths',
    'POST /v1/events HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n{}',
    400,
  ],
  [
    'a length and chunks',
    'POST /v1/events HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
    400,
  ],
])('%s is refused with a problem document', async (_what, bytes, status) => {
  const service = await startService();
  const { socket, text, ended } = await dial(await service.listen());
  socket.write(bytes, 'latin1');
  await ended;
  expect(text()).toMatch(
    new RegExp(`^HTTP/1.1 ${status} [^]*application/problem\\+json[^]*"status":${status}`),
  );
});

test('a body above the limit is 413, with and without Content-Length', async () => {
  const service = await startService({ limits: { requestBytes: 1000 } });
  const origin = await service.listen();
  for (const chunked of [false, true]) {
    const body = 'x'.repeat(2000);
    const answer = await fetch(`${origin}/v1/events`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      ...(chunked ? { body: new Blob([body]).stream(), duplex: 'half' } : { body }),
    });
    expect(answer.status).toBe(413);
    expect(await answer.json()).toMatchObject({ code: 'request-too-large' });
  }
});

test('bodies in hand are bounded together', async () => {
  const service = await startService({ limits: { requestBytes: 1000 } });
  const origin = await service.listen();
  const head =
    'POST /v1/events HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{';
  const held = await Promise.all(Array.from({ length: 8 }, () => dial(origin)));
  for (const { socket } of held) socket.write(head);
  const post = async () =>
    fetch(`${origin}/v1/events`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ events: [wireEvent('a')] }),
    });
  await expect.poll(async () => (await post()).status).toBe(503);
  for (const { socket } of held) socket.destroy();
  await expect.poll(async () => (await post()).status).toBe(202);
});

test.each([
  ['POST', '/healthz', 405, 'GET, HEAD'],
  ['GET', '/v1/events', 405, 'POST'],
  ['DELETE', '/v1/events', 405, 'POST'],
  ['PUT', '/metadata/timestamp.json', 405, 'GET, HEAD'],
  ['OPTIONS', '/v1/status', 405, 'GET'],
  ['GET', '/v1/nothing', 404, undefined],
  ['PATCH', '/', 404, undefined],
])('%s %s is %d', async (method, url, status, allow) => {
  const service = await startService();
  const answer = await service.app.inject({ method: method as 'GET', url, payload: 'x' });
  expect([answer.statusCode, answer.headers.allow]).toEqual([status, allow]);
  expect(answer.json()).toMatchObject({ status, code: status === 405 ? 'method-not-allowed' : 'not-found' });
});

test.each([
  [{ 'content-type': 'text/plain' }, '{}'],
  [{}, '{}'],
  [{ 'content-type': 'application/json', 'content-encoding': 'gzip' }, '{}'],
  [{ 'content-type': 'application/x-www-form-urlencoded' }, 'a=b'],
])('a body with %j is 415', async (headers, payload) => {
  const service = await startService();
  const answer = await service.app.inject({ method: 'POST', url: '/v1/events', headers, payload });
  expect(answer.json()).toMatchObject({ status: 415, code: 'unsupported-media-type' });
});

test('pipelined requests on one connection are answered in order', async () => {
  const service = await startService();
  const { socket, text } = await dial(await service.listen());
  const get = (url: string) => `GET ${url} HTTP/1.1\r\nHost: x\r\n\r\n`;
  socket.write(get('/healthz') + get('/v1/nothing') + get('/healthz'));
  await expect
    .poll(() => text().match(/HTTP\/1.1 \d+/g))
    .toEqual(['HTTP/1.1 200', 'HTTP/1.1 404', 'HTTP/1.1 200']);
});

test('requests behind another one on a connection that ends hold nothing: no place, no body, no file', async () => {
  const folder = await tempDir();
  const large = Buffer.alloc(4_000_000);
  await writeFile(path.join(folder, 'file'), large);
  const service = await startService({
    limits: { streams: 2, requestBytes: 1000 },
    targets: { kind: 'file', directory: folder },
  });
  const sha256 = sha256Hex(large);
  service.current.set('file', { length: large.length, hashes: { sha256 } });
  const origin = await service.listen();
  const ledger = holdHead(service);
  const get = (url: string) => `GET ${url} HTTP/1.1\r\nHost: x\r\n\r\n`;
  const post =
    'POST /v1/events HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n' +
    ' '.repeat(1000);
  const behind = [get('/v1/stream?after=1'), get('/v1/changes'), post, get(`/targets/${sha256}.file`)];
  const connections = await Promise.all(behind.map(() => dial(origin)));
  connections.forEach(({ socket }, index) => {
    socket.write(get('/readyz') + (behind[index] ?? '').repeat(8));
  });
  await expect.poll(ledger.asked).toBe(behind.length);
  const healthz = await dial(origin);
  healthz.socket.write(get('/healthz'));
  await expect.poll(healthz.text).toContain('"ok"');
  for (const { socket } of [...connections, healthz]) socket.destroy();
  await allClosed(service);
  ledger.answer();
  const stream = await fetch(`${origin}/v1/stream`);
  expect(stream.status).toBe(200);
  await stream.body?.cancel();
  const sent = await fetch(`${origin}/v1/events`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ events: [wireEvent('a')] }),
  });
  expect(sent.status).toBe(202);
  await expect.poll(() => openFilesIn(folder)).toEqual([]);
});

test('stopping answers what is in hand, ends waits and streams, and closes kept connections', async () => {
  const service = await startService();
  const origin = await service.listen();
  const agent = new Agent({ keepAlive: true });
  onTestFinished(() => {
    agent.destroy();
  });
  const idle = await dial(origin);
  idle.socket.write('GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n');
  await expect.poll(idle.text).toContain('"ok"');
  const stream = await dial(origin);
  stream.socket.write('GET /v1/stream HTTP/1.1\r\nHost: x\r\n\r\n');
  await expect.poll(stream.text).toContain('retry:');
  const waiting = request(`${origin}/v1/events`, {
    method: 'POST',
    agent,
    headers: { 'content-type': 'application/json', prefer: 'wait=50' },
  });
  waiting.end(JSON.stringify({ events: [wireEvent('a')] }));
  const answered = once(waiting, 'response');
  await expect.poll(async () => (await service.ledger.backlog()).events).toBe(1);

  service.shutdown.abort();
  await service.app.close();
  const [response] = (await answered) as [{ statusCode: number; headers: Record<string, string> }];
  expect([response.statusCode, response.headers['connection']]).toEqual([202, 'close']);
  await stream.ended;
  expect(stream.text()).toMatch(/0\r\n\r\n$/);
  await idle.ended;
  await expect(fetch(`${origin}/healthz`)).rejects.toThrow();
});

test('an answer that is never read does not keep the service from stopping', async () => {
  const service = await startService({ limits: { shutdownGraceMs: 200 } });
  service.store.tamper('metadata/1.root.json', Buffer.alloc(4_900_000, ' '));
  const { socket, ended } = await dial(await service.listen());
  socket.pause();
  for (let i = 0; i < 10; i++) socket.write('GET /metadata/1.root.json HTTP/1.1\r\nHost: x\r\n\r\n');
  await expect.poll(() => service.app.server.listening).toBe(true);
  service.shutdown.abort();
  await service.app.close();
  socket.resume();
  await ended;
});
