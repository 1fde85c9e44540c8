// The client's directory under two processes and kill -9, and its downloads from a server that misbehaves.
import { createServer, type RequestListener } from 'node:http';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { symlink, readFile, writeFile, readdir } from 'node:fs/promises';
import path from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { fetchWhole } from '../../src/client/fetcher.ts';
import { httpFetcher } from '../../src/client/http-fetcher.ts';
import { systemClock } from '../../src/lib/clock.ts';
import { MetadataDirectory } from '../../src/storage/metadata-directory.ts';
import { runChild } from '../support/child.ts';
import { tempDir } from '../support/temp-dir.ts';

const bytes = (text: string): Buffer => Buffer.from(text);

describe('the metadata directory', () => {
  test('exchanges what is still there, and says when it is not', async () => {
    const directory = await tempDir();
    const [one, two] = [MetadataDirectory.open(directory), MetadataDirectory.open(directory)];
    await one.exchange('a.json', undefined, bytes('1'));
    await two.exchange('a.json', bytes('1'), bytes('2'));
    await expect(one.exchange('a.json', bytes('1'), bytes('3'))).rejects.toMatchObject({
      code: 'store-conflict',
    });
    // What somebody else has written already is what we want: nothing to do.
    await one.exchange('a.json', bytes('1'), bytes('2'));
    await one.exchange('a.json', bytes('2'), undefined);
    expect(await two.read('a.json')).toBeUndefined();
  });

  test('does not write through a link that stands in the way of its work', async () => {
    const directory = await tempDir();
    const outside = path.join(await tempDir(), 'outside');
    await writeFile(outside, 'mine');
    await symlink(outside, path.join(directory, '.next'));
    await MetadataDirectory.open(directory).keep('a.json', bytes('1'));
    expect(await readFile(outside, 'utf8')).toBe('mine');
    expect(await readFile(path.join(directory, 'a.json'), 'utf8')).toBe('1');
  });

  test('kill -9 in the middle of writing leaves one whole version, and the next process goes on', async () => {
    const directory = await tempDir();
    for (let round = 0; round < 3; round++) {
      const child = runChild('metadata-writer.ts', [directory]);
      await child.untilLines(3 + round);
      child.process.kill('SIGKILL');
      await child.ended;
      const content = await MetadataDirectory.open(directory).read('a.json');
      expect(content).toHaveLength(200_000);
      expect(new Set(content).size).toBe(1);
    }
    expect((await readdir(directory)).filter((name) => !/^(a\.json|\.next|\.lock.*)$/.test(name))).toEqual(
      [],
    );
  });

  test('two processes that write at once lose nothing: each exchange is against the last', async () => {
    const directory = await tempDir();
    const children = ['one', 'two'].map((name) => runChild('metadata-counter.ts', [directory, '40', name]));
    for (const child of children) expect(await child.ended).toBe(0);
    expect(await readFile(path.join(directory, 'count.json'), 'utf8')).toMatch(/^80 /);
  });
});

describe('the HTTP fetcher', () => {
  async function serve(listener: RequestListener): Promise<string> {
    const server = createServer(listener).listen(0, '127.0.0.1');
    await once(server, 'listening');
    onTestFinished(() => {
      server.closeAllConnections();
      server.close();
    });
    return `http://127.0.0.1:${(server.address() as AddressInfo).port}/file`;
  }

  /** Waits for what comes in the end, also on a busy computer. */
  const fetcher = httpFetcher(systemClock);
  const patience = { answerMs: 60_000, stretchMs: 300, stretchBytes: 1_000 };

  test.each([404, 403])('%i: there is none', async (status) => {
    const url = await serve((_, response) => response.writeHead(status).end('no'));
    expect(await fetchWhole(fetcher, url, 10)).toBeUndefined();
  });

  test('an endless body ends at the limit, announced or not', async () => {
    const announced = await serve((_, response) =>
      response.writeHead(200, { 'content-length': 11 }).end('x'.repeat(11)),
    );
    await expect(fetchWhole(fetcher, announced, 10)).rejects.toMatchObject({ code: 'metadata-too-large' });
    const endless = await serve((_, response) => {
      const more = (): void => {
        while (!response.destroyed && response.write('x'.repeat(100)));
        response.once('drain', more);
      };
      more();
    });
    await expect(fetchWhole(fetcher, endless, 1_000)).rejects.toMatchObject({ code: 'metadata-too-large' });
  });

  test('slow retrieval: neither silence nor a trickle goes on', async () => {
    const silent = await serve(() => undefined);
    const hasty = httpFetcher(systemClock, { ...patience, answerMs: 300 });
    await expect(fetchWhole(hasty, silent, 10)).rejects.toThrow('no answer within 300 ms');
    const trickle = await serve((_, response) => {
      const timer = setInterval(() => response.write('x'), 20);
      response.on('close', () => {
        clearInterval(timer);
      });
    });
    await expect(fetchWhole(httpFetcher(systemClock, patience), trickle, 100_000)).rejects.toMatchObject({
      code: 'store-unavailable',
      message: expect.stringContaining('less than 1000 bytes in 300 ms') as string,
    });
  });

  test('a connection that is cut, a fault of the server, and no server', async () => {
    const cut = await serve((_, response) => {
      response.writeHead(200, { 'content-length': 10 });
      response.write('abc', () => response.destroy());
    });
    await expect(fetchWhole(fetcher, cut, 10)).rejects.toMatchObject({ code: 'store-unavailable' });
    const broken = await serve((_, response) => response.writeHead(500).end());
    await expect(fetchWhole(fetcher, broken, 10)).rejects.toThrow('answers 500');
    await expect(fetchWhole(fetcher, 'http://127.0.0.1:1/x', 10)).rejects.toMatchObject({
      code: 'store-unavailable',
    });
  });

  test('redirects are followed within one scheme, and not for ever', async () => {
    const target = await serve((_, response) => response.end('here'));
    const within = await serve((_, response) => response.writeHead(302, { location: target }).end());
    expect(Buffer.from((await fetchWhole(fetcher, within, 10))!).toString()).toBe('here');
    const away = await serve((_, response) =>
      response.writeHead(302, { location: 'https://127.0.0.1:1/' }).end(),
    );
    await expect(fetchWhole(fetcher, away, 10)).rejects.toThrow('redirects to https:');
    const loop = await serve((_, response) => response.writeHead(302, { location: '/again' }).end());
    await expect(fetchWhole(fetcher, loop, 10)).rejects.toThrow('redirects more than');
  });
});
