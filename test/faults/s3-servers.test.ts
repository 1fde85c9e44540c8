// Servers that look like S3 and are not safe to publish into: each is wrong in one way, and refused for it. The right
// one beside them shows that it is the wrong way that is found.
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { buffer } from 'node:stream/consumers';
import { beforeAll, expect, onTestFinished, test } from 'vitest';
import { utf8 } from '../../src/lib/bytes.ts';
import { systemClock } from '../../src/lib/clock.ts';
import { openS3Store } from '../../src/storage/s3-store.ts';
import type { ObjectStore } from '../../src/storage/store.ts';

type Flaw =
  | 'none'
  | 'ignores If-None-Match'
  | 'ignores If-Match'
  | 'checks, then writes'
  | 'no conditional writes'
  | '403 for absent objects'
  | 'other ETag on reads'
  | 'stale listing'
  | 'keeps removed objects'
  | 'plus is a space'
  | 'no right to remove'
  /** The first write of an object that is replaced later is carried out, and answered with 500. */
  | 'loses an answer';

beforeAll(() => {
  Object.assign(process.env, { AWS_ACCESS_KEY_ID: 'x', AWS_SECRET_ACCESS_KEY: 'x' });
});

test.each([
  ['ignores If-None-Match', /writers at once win that all sent "If-None-Match"/],
  ['ignores If-Match', /writers at once win that all sent "If-Match"/],
  ['checks, then writes', /writers at once win that all sent "If-None-Match"/],
  ['no conditional writes', /has no conditional writes \(501\)/],
  ['403 for absent objects', /answers 403 for an object that does not exist.*allow s3:ListBucket/],
  ['other ETag on reads', /answered a write with ETag "[0-9a-f]{32}" and the next read with "other"/],
  ['stale listing', /its listing lacks an object that was just written/],
  ['keeps removed objects', /an object that was removed can still be read/],
  ['plus is a space', /its listing lacks an object that was just written/],
] as const)('a server that has the flaw "%s" is refused', async (flaw, message) => {
  const { open } = await miniS3(flaw);
  await expect(open()).rejects.toMatchObject({
    code: 'store-unsuitable',
    message: expect.stringMatching(message) as string,
  });
});

test('a server without a flaw is taken, and only the probes of the dead are removed', async () => {
  const { objects, open } = await miniS3('none');
  objects.set('p/.countersign-probe-old/moving.json', { bytes: Buffer.from('x'), modified: new Date(0) });
  objects.set('p/.countersign-probe-new/moving.json', { bytes: Buffer.from('x'), modified: wall() });
  const store = await open();
  expect([...objects.keys()]).toEqual(['p/.countersign-probe-new/moving.json']);
  await store.putImmutable('metadata/1.root.json', utf8('x'));
  const names: string[] = [];
  for await (const { name } of store.list('')) names.push(name);
  expect(names).toEqual(['metadata/1.root.json']);
});

test('one that forbids to remove is not said to keep what was removed', async () => {
  const { open } = await miniS3('no right to remove');
  await expect(open()).rejects.toMatchObject({
    code: 'store-unavailable',
    message: expect.stringMatching(/cannot remove .*AccessDenied \(403\).*s3:DeleteObject/) as string,
  });
});

test('one whose answer to a write was lost is not said to hold what nobody has written', async () => {
  const { open } = await miniS3('loses an answer');
  await open();
});

test('to read, nothing is written', async () => {
  const { objects, open, methods } = await miniS3('ignores If-Match');
  objects.set('p/a', { bytes: Buffer.from('abc'), modified: wall() });
  const store = await open('read');
  expect((await store.get('a', 3))?.bytes.length).toBe(3);
  expect([...methods]).toEqual(['GET']);
});

function wall(): Date {
  return new Date(systemClock.now());
}

interface Held {
  readonly bytes: Buffer;
  readonly modified: Date;
}

async function miniS3(flaw: Flaw) {
  const objects = new Map<string, Held>();
  const methods = new Set<string>();
  const handle = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const url = new URL(request.url ?? '', 'http://x');
    const key = decodeURIComponent(url.pathname.replace(/^\/bucket\/?/, ''));
    const name = flaw === 'plus is a space' ? key.replaceAll('+', ' ') : key;
    methods.add(request.method ?? '');
    const { 'if-none-match': none, 'if-match': match } = request.headers;
    const refuse = (status: number, code: string): void => {
      response.writeHead(status, { 'content-type': 'application/xml' });
      response.end(`<Error><Code>${code}</Code><Message>m</Message></Error>`);
    };
    const bytes = await buffer(request);
    const held = objects.get(name);
    if (request.method === 'PUT') {
      if (flaw === 'no conditional writes') {
        refuse(501, 'NotImplemented');
        return;
      }
      const blocked =
        (none === '*' && held !== undefined && flaw !== 'ignores If-None-Match') ||
        (match !== undefined && flaw !== 'ignores If-Match' && (!held || etag(held.bytes) !== match));
      if (blocked) {
        refuse(412, 'PreconditionFailed');
        return;
      }
      // Between check and write the other requests get their turn.
      if (flaw === 'checks, then writes') await systemClock.sleep(20);
      const isFirst = !objects.has(name);
      objects.set(name, { bytes, modified: wall() });
      if (flaw === 'loses an answer' && isFirst && name.endsWith('/moving.json')) {
        refuse(500, 'InternalError');
        return;
      }
      response.writeHead(200, { etag: etag(bytes) }).end();
    } else if (request.method === 'DELETE' && flaw === 'no right to remove') {
      refuse(403, 'AccessDenied');
    } else if (request.method === 'DELETE') {
      if (flaw !== 'keeps removed objects') objects.delete(name);
      response.writeHead(204).end();
    } else if (url.searchParams.get('list-type') === '2') {
      const prefix = url.searchParams.get('prefix') ?? '';
      const found = [...objects].filter(([other]) => other.startsWith(prefix) && flaw !== 'stale listing');
      const entries = found.map(
        ([other, { bytes: content, modified }]) =>
          `<Contents><Key>${other}</Key><Size>${content.length}</Size><LastModified>${modified.toISOString()}</LastModified></Contents>`,
      );
      response.writeHead(200, { 'content-type': 'application/xml' });
      response.end(
        `<ListBucketResult><IsTruncated>false</IsTruncated>${entries.join('')}</ListBucketResult>`,
      );
    } else if (held === undefined) {
      if (flaw === '403 for absent objects') refuse(403, 'AccessDenied');
      else refuse(404, 'NoSuchKey');
    } else {
      const tag = flaw === 'other ETag on reads' ? '"other"' : etag(held.bytes);
      response.writeHead(200, { etag: tag, 'content-length': held.bytes.length }).end(held.bytes);
    }
  };
  const server = createServer((request, response) => void handle(request, response)).listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  const endpoint = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const location = { bucket: 'bucket', prefix: 'p', endpoint, pathStyle: true };
  const open = (access: 'publish' | 'read' = 'publish'): Promise<ObjectStore> =>
    openS3Store(location, { clock: systemClock, random: () => 0.5 }, { access });
  return { objects, methods, open };
}

function etag(bytes: Buffer): string {
  return `"${createHash('md5').update(bytes).digest('hex')}"`;
}
