// A simple index as a source of back-signing: both forms of its pages, what it says of itself, what it gets wrong, and what
// happens when it is asked again after an interruption.
import { readFile } from 'node:fs/promises';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { expect, onTestFinished, test, vi } from 'vitest';
import { askPage } from '../../src/backsign/sources/index-request.ts';
import { crawl, type Crawled } from '../../src/backsign/sources/simple-index.ts';
import { sha256Hex } from '../../src/lib/bytes.ts';
import { ManualClock } from '../support/manual-clock.ts';
import { tempDir } from '../support/temp-dir.ts';

const JSON_TYPE = 'application/vnd.pypi.simple.v1+json';

type Respond = (request: IncomingMessage, response: ServerResponse) => void;

interface Asked {
  readonly path: string;
  readonly status: number;
}

/** An index that answers as `pages` says, and everything that it was asked for. */
async function indexOf(pages: ReadonlyMap<string, Respond>): Promise<{ url: string; asked: Asked[] }> {
  const asked: Asked[] = [];
  const server = createServer((request, response) => {
    const path = request.url ?? '';
    response.on('finish', () => asked.push({ path, status: response.statusCode }));
    const respond = pages.get(path);
    if (respond === undefined) response.writeHead(404).end();
    else respond(request, response);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/simple/`, asked };
}

/** A page that knows its own ETag. */
function page(content: string | object, etag?: string, headers: Record<string, string> = {}): Respond {
  return (request, response) => {
    if (etag !== undefined && request.headers['if-none-match'] === etag) {
      response.writeHead(304).end();
      return;
    }
    const isHtml = typeof content === 'string';
    response.writeHead(200, {
      'content-type': isHtml ? 'text/html' : JSON_TYPE,
      ...(etag === undefined ? {} : { etag }),
      ...headers,
    });
    response.end(isHtml ? content : JSON.stringify(content));
  };
}

function file(content: string): Respond {
  return (request, response) => {
    response.writeHead(200, { 'content-length': Buffer.byteLength(content) });
    response.end(request.method === 'HEAD' ? undefined : content);
  };
}

interface Crawl {
  readonly crawled: Crawled;
  readonly lines: readonly unknown[];
}

/** One crawl with the pages of the one before; time passes as fast as somebody waits for it. */
function crawler(url: string, directory: string): (fetch?: boolean) => Promise<Crawl> {
  return async (fetch = false) => {
    const clock = new ManualClock(0);
    const listFile = join(directory, 'index.ndjson');
    const ticking = setInterval(() => {
      clock.advance(1000);
    }, 2);
    try {
      const pagesFile = join(directory, 'pages.ndjson');
      const crawled = await crawl({ url, fetch, pagesFile, listFile, clock, progress: () => undefined });
      const text = await readFile(listFile, 'utf8');
      const lines = text.split('\n').filter(Boolean).sort();
      return { crawled, lines: lines.map((line) => JSON.parse(line) as unknown) };
    } finally {
      clearInterval(ticking);
    }
  };
}

const WHEEL = { content: 'a wheel', sha256: sha256Hex('a wheel') };

function jsonIndex(files: readonly object[], etag?: string): Map<string, Respond> {
  return new Map([
    [
      '/simple/',
      page({ meta: { 'api-version': '1.1', '_last-serial': 4711 }, projects: [{ name: 'Demo.Project' }] }),
    ],
    ['/simple/demo-project/', page({ name: 'demo-project', files }, etag)],
  ]);
}

test('PEP 691: lengths and hashes as the index gives them, its serial, names normalized', async () => {
  const { url, asked } = await indexOf(
    jsonIndex([
      { filename: 'demo.whl', url: '../../packages/demo.whl', size: 7, hashes: { sha256: WHEEL.sha256 } },
      {
        filename: 'far.whl',
        url: 'http://files.invalid/packages/ab/far%2B1.whl',
        size: 8,
        hashes: { sha256: WHEEL.sha256 },
      },
    ]),
  );
  const { crawled, lines } = await crawler(url, await tempDir())();
  expect(crawled).toEqual({ projects: 1, files: 2, serial: 4711 });
  expect(lines).toEqual([
    { path: 'packages/ab/far+1.whl', length: 8, sha256: WHEEL.sha256 },
    { path: 'packages/demo.whl', length: 7, sha256: WHEEL.sha256 },
  ]);
  expect(asked.map(({ path }) => path)).toEqual(['/simple/', '/simple/demo-project/']);
});

test('PEP 503: hashes from fragments, lengths asked for; links that lead nowhere are no projects', async () => {
  const { url } = await indexOf(
    new Map([
      [
        '/simple/',
        page(
          '<a href="../">up</a><!-- <a href="hidden/">hidden</a> --><a class="x" href=\'/simple/demo/\'>Demo</a>',
          undefined,
          {
            'x-pypi-last-serial': '12',
          },
        ),
      ],
      [
        '/simple/demo/',
        page(
          `<a href="/files/demo.whl?a=1&amp;b=2#sha256=${WHEEL.sha256}">demo.whl</a>` +
            '<a href="/files/old.zip#md5=0123">old.zip</a><a href="mailto:nobody">mail</a>' +
            `<a href="/files/%zz.whl">bad</a><a href="/files/gone.whl#sha256=${WHEEL.sha256}">gone</a>`,
        ),
      ],
      ['/files/demo.whl?a=1&b=2', file(WHEEL.content)],
      ['/files/old.zip', file('old')],
    ]),
  );
  const { crawled, lines } = await crawler(url, await tempDir())();
  expect(crawled).toEqual({ projects: 1, files: 5, serial: 12 });
  expect(lines).toEqual([
    { path: '/files/%zz.whl', problem: expect.stringContaining('is no address of a file') as string },
    { path: 'files/demo.whl', length: 7, sha256: WHEEL.sha256 },
    {
      path: 'files/gone.whl',
      sha256: WHEEL.sha256,
      problem: expect.stringContaining('is absent') as string,
      mayPass: true,
    },
    { path: 'files/old.zip', length: 3 },
    { path: 'mailto:nobody', problem: expect.stringContaining('is no address of a file') as string },
  ]);
});

test('--fetch downloads every file, and names those that are not what the index says', async () => {
  const pages = jsonIndex([
    { url: '/files/good.whl', size: 7, hashes: { sha256: WHEEL.sha256 } },
    { url: '/files/bad.whl', size: 7, hashes: { sha256: WHEEL.sha256 } },
    { url: '/files/long.whl', size: 3, hashes: { sha256: WHEEL.sha256 } },
    { url: '/files/unsaid.whl', hashes: {} },
  ]);
  pages.set('/files/good.whl', file(WHEEL.content));
  pages.set('/files/bad.whl', file('another'));
  pages.set('/files/long.whl', file(WHEEL.content));
  pages.set('/files/unsaid.whl', file(WHEEL.content));
  const { url, asked } = await indexOf(pages);
  const again = crawler(url, await tempDir());
  const { lines } = await again(true);
  expect(lines).toEqual([
    {
      path: 'files/bad.whl',
      problem: expect.stringMatching(/has sha256 [0-9a-f]{64}, the index says/) as string,
    },
    { path: 'files/good.whl', length: 7, sha256: WHEEL.sha256, fetched: true },
    { path: 'files/long.whl', problem: expect.stringContaining('has 7 bytes, the index says 3') as string },
    { path: 'files/unsaid.whl', length: 7, sha256: WHEEL.sha256, fetched: true },
  ]);
  // An index without ETags is read again; what was downloaded and is named with the same hash is not.
  asked.length = 0;
  await again(true);
  expect(asked.map(({ path }) => path)).not.toContain('/files/good.whl');
});

test('asked again, it sends nothing twice; what was only listed is asked for when files are to be downloaded', async () => {
  const pages = jsonIndex([{ url: '/files/good.whl', size: 7, hashes: { sha256: WHEEL.sha256 } }], '"one"');
  pages.set('/files/good.whl', file(WHEEL.content));
  const { url, asked } = await indexOf(pages);
  const again = crawler(url, await tempDir());
  const first = await again();
  asked.length = 0;
  expect(await again()).toEqual(first);
  expect(asked).toEqual([
    { path: '/simple/', status: 200 },
    { path: '/simple/demo-project/', status: 304 },
  ]);
  asked.length = 0;
  await again(true);
  await again(true);
  expect(asked.filter(({ path }) => path === '/files/good.whl')).toHaveLength(1);
  expect(asked.at(-1)).toEqual({ path: '/simple/demo-project/', status: 304 });
});

test('an index that is busy is asked again; one that fails for good is named, and the crawl goes on where it was', async () => {
  const names = Array.from({ length: 40 }, (_, i) => `p${String(i).padStart(2, '0')}`);
  const pages = new Map<string, Respond>([['/simple/', page({ projects: names.map((name) => ({ name })) })]]);
  let inFlight = 0;
  let most = 0;
  let failing = true;
  let busy = 2;
  for (const name of names) {
    const answer = page(
      { files: [{ url: `/f/${name}.whl`, size: 1, hashes: { sha256: WHEEL.sha256 } }] },
      `"${name}"`,
    );
    pages.set(`/simple/${name}/`, (request, response) => {
      if (name === 'p00' && busy-- > 0) {
        response.writeHead(503, { 'retry-after': '2' }).end();
        return;
      }
      if (name === 'p30' && failing) {
        response.destroy();
        return;
      }
      most = Math.max(most, ++inFlight);
      setTimeout(() => {
        inFlight -= 1;
        answer(request, response);
      }, 3);
    });
  }
  const { url, asked } = await indexOf(pages);
  const again = crawler(url, await tempDir());
  await expect(again()).rejects.toMatchObject({
    code: 'service-unavailable',
    message: expect.stringContaining('/simple/p30/ cannot be read') as string,
  });
  expect(most).toBeGreaterThan(1);
  expect(most).toBeLessThanOrEqual(8);
  failing = false;
  asked.length = 0;
  const { crawled } = await again();
  expect(crawled).toEqual({ projects: 40, files: 40 });
  expect(asked.filter(({ status }) => status === 304).length).toBeGreaterThanOrEqual(20);
});

test('what is no simple index is refused by name; a project that has gone has no files', async () => {
  const { url } = await indexOf(new Map([['/simple/', page({ projects: [{ name: 'gone' }] })]]));
  expect((await crawler(url, await tempDir())()).crawled).toEqual({ projects: 1, files: 0 });
  for (const [content, reason] of [
    [{ message: 'hello' }, 'has no projects'],
    [{ projects: [{ title: 'x' }] }, 'a project without a name'],
  ] as const) {
    const other = await indexOf(new Map([['/simple/', page(content)]]));
    await expect(crawler(other.url, await tempDir())()).rejects.toMatchObject({
      code: 'manifest-invalid',
      message: expect.stringContaining(reason) as string,
    });
  }
  const none = await indexOf(new Map());
  await expect(crawler(none.url, await tempDir())()).rejects.toMatchObject({ code: 'manifest-invalid' });
});

test('a file that was not there yet is asked for again, although its page has not changed', async () => {
  const pages = jsonIndex([{ url: '/files/late.whl', hashes: { sha256: WHEEL.sha256 } }], '"one"');
  const { url } = await indexOf(pages);
  const again = crawler(url, await tempDir());
  expect((await again()).lines).toMatchObject([{ problem: expect.stringContaining('is absent') as string }]);
  pages.set('/files/late.whl', file(WHEEL.content));
  expect((await again()).lines).toEqual([{ path: 'files/late.whl', length: 7, sha256: WHEEL.sha256 }]);
});

test('files are measured as they are, not as a server sends them compressed', async () => {
  const sdist = gzipSync('an archive');
  const compressed: Respond = (request, response) => {
    const wanted =
      request.headers['accept-encoding'] !== 'identity' || request.url === '/files/always.tar.gz';
    const headers = wanted ? { 'content-encoding': 'x-gzip' } : {};
    response.writeHead(200, { ...headers, 'content-length': sdist.length });
    response.end(request.method === 'HEAD' ? undefined : sdist);
  };
  const pages = jsonIndex([{ url: '/files/asked.tar.gz' }, { url: '/files/always.tar.gz' }]);
  pages.set('/files/asked.tar.gz', compressed);
  pages.set('/files/always.tar.gz', compressed);
  const { url } = await indexOf(pages);
  const { lines } = await crawler(url, await tempDir())(true);
  expect(lines).toEqual([
    {
      path: 'files/always.tar.gz',
      problem: expect.stringContaining('comes with "Content-Encoding: x-gzip"') as string,
      mayPass: true,
    },
    { path: 'files/asked.tar.gz', length: sdist.length, sha256: sha256Hex(sdist), fetched: true },
  ]);
});

test('a length that an answer to HEAD does not say is not 0', async () => {
  const pages = jsonIndex([{ url: '/files/a.whl', hashes: { sha256: WHEEL.sha256 } }]);
  pages.set('/files/a.whl', (_, response) => {
    response.removeHeader('content-length');
    response.writeHead(200, { 'transfer-encoding': 'chunked' }).end();
  });
  const { url } = await indexOf(pages);
  const { lines } = await crawler(url, await tempDir())();
  expect(lines).toMatchObject([{ problem: expect.stringContaining('use --fetch') as string }]);
});

test.each(['text/plain', 'application/octet-stream', ''])(
  'a page of the type %j is none: without links it would say that all files are gone',
  async (type) => {
    const pages = jsonIndex([]);
    pages.set('/simple/demo-project/', (_, response) => {
      if (type !== '') response.setHeader('content-type', type);
      response.end('back in a minute');
    });
    const { url } = await indexOf(pages);
    await expect(crawler(url, await tempDir())()).rejects.toMatchObject({
      code: 'manifest-invalid',
      message: `${url}demo-project/ has the content type ${JSON.stringify(type)}, expected text/html or ${JSON_TYPE}`,
    });
  },
);

test('redirects are followed, but not from https to http', async () => {
  const pages = jsonIndex([]);
  pages.set('/', (_, response) => response.writeHead(308, { location: '/simple/' }).end());
  const { url } = await indexOf(pages);
  const clock = new ManualClock(0);
  expect(await askPage(new URL('/', url).href, undefined, clock)).toMatchObject({ url, isJson: true });
  vi.stubGlobal('fetch', () =>
    Promise.resolve(new Response(null, { status: 302, headers: { location: url } })),
  );
  onTestFinished(() => {
    vi.unstubAllGlobals();
  });
  await expect(askPage('https://index.example/simple/', undefined, clock)).rejects.toMatchObject({
    code: 'service-unavailable',
    message: `https://index.example/simple/ cannot be read: it redirects from https to ${url}`,
  });
});
