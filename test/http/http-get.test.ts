// What the client makes of HTTP: compression, connections that are kept, and servers that break off, upgrade or lie.
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type RequestListener } from 'node:http';
import { createServer as createTcpServer, type AddressInfo, type Socket } from 'node:net';
import { brotliCompressSync, deflateSync, gzipSync } from 'node:zlib';
import { expect, onTestFinished, test } from 'vitest';
import { fetchWhole } from '../../src/client/fetcher.ts';
import { httpFetcher } from '../../src/client/http-fetcher.ts';
import { hasCode } from '../../src/lib/errors.ts';
import { systemClock } from '../../src/lib/clock.ts';

const BODY = Buffer.from('{"signed":{}}'.repeat(1000));
const PATIENCE = { answerMs: 5000, stretchMs: 2000, stretchBytes: 1000 };

async function serve(answer: RequestListener): Promise<{ url: string; connections: Set<Socket> }> {
  const connections = new Set<Socket>();
  const server = createServer(answer).listen(0, '127.0.0.1');
  server.on('connection', (socket) => connections.add(socket));
  await once(server, 'listening');
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`, connections };
}

/** A server that says exactly this to every request, and closes the connection. */
async function serveRaw(text: string): Promise<string> {
  const server = createTcpServer((socket) => {
    socket.on('error', () => undefined);
    socket.once('data', () => socket.end(text));
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => {
    server.close();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
}

function get(url: string, maxBytes = 1_000_000): Promise<Uint8Array | undefined> {
  return fetchWhole(httpFetcher(systemClock, PATIENCE), url, maxBytes);
}

async function codeOf(work: Promise<unknown>): Promise<string> {
  const error: unknown = await work.then(
    () => 'none',
    (thrown: unknown) => thrown,
  );
  if (hasCode(error, 'store-unavailable', 'metadata-too-large')) return error.code;
  return String(error);
}

test.each([
  ['gzip', gzipSync],
  ['br', brotliCompressSync],
  ['deflate', deflateSync],
] as const)('%s is asked for and undone, and counted as it comes out', async (coding, compress) => {
  const { url } = await serve((request, response) => {
    expect(request.headers['accept-encoding']).toContain(coding);
    const bytes = compress(BODY);
    response.writeHead(200, { 'content-encoding': coding, 'content-length': bytes.length }).end(bytes);
  });
  expect(await get(url)).toEqual(BODY);
  // A small answer that becomes a large one.
  expect(await codeOf(get(url, BODY.length - 1))).toBe('metadata-too-large');
});

test('a body that compression has made longer is no longer than what comes out of it', async () => {
  const body = randomBytes(1000);
  const coded = gzipSync(body);
  const { url } = await serve((_request, response) => {
    response.writeHead(200, { 'content-encoding': 'gzip', 'content-length': coded.length }).end(coded);
  });
  expect(coded.length).toBeGreaterThan(1000);
  expect(await get(url, 1000)).toEqual(body);
});

test.each([
  ['cut off', gzipSync(BODY).subarray(0, -20)],
  ['no such thing', Buffer.from('this was never compressed')],
])('a compressed body that is %s is an error, not an end', async (_, bytes) => {
  const { url } = await serve((_request, response) => {
    response.writeHead(200, { 'content-encoding': 'gzip' }).end(bytes);
  });
  expect(await codeOf(get(url))).toBe('store-unavailable');
});

test('connections are kept; one that was closed meanwhile is replaced without an error', async () => {
  const { url, connections } = await serve((request, response) => {
    if (request.url === '/absent') response.writeHead(404).end('absent');
    else response.end(BODY);
  });
  for (let n = 0; n < 5; n++) {
    expect(await get(`${url}absent`)).toBeUndefined();
    expect(await get(url)).toEqual(BODY);
  }
  expect(connections.size).toBe(1);
  for (let n = 0; n < 5; n++) {
    const closing = [...connections];
    const asked = get(url);
    for (const socket of closing) socket.resetAndDestroy();
    // The request may have been on its way to the one that was reset, or to a new one.
    expect(await asked.catch(() => get(url))).toEqual(BODY);
  }
});

test.each([
  ['says nothing', ''],
  ['is no web server', 'SSH-2.0-OpenSSH_9.2\r\n'],
  ['upgrades', 'HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n'],
  ['breaks off', `HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n${'x'.repeat(50)}`],
  ['has a chunk of no length', 'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n'],
  ['redirects to nowhere', 'HTTP/1.1 302 Found\r\nlocation: http://[::bad\r\n\r\n'],
])('a server that %s', async (_, text) => {
  expect(await codeOf(get(await serveRaw(text)))).toBe('store-unavailable');
});

test('nobody listens: the reason is said', async () => {
  await expect(get('http://127.0.0.1:1/')).rejects.toThrow(/127\.0\.0\.1:1\/: connect ECONNREFUSED/);
  await expect(get('http://localhost:1/')).rejects.toThrow(/ECONNREFUSED/);
});

test('a body that nobody reads to its end gives its connection up', async () => {
  const { url, connections } = await serve((_request, response) => {
    response.write(BODY);
    const timer = setInterval(() => response.write(BODY), 5);
    response.on('close', () => {
      clearInterval(timer);
    });
  });
  expect(await codeOf(get(url, 5000))).toBe('metadata-too-large');
  await expect.poll(() => [...connections].every((socket) => socket.destroyed)).toBe(true);
});
