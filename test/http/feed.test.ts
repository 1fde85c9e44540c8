// What followers see: every snapshot once, in order, whenever they come back.
import { once } from 'node:events';
import { request, type IncomingMessage } from 'node:http';
import { expect, test } from 'vitest';
import { intent } from '../support/ledger-fixtures.ts';
import { allClosed, holdHead, send, SHA, startService, wireEvent } from './service.ts';

async function open(url: string, headers: Record<string, string> = {}): Promise<IncomingMessage> {
  const req = request(url, { headers });
  req.end();
  const [response] = (await once(req, 'response')) as [IncomingMessage];
  response.setEncoding('utf8');
  return response;
}

test('changes are one line a snapshot, after the version asked for', async () => {
  const service = await startService();
  await send(service, { events: [wireEvent('a'), wireEvent('b')] });
  await service.publish();
  const remove = { op: 'remove', path: 'packages/b.whl' };
  await send(service, {
    events: [wireEvent('a2', { path: 'packages/a.whl', length: 9 }), { changes: [remove] }],
  });
  await service.publish();
  const read = async (query: string) => {
    const answer = await service.app.inject({ url: `/v1/changes${query}` });
    expect(answer.headers['content-type']).toBe('application/x-ndjson');
    return answer.body
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => JSON.parse(line) as unknown);
  };
  const all = await read('');
  expect(all).toHaveLength(3);
  expect(all[1]).toMatchObject({
    snapshot: 2,
    bins: [{ name: 'bin-0', version: 2 }],
    added: [
      { path: 'packages/a.whl', length: 4, hashes: { sha256: SHA } },
      { path: 'packages/b.whl', length: 4, hashes: { sha256: SHA } },
    ],
    replaced: [],
    removed: [],
  });
  expect(all[2]).toMatchObject({
    snapshot: 3,
    added: [],
    replaced: [{ path: 'packages/a.whl', length: 9, hashes: { sha256: SHA } }],
    removed: ['packages/b.whl'],
  });
  expect(await read('?after=2')).toEqual([all[2]]);
  expect(await read('?after=3')).toEqual([]);
});

test('a version that is not known yet, or no version, is refused', async () => {
  const service = await startService();
  for (const query of ['?after=2', '?after=-1', '?after=1.5', '?after=x', '?since=1', '?after=1&after=1']) {
    for (const route of ['changes', 'stream']) {
      const answer = await service.app.inject({ url: `/v1/${route}${query}` });
      expect([query, answer.statusCode]).toEqual([query, 400]);
    }
  }
});

test('changes that were forgotten are 410, not silently left out', async () => {
  const service = await startService();
  for (let i = 0; i < 3; i++) await service.publish();
  await service.ledger.prune(Date.now() + 1000);
  await service.publish();
  const answer = await service.app.inject({ url: '/v1/changes?after=0' });
  expect(answer.statusCode).toBe(410);
  expect(answer.json()).toMatchObject({ code: 'changes-expired' });
});

test('many snapshots are read in pages, each once', async () => {
  const service = await startService();
  for (let i = 0; i < 25; i++) await service.publish();
  const answer = await service.app.inject({ url: '/v1/changes' });
  const versions = answer.body
    .trim()
    .split('\n')
    .map((line) => (JSON.parse(line) as { snapshot: number }).snapshot);
  expect(versions).toEqual(Array.from({ length: 26 }, (_, index) => index + 1));
});

test('the stream tells each snapshot as it is published, and goes on where a reader left it', async () => {
  const service = await startService();
  const origin = await service.listen();
  const live = await open(`${origin}/v1/stream`);
  expect(live.headers['content-type']).toBe('text/event-stream');
  let text = '';
  live.on('data', (chunk: string) => (text += chunk));
  await expect.poll(() => text).toContain('retry:');
  await service.publish();
  await expect.poll(() => text).toMatch(/id: 2\nevent: snapshot\ndata: {"snapshot":2,.*}\n\n/);
  await service.publish();
  await expect.poll(() => text).toContain('id: 3\n');
  expect(text).not.toContain('id: 1\n');
  live.destroy();

  const resumed = await open(`${origin}/v1/stream?after=0`, { 'last-event-id': '1' });
  let again = '';
  resumed.on('data', (chunk: string) => (again += chunk));
  await expect.poll(() => again).toContain('id: 3\n');
  expect(again.match(/^id: .*/gm)).toEqual(['id: 2', 'id: 3']);
});

test('streams are bounded, and a place is free again when a reader leaves', async () => {
  const service = await startService({ limits: { streams: 2 } });
  const origin = await service.listen();
  const first = await open(`${origin}/v1/stream`);
  await open(`${origin}/v1/stream`);
  const third = await open(`${origin}/v1/stream`);
  expect([third.statusCode, third.headers['retry-after']]).toEqual([503, '3']);
  first.destroy();
  await expect.poll(async () => (await open(`${origin}/v1/stream`)).statusCode).toBe(200);
});

test.each(['/v1/stream', '/v1/changes'])(
  'a reader of %s that leaves while the ledger is asked leaves its place free',
  async (path) => {
    const service = await startService({ limits: { streams: 2 } });
    const origin = await service.listen();
    const ledger = holdHead(service);
    const leaving = [1, 2].map(() => request(`${origin}${path}`).on('error', () => undefined));
    for (const reader of leaving) reader.end();
    await expect.poll(ledger.asked).toBe(2);
    for (const reader of leaving) reader.destroy();
    await allClosed(service);
    ledger.answer();
    expect((await open(`${origin}${path}`)).statusCode).toBe(200);
  },
);

test('a reader that stops reading holds back its own stream only, in bounded memory', async () => {
  const service = await startService();
  const origin = await service.listen();
  const custom = { pad: 'x'.repeat(4000) };
  for (let round = 0; round < 16; round++) {
    const events = Array.from({ length: 400 }, (_, i) => wireEvent(`e${round}-${i}`, { custom }));
    await send(service, { events });
    await service.publish();
  }
  const reads: number[] = [];
  const changes = service.ledger.changes.bind(service.ledger);
  service.ledger.changes = (after, limit) => {
    reads.push(after);
    return changes(after, limit);
  };
  const stuck = await open(`${origin}/v1/changes`);
  stuck.pause();
  const fluent = await open(`${origin}/v1/changes?after=16`);
  let body = '';
  for await (const chunk of fluent) body += String(chunk);
  expect(body.trim().split('\n')).toHaveLength(1);
  // 26 MB are to be told; what the sockets hold has been read from the ledger, the rest waits there.
  expect(Math.max(...reads.filter((after) => after !== 16))).toBeLessThan(12);
  let bytes = 0;
  stuck.on('data', (chunk: string) => (bytes += chunk.length));
  stuck.resume();
  await once(stuck, 'end');
  expect(bytes).toBeGreaterThan(16 * 400 * 4000);
});

test('a snapshot that is committed but not finished is not told', async () => {
  const service = await startService();
  const { epoch } = await service.ledger.lease({ holder: 'test', ttlMs: 1000, now: Date.now() });
  await service.ledger.advance(epoch, intent(2));
  const answer = await service.app.inject({ url: '/v1/changes?after=1' });
  expect([answer.statusCode, answer.body]).toEqual([200, '']);
});
