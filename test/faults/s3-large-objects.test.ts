// Large objects and a server that falls silent or refuses: a call ends, and nothing stays open.
import { once } from 'node:events';
import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import path from 'node:path';
import { beforeAll, expect, onTestFinished, test } from 'vitest';
import { systemClock } from '../../src/lib/clock.ts';
import type { LargeObjects } from '../../src/storage/large-objects.ts';
import { openS3LargeObjects } from '../../src/storage/s3-large-objects.ts';
import { openFilesIn } from '../support/open-files.ts';
import { eventually } from '../support/publisher-process.ts';
import { tempDir } from '../support/temp-dir.ts';

/** More than the buffers of a connection hold. */
const LARGE = 64 * 1024 * 1024;

beforeAll(() => {
  Object.assign(process.env, { AWS_ACCESS_KEY_ID: 'x', AWS_SECRET_ACCESS_KEY: 'x' });
});

async function open(listener: RequestListener): Promise<{ files: LargeObjects; spool: string }> {
  const server = createServer(listener).listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  const endpoint = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const location = { bucket: 'bucket', prefix: '', endpoint, pathStyle: true };
  const spool = path.join(await tempDir(), 'spool');
  const limits = { silenceMs: 300, attempts: 2, firstPauseMs: 1 };
  return {
    files: await openS3LargeObjects(location, spool, { clock: systemClock, random: Math.random }, limits),
    spool,
  };
}

async function* body(length: number): AsyncGenerator<Uint8Array> {
  for (let left = length; left > 0; left -= 1024 * 1024) yield new Uint8Array(Math.min(left, 1024 * 1024));
  await Promise.resolve();
}

async function readAll(files: LargeObjects): Promise<number> {
  let size = 0;
  for await (const chunk of files.read('a')) size += chunk.length;
  return size;
}

test('a body that stops in the middle ends in an error', async () => {
  const { files } = await open((_request, response) => {
    response.writeHead(200, { etag: '"a"', 'content-length': 1000 });
    response.write(Buffer.alloc(500));
  });
  await expect(readAll(files)).rejects.toMatchObject({ code: 'store-unavailable' });
});

test.each(['size', 'read', 'remove'] as const)(
  '%s: a server that never answers is given up',
  async (call) => {
    const { files } = await open(() => undefined);
    const answer = call === 'read' ? readAll(files) : files[call]('a');
    await expect(answer).rejects.toMatchObject({ code: 'store-unavailable' });
  },
);

test('a server that takes no more bytes is given up, and the file is not kept open', async () => {
  const { files, spool } = await open((request) => request.pause());
  await expect(files.write('a', LARGE, body(LARGE))).rejects.toMatchObject({ code: 'store-unavailable' });
  await eventually('nothing is open', () => openFilesIn(spool).length === 0);
});

test('a server that refuses leaves no file open: the disk would keep it', async () => {
  const { files, spool } = await open((request, response) => {
    response.writeHead(503).end('<Error><Code>SlowDown</Code></Error>');
    request.resume();
  });
  for (let i = 0; i < 3; i++) {
    await expect(files.write('a', LARGE, body(LARGE))).rejects.toMatchObject({ code: 'store-unavailable' });
  }
  await eventually('nothing is open', () => openFilesIn(spool).length === 0);
});
