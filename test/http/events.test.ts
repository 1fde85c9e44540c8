// The way in: what is accepted is durable and settled once; what is not well-formed changes nothing.
import { expect, test } from 'vitest';
import { send, SHA, startService, wireEvent } from './service.ts';

test('an accepted event is durable, wakes the publisher and is counted', async () => {
  const service = await startService();
  const answer = await send(service, { events: [wireEvent('a'), { changes: wireEvent('b')['changes'] }] });
  expect(answer.statusCode).toBe(202);
  const { events } = answer.json<{ events: { id: string; position: number; state: string }[] }>();
  expect(events.map(({ state }) => state)).toEqual(['accepted', 'accepted']);
  expect(events[0]?.id).toBe('a');
  expect(events[1]?.id).toMatch(/^[0-9a-f-]{36}$/);
  expect((await service.ledger.read(0, 10)).map(({ id }) => id)).toEqual(events.map(({ id }) => id));
  expect(service.wakes).toBe(1);
  expect(await service.metrics.registry.metrics()).toContain('countersign_events_accepted_total 2');
});

test('NDJSON is one event a line, with or without a last line end', async () => {
  const service = await startService();
  const headers = { 'content-type': 'application/x-ndjson' };
  const lines = [wireEvent('a'), wireEvent('b')].map((event) => JSON.stringify(event)).join('\n');
  expect((await send(service, lines, headers)).statusCode).toBe(202);
  const again = await send(service, `${lines}\n`, headers);
  expect(again.statusCode).toBe(202);
  expect((await service.ledger.backlog()).events).toBe(2);

  const broken = await send(service, `${JSON.stringify(wireEvent('c'))}\n\n{"id":"d"}\n`, headers);
  expect(broken.statusCode).toBe(400);
  expect(broken.json()).toMatchObject({
    code: 'request-invalid',
    errors: [
      { line: 2, detail: 'is empty' },
      { line: 3, pointer: '/changes', detail: 'is missing' },
    ],
  });
  expect((await service.ledger.backlog()).events).toBe(2);
});

test('the same id with the same content is the same event, with other content 409', async () => {
  const service = await startService();
  const first = (await send(service, { events: [wireEvent('a')] })).json<{
    events: { position: number }[];
  }>();
  const again = (await send(service, { events: [wireEvent('a'), wireEvent('a')] })).json<typeof first>();
  expect(again.events.map(({ position }) => position)).toEqual([
    first.events[0]?.position,
    first.events[0]?.position,
  ]);
  const other = await send(service, { events: [wireEvent('b'), wireEvent('a', { length: 5 })] });
  expect(other.statusCode).toBe(409);
  expect(other.headers['content-type']).toBe('application/problem+json');
  expect(other.json()).toMatchObject({
    type: 'urn:countersign:error:event-conflict',
    code: 'event-conflict',
  });
  expect((await service.ledger.read(0, 10)).map(({ id }) => id)).toEqual(['a']);
});

test('every flaw is named by its pointer, and nothing of the request is accepted', async () => {
  const service = await startService();
  const answer = await send(service, {
    events: [
      wireEvent('good'),
      wireEvent('b', { size: 4 }),
      wireEvent('c', { length: '4' }),
      wireEvent('d', { path: 'a/../b' }),
      wireEvent('e', { hashes: { sha256: SHA, md5: 'x' } }),
      { id: 'f', changes: [{ op: 'remove', path: 'x', length: 1 }, { op: 'drop', path: 'x' }, 7] },
      { id: '../g', changes: [] },
      wireEvent('h', { custom: { a: 'x'.repeat(5000) } }),
      { ...wireEvent('i'), 'x/y~z': 1 },
      {
        id: 'j',
        changes: [
          { op: 'remove', path: 'x' },
          { op: 'remove', path: 'x' },
        ],
      },
      { id: 'k', changes: [{ op: 'add', path: 'x', length: 0, hashes: { sha256: SHA.toUpperCase() } }] },
    ],
    extra: 1,
  });
  expect(answer.statusCode).toBe(400);
  const { errors } = answer.json<{ errors: { pointer: string }[] }>();
  expect(errors.map(({ pointer }) => pointer)).toEqual([
    '/extra',
    '/events/1/changes/0/size',
    '/events/2/changes/0/length',
    '/events/3/changes/0/path',
    '/events/4/changes/0/hashes/md5',
    '/events/5/changes/0/length',
    '/events/5/changes/1/op',
    '/events/5/changes/2',
    '/events/6/id',
    '/events/6/changes',
    '/events/7/changes/0/custom',
    '/events/8/x~1y~0z',
    '/events/9/changes/1/path',
    '/events/10/changes/0/length',
    '/events/10/changes/0/hashes/sha256',
  ]);
  expect(await service.ledger.backlog()).toEqual({ events: 0 });
  expect(service.wakes).toBe(0);
});

test('a path alone that no client could read is path-forbidden', async () => {
  const service = await startService();
  const answer = await send(service, { events: [wireEvent('a', { path: 'a b' })] });
  expect(answer.statusCode).toBe(400);
  expect(answer.json()).toMatchObject({
    code: 'path-forbidden',
    errors: [{ pointer: '/events/0/changes/0/path' }],
  });
});

test.each([
  ['in the body', '{"events":[],"events":[EVENT]}'],
  ['in an event', '{"events":[{"id":"z","id":"a","changes":[]}]}'.replace('[]', '[CHANGE]')],
  ['spelt with an escape', '{"events":[{"id":"z","\\u0069d":"a","changes":[CHANGE]}]}'],
  ['in custom data', '{"events":[{"id":"a","changes":[CUSTOM]}]}'],
])('a key that stands twice is refused %s', async (_where, template) => {
  const service = await startService();
  const event = JSON.stringify(wireEvent('a'));
  const change = `{"op":"put","path":"p","length":1,"hashes":{"sha256":"${SHA}"}`;
  const body = template
    .replace('EVENT', event)
    .replace('CHANGE', `${change}}`)
    .replace('CUSTOM', `${change},"custom":{"a:\\"":{"k":1,"k":2}}}`);
  const answer = await send(service, body);
  expect(answer.statusCode).toBe(400);
  expect(answer.json<{ detail: string }>().detail).toContain('instead of a second');
});

test('"__proto__" reaches no prototype, as a key of an event or of custom data', async () => {
  const service = await startService();
  const change = `"op":"put","path":"p","length":1,"hashes":{"sha256":"${SHA}"}`;
  for (const event of [
    `{"__proto__":{"id":"a"},"changes":[{${change}}]}`,
    `{"changes":[{${change},"__proto__":{"custom":{}}}]}`,
    `{"changes":[{${change},"custom":{"a":{"__proto__":1}}}]}`,
  ]) {
    const answer = await send(service, `{"events":[${event}]}`);
    expect(answer.statusCode).toBe(400);
    expect(JSON.stringify(answer.json<{ errors: unknown }>().errors)).toContain('__proto__');
  }
});

test('custom data is carried as it was sent, within its bounds', async () => {
  const service = await startService();
  const custom = { 'blake2b-256': 'ab', list: [1, null, true, { constructor: 'x' }] };
  expect((await send(service, { events: [wireEvent('a', { custom })] })).statusCode).toBe(202);
  const [event] = await service.ledger.read(0, 1);
  expect(event?.changes[0]).toMatchObject({ target: { custom } });

  let deep: unknown = 1;
  for (let i = 0; i < 9; i++) deep = { a: deep };
  for (const refused of [{ text: 'x'.repeat(4100) }, deep, { a: 1e300 }, { a: '\ud800' }, [1], 'x']) {
    expect((await send(service, { events: [wireEvent('b', { custom: refused })] })).statusCode).toBe(400);
  }
});

test('Prefer: wait answers with the final states', async () => {
  const service = await startService();
  const headers = { 'content-type': 'application/json', prefer: 'respond-async, wait=20' };
  const answer = send(service, { events: [wireEvent('a'), wireEvent('b')] }, headers);
  await expect.poll(async () => (await service.ledger.backlog()).events).toBe(2);
  const snapshot = await service.publish(['b']);
  const settled = await answer;
  expect(settled.statusCode).toBe(200);
  expect(settled.headers['preference-applied']).toBe('wait=20');
  expect(settled.json()).toMatchObject({
    events: [
      { id: 'a', state: 'published', snapshot },
      { id: 'b', state: 'rejected', code: 'target-exists', reason: 'the path is taken' },
    ],
  });
});

test('a wait that runs out, or finds no place, is answered 202', async () => {
  const service = await startService({ limits: { waitingRequests: 1 } });
  const headers = (seconds: number) => ({ 'content-type': 'application/json', prefer: `wait=${seconds}` });
  const first = send(service, { events: [wireEvent('a')] }, headers(1));
  await expect.poll(async () => (await service.ledger.backlog()).events).toBe(1);
  const second = await send(service, { events: [wireEvent('b')] }, headers(50));
  expect(second.statusCode).toBe(202);
  expect(second.headers['preference-applied']).toBeUndefined();
  expect((await first).statusCode).toBe(202);
});

test('a full backlog is answered 503 with Retry-After, and accepts again when it has drained', async () => {
  const service = await startService({ limits: { backlogEvents: 2 } });
  expect((await send(service, { events: [wireEvent('a'), wireEvent('b')] })).statusCode).toBe(202);
  const full = await send(service, { events: [wireEvent('c')] });
  expect(full.statusCode).toBe(503);
  expect(full.headers['retry-after']).toBe('3');
  expect(full.json()).toMatchObject({ code: 'backlog-full', detail: '2 events wait, the limit is 2' });
  await service.publish();
  await expect.poll(async () => (await send(service, { events: [wireEvent('c')] })).statusCode).toBe(202);
});

test('the state of an event is read under its id', async () => {
  const service = await startService();
  await send(service, { events: [wireEvent('a'), wireEvent('b')] });
  const read = async (id: string) => service.app.inject({ url: `/v1/events/${id}` });
  expect((await read('a')).json()).toMatchObject({ id: 'a', state: 'accepted' });
  await service.publish(['b']);
  expect((await read('a')).json()).toMatchObject({ state: 'published', snapshot: 2 });
  expect((await read('b')).json()).toMatchObject({ state: 'rejected', code: 'target-exists' });
  expect((await read('c')).json()).toMatchObject({ status: 404, code: 'event-unknown' });
  expect((await read('a%20b')).json()).toMatchObject({ status: 400, code: 'request-invalid' });
});
