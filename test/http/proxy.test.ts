// The proxy over real HTTP, between an honest installer and an upstream that lies.
import { once } from 'node:events';
import { mkdir, readdir, readFile, symlink, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { sha256Hex } from '../../src/lib/bytes.ts';
import { FileCache } from '../../src/proxy/file-cache.ts';
import { HELD_BACK_BYTES } from '../../src/proxy/transfer.ts';
import { DAY } from '../support/hostile-repository.ts';
import {
  HostileUpstream,
  jsonPage,
  proxyOf,
  untilAnswered,
  type ListedFile,
} from '../support/hostile-upstream.ts';
import { openFilesIn } from '../support/open-files.ts';
import { eventually } from '../support/publisher-process.ts';
import { tempDir } from '../support/temp-dir.ts';

const JSON_TYPE = 'application/vnd.pypi.simple.v1+json';
const WHEEL = 'demo-1.0-py3-none-any.whl';
const FILE = `packages/ab/${WHEEL}`;
const CONTENT = 'a wheel, as far as this test cares';

/** One project with one file, its page signed. */
async function upstreamWithPage(content: string | Uint8Array = CONTENT) {
  const upstream = await HostileUpstream.start();
  const hashes = { sha256: sha256Hex(content) };
  const page = jsonPage('demo', [{ filename: WHEEL, url: `../../${FILE}`, hashes }]);
  const [file = '', pageName = ''] = upstream.publish({ [FILE]: content, 'simple/demo/index.json': page });
  return { upstream, file, pageName };
}

async function page(address: string, name = 'demo', headers: Record<string, string> = {}) {
  const response = await fetch(`${address}/simple/${name}/`, { headers: { accept: JSON_TYPE, ...headers } });
  return { response, text: await response.text() };
}

async function filesOf(address: string, name = 'demo'): Promise<ListedFile[]> {
  const { response, text } = await page(address, name);
  expect(response.status, text).toBe(200);
  return (JSON.parse(text) as { files: ListedFile[] }).files;
}

async function get(address: string, file = FILE, headers: Record<string, string> = {}) {
  const response = await fetch(`${address}/files/${file}`, { headers });
  return { status: response.status, reason: response.statusText, text: await response.text() };
}

describe('an honest upstream', () => {
  test('a signed page leads to the file, in both forms', async () => {
    const { upstream } = await upstreamWithPage();
    const { address } = await proxyOf(upstream);
    const [file] = await filesOf(address);
    expect(file).toMatchObject({ filename: WHEEL, hashes: { sha256: sha256Hex(CONTENT) } });
    const url = new URL(file?.url ?? '', `${address}/simple/demo/`);
    expect(url.href).toBe(`${address}/files/${FILE}`);
    expect(await (await fetch(url)).text()).toBe(CONTENT);

    const html = await page(address, 'demo', { accept: 'text/html' });
    expect(html.response.headers.get('content-type')).toBe('text/html; charset=utf-8');
    expect(html.text).toContain(`<a href="../../files/${FILE}#sha256=${sha256Hex(CONTENT)}">${WHEEL}</a>`);
  });

  test('PEP 691 negotiation, PEP 503 names, conditional requests', async () => {
    const { upstream } = await upstreamWithPage();
    const { address } = await proxyOf(upstream);
    const types = async (accept: string) =>
      (await page(address, 'demo', { accept })).response.headers.get('content-type');
    expect(await types('application/vnd.pypi.simple.latest+json')).toBe(JSON_TYPE);
    expect(await types('application/vnd.pypi.simple.v1+html;q=0.2, text/html;q=0.01')).toContain('v1+html');
    expect(await types('*/*')).toContain('text/html');
    expect((await page(address, 'demo', { accept: 'image/png' })).response.status).toBe(400);
    for (const name of ['Demo', 'demo/../demo', 'DEMO']) {
      expect((await page(address, name)).response.url).toBe(`${address}/simple/demo/`);
    }
    expect((await page(address, 'de..mo')).response.status).toBe(404);
    const etag = (await page(address)).response.headers.get('etag') ?? '';
    expect((await page(address, 'demo', { 'if-none-match': etag })).response.status).toBe(304);
    expect((await page(address, 'absent')).response.status).toBe(404);
  });

  test('ranges, HEAD, and a file that the client has', async () => {
    const { upstream } = await upstreamWithPage();
    const { address } = await proxyOf(upstream);
    expect(await get(address, FILE, { range: 'bytes=2-6' })).toMatchObject({ status: 206, text: 'wheel' });
    expect(await get(address, FILE, { range: 'bytes=900-' })).toMatchObject({ status: 416 });
    expect(await get(address, FILE, { 'if-none-match': `"${sha256Hex(CONTENT)}"` })).toMatchObject({
      status: 304,
    });
    const head = await fetch(`${address}/files/${FILE}`, { method: 'HEAD' });
    expect(head.headers.get('content-length')).toBe(String(CONTENT.length));
  });

  test('a file is downloaded once and then comes from the cache, verified again', async () => {
    const { upstream, file } = await upstreamWithPage();
    const stateDirectory = await tempDir();
    const { address } = await proxyOf(upstream, { stateDirectory });
    const answers = await Promise.all(Array.from({ length: 20 }, () => get(address)));
    expect(answers.every(({ text }) => text === CONTENT)).toBe(true);
    expect(upstream.requests.filter((name) => name === file)).toHaveLength(1);

    const folder = path.join(stateDirectory, 'files', sha256Hex(CONTENT).slice(0, 2));
    const kept = `sha256-${sha256Hex(CONTENT)}`;
    // A file is kept after its answer has gone out.
    const isKept = async (): Promise<boolean> => (await readdir(folder).catch(() => [''])).includes(kept);
    await eventually('the file is kept', isKept);
    await writeFile(path.join(folder, kept), CONTENT.replace('wheel', 'wherl'));
    expect((await get(address)).text).toBe(CONTENT);
    expect(upstream.requests.filter((name) => name === file)).toHaveLength(2);
    await eventually('the file is kept again', isKept);
    expect(await readFile(path.join(folder, kept), 'utf8')).toBe(CONTENT);
  });

  test('downloads behind another one on a connection that ends hold no file', async () => {
    const other = 'packages/ab/other-1.0-py3-none-any.whl';
    const large = Buffer.alloc(4_000_000);
    const { upstream } = await upstreamWithPage(large);
    const [slow = ''] = upstream.publish({ [other]: 'slow' });
    upstream.lies.set(slow, () => undefined);
    const stateDirectory = await tempDir();
    const { address } = await proxyOf(upstream, { stateDirectory });
    expect((await get(address)).status).toBe(200);
    const { hostname, port } = new URL(address);
    const socket = connect(Number(port), hostname);
    const ask = (file: string) => `GET /files/${file} HTTP/1.1\r\nHost: x\r\n\r\n`;
    socket.write(ask(other) + ask(FILE).repeat(8));
    await expect.poll(() => upstream.requests).toContain(slow);
    expect((await get(address)).status).toBe(200);
    socket.destroy();
    await once(socket, 'close');
    await expect.poll(() => openFilesIn(path.join(stateDirectory, 'files'))).toEqual([]);
  });

  test('a cache from which another proxy takes files at this moment is opened', async () => {
    const directory = await tempDir();
    // A name that leads nowhere: listed, and gone when it is looked at.
    for (const name of ['work/one', `files/ab/sha256-ab${'0'.repeat(62)}`]) {
      const file = path.join(directory, name);
      await mkdir(path.dirname(file), { recursive: true });
      await symlink('gone', file);
    }
    const cache = await FileCache.open({ directory, maxBytes: 1000, now: () => 0, newId: () => 'work' });
    expect(cache.bytes).toBe(0);
  });

  test('the cache stays within its bound, and a file larger than it still arrives', async () => {
    const upstream = await HostileUpstream.start();
    const paths = Array.from({ length: 8 }, (_, index) => `packages/f${index}.tar.gz`);
    upstream.publish(Object.fromEntries(paths.map((name) => [name, name.repeat(20)])));
    upstream.publish({ 'packages/large.tar.gz': 'x'.repeat(5000) });
    const stateDirectory = await tempDir();
    const { address } = await proxyOf(upstream, { stateDirectory, maxCacheBytes: 1000 });
    for (const name of paths) expect((await get(address, name)).text).toBe(name.repeat(20));
    expect((await get(address, 'packages/large.tar.gz')).text).toHaveLength(5000);
    await expect
      .poll(async () => (await readdir(path.join(stateDirectory, 'work'))).length, { timeout: 10_000 })
      .toBe(0);
    const folders = await readdir(path.join(stateDirectory, 'files'));
    const kept = await Promise.all(folders.map((name) => readdir(path.join(stateDirectory, 'files', name))));
    expect(kept.flat().length).toBeLessThanOrEqual(2);
  });

  test('many requests share one refresh, and fresh metadata is not asked for again', async () => {
    const { upstream } = await upstreamWithPage();
    const { address } = await proxyOf(upstream, { freshMs: 10_000 });
    await Promise.all(Array.from({ length: 30 }, () => page(address)));
    expect(upstream.requests.filter((name) => name === '/metadata/timestamp.json')).toHaveLength(1);
    upstream.repository.clock.advance(10_000);
    await page(address);
    expect(upstream.requests.filter((name) => name === '/metadata/timestamp.json')).toHaveLength(2);
  });

  test('a newer root is followed, and remembered with the root file that came first', async () => {
    const { upstream } = await upstreamWithPage();
    const stateDirectory = await tempDir();
    const first = upstream.repository.at('1.root.json');
    await (await proxyOf(upstream, { stateDirectory })).stop();
    upstream.repository.publishRoot(2);
    const second = await proxyOf(upstream, { stateDirectory, root: first });
    expect(await (await fetch(`${second.address}/healthz`)).json()).toMatchObject({ trusted: { root: 2 } });
    await second.stop();
    const third = await proxyOf(upstream, { stateDirectory, root: first });
    expect((await get(third.address)).text).toBe(CONTENT);
  });
});

describe('a hostile upstream: files', () => {
  test.each<[attack: string, body: string | undefined, said: RegExp]>([
    [
      'other content of the same length',
      CONTENT.replace('wheel', 'wherl'),
      /has sha256 [0-9a-f]{64}, signed metadata says/,
    ],
    ['more bytes (endless data)', `${CONTENT}!`, /has more than 34 bytes, signed metadata says 34/],
    ['fewer bytes', CONTENT.slice(1), /has 33 bytes, signed metadata says 34/],
    ['nothing', '', /has 0 bytes/],
  ])('%s: refused before the first byte, with the reason', async (_attack, body, said) => {
    const { upstream, file } = await upstreamWithPage();
    const { address } = await proxyOf(upstream);
    upstream.lies.set(file, Buffer.from(body ?? ''));
    const refused = await get(address);
    expect(refused.status).toBe(403);
    expect(refused.reason).toMatch(said);
    expect(JSON.parse(refused.text)).toMatchObject({ status: 403 });
    // An attack that ends is forgotten.
    upstream.lies.clear();
    upstream.repository.clock.advance(60_000);
    expect((await get(address)).text).toBe(CONTENT);
  });

  test('endless data without a length ends at the length that was signed', async () => {
    const { upstream, file } = await upstreamWithPage();
    const { address } = await proxyOf(upstream);
    let sent = 0;
    upstream.lies.set(file, (_request, response) => {
      const more = (): void => {
        if (response.destroyed || sent > 50_000_000) return;
        sent += 65_536;
        response.write(Buffer.alloc(65_536), more);
      };
      more();
    });
    expect(await get(address)).toMatchObject({ status: 403 });
    expect(sent).toBeLessThan(50_000_000);
  });

  test('a large file is streamed, and its last bytes are held back until it is right', async () => {
    const good = Buffer.alloc(4 * HELD_BACK_BYTES, 'good');
    const { upstream, file } = await upstreamWithPage(good);
    const { address } = await proxyOf(upstream);
    let finish = (): void => undefined;
    upstream.lies.set(file, (_request, response) => {
      response.write(good.subarray(0, -1));
      finish = () => response.end('!');
    });
    const asked = fetch(`${address}/files/${FILE}`);
    await expect.poll(() => upstream.requests.includes(file)).toBe(true);
    const response = await untilAnswered(asked, upstream);
    expect(response.status).toBe(200);
    const reader = (response.body as ReadableStream<Uint8Array>).getReader();
    let received = 0;
    while (received < good.length - HELD_BACK_BYTES - 1) received += (await reader.read()).value?.length ?? 0;
    finish();
    await expect(
      (async () => {
        for (let read = await reader.read(); !read.done; read = await reader.read())
          received += read.value.length;
      })(),
    ).rejects.toThrow();
    expect(received).toBeLessThanOrEqual(good.length - HELD_BACK_BYTES);
    // Whoever tries again, from where the connection broke too, is told why.
    const again = await get(address, FILE, { range: `bytes=${received}-` });
    expect(again).toMatchObject({ status: 403 });
    expect(again.reason).toMatch(/has sha256/);
  });

  test('a large good file is streamed whole', async () => {
    const good = Buffer.alloc(3 * HELD_BACK_BYTES + 17, 'good');
    const { upstream, file } = await upstreamWithPage(good);
    const { address } = await proxyOf(upstream);
    let finish = (): void => undefined;
    upstream.lies.set(file, (_request, response) => {
      response.write(good.subarray(0, HELD_BACK_BYTES));
      finish = () => response.end(good.subarray(HELD_BACK_BYTES));
    });
    const asked = fetch(`${address}/files/${FILE}`);
    await expect.poll(() => upstream.requests.includes(file)).toBe(true);
    const response = await untilAnswered(asked, upstream);
    finish();
    expect(sha256Hex(Buffer.from(await response.arrayBuffer()))).toBe(sha256Hex(good));
  });

  test('a file that no snapshot knows is refused, although it is there', async () => {
    const { upstream } = await upstreamWithPage();
    const { address } = await proxyOf(upstream);
    upstream.place('/targets/packages/ab/evil-1.0.tar.gz', 'evil');
    const refused = await get(address, 'packages/ab/evil-1.0.tar.gz');
    expect(refused.status).toBe(404);
    expect(refused.reason).toMatch(/full TUF protection is not yet available but will be shortly/);
    expect(upstream.requests.some((name) => name.includes('evil'))).toBe(false);
  });

  test('no path leads anywhere else', async () => {
    const { upstream } = await upstreamWithPage();
    const { address } = await proxyOf(upstream);
    for (const name of ['..%2f..%2fsecret', '%2e%2e/x', 'a%00b', 'packages//x', '%ff', 'a%5cb']) {
      const { status, text } = await get(address, name);
      expect([400, 404], `${name}: ${text}`).toContain(status);
    }
  });

  test('an upstream that does not answer is a fault of its own kind', async () => {
    const { upstream, file } = await upstreamWithPage();
    const { address } = await proxyOf(upstream);
    upstream.lies.set(file, (request) => {
      request.socket.destroy();
    });
    expect(await get(address)).toMatchObject({ status: 504 });
    upstream.lies.clear();
    expect(await get(address)).toMatchObject({ status: 200, text: CONTENT });
  });
});

describe('a hostile upstream: metadata', () => {
  test.each<[attack: string, act: (upstream: HostileUpstream) => void, said: RegExp]>([
    [
      'freeze',
      ({ repository }) => {
        repository.clock.advance(40 * DAY);
      },
      /role root expired at/,
    ],
    [
      'rollback of the timestamp',
      ({ repository }) => {
        repository.publishTimestamp(1, { version: 1 });
      },
      /timestamp/,
    ],
    [
      'timestamp of another key',
      ({ repository }) => {
        repository.publishTimestamp(9, { version: 2 }, {}, repository.keys.root);
      },
      /signed by 0 of/,
    ],
    [
      'no metadata at all',
      ({ lies }) => {
        lies.set('/metadata/timestamp.json', (_request, response) => response.writeHead(404).end());
      },
      /timestamp\.json does not exist/,
    ],
    [
      'mix-and-match: targets of an older snapshot',
      (upstream) => {
        upstream.publish({ 'packages/new.tar.gz': 'new' });
        upstream.lies.set('/metadata/3.targets.json', Buffer.from(upstream.repository.at('2.targets.json')));
      },
      /targets/,
    ],
  ])('%s: nothing is answered, and pip shows the reason', async (_attack, act, said) => {
    const { upstream } = await upstreamWithPage();
    const { address } = await proxyOf(upstream);
    expect((await get(address)).status).toBe(200);
    act(upstream);
    upstream.repository.clock.advance(2000);
    const refused = await get(address);
    expect(refused.status).toBe(403);
    expect(refused.reason).toMatch(said);
    const asPip = await page(address, 'demo', { 'user-agent': 'pip/26.3 {"ci":null}' });
    expect(asPip.response.status).toBe(200);
    expect(asPip.response.headers.get('content-type')).toMatch(said);
    expect(asPip.response.headers.get('content-type')).toMatch(/^text\/plain/);
    expect(asPip.text).not.toContain('href');
    expect((await page(address)).response.status).toBe(403);
  });

  test('an altered page is refused', async () => {
    const { upstream, pageName } = await upstreamWithPage();
    const { address } = await proxyOf(upstream);
    upstream.lies.set(pageName, Buffer.from(jsonPage('demo', [{ filename: WHEEL, url: '../../evil.whl' }])));
    expect((await page(address)).response.status).toBe(403);
  });

  test('the page of another project, correctly signed, is refused', async () => {
    const upstream = await HostileUpstream.start();
    upstream.publish({ 'simple/demo/index.json': jsonPage('other', []) });
    const { address } = await proxyOf(upstream);
    const { response } = await page(address);
    expect(response.status).toBe(403);
    expect(response.statusText).toContain('is the page of "other"');
  });

  test('a signed page cannot inject anything into what an installer reads', async () => {
    const upstream = await HostileUpstream.start();
    const evil = '"><script>alert(1)</script><a href="//evil.example/x-1.0.tar.gz">';
    const file = { filename: WHEEL, url: `../../${FILE}` };
    const claims = { 'requires-python': evil, yanked: evil, provenance: evil };
    upstream.publish({ 'simple/demo/index.json': jsonPage('demo', [{ ...file, ...claims }]) });
    const { address } = await proxyOf(upstream);
    const { text } = await page(address, 'demo', { accept: 'text/html' });
    expect(text.match(/<a /g)).toHaveLength(1);
    expect(text).not.toContain('<script');
    expect(text).toContain('data-yanked="&quot;&gt;&lt;script&gt;');
  });
});

describe('an index whose pages are not signed', () => {
  async function unsigned(
    files: readonly Partial<ListedFile>[],
    published: Record<string, string> = { [FILE]: CONTENT },
  ) {
    const upstream = await HostileUpstream.start();
    if (Object.keys(published).length > 0) upstream.publish(published);
    upstream.place('/simple/demo/', jsonPage('demo', files));
    const proxy = await proxyOf(upstream, { indexUrl: `${upstream.address}/simple/` });
    return { upstream, address: proxy.address };
  }
  const link = { filename: WHEEL, url: `/${FILE}` };

  test('length and hash come from signed metadata, whatever the page says', async () => {
    const lie = {
      ...link,
      size: 1,
      hashes: { sha256: '0'.repeat(64) },
      'core-metadata': { sha256: '1'.repeat(64) },
    };
    const { address } = await unsigned([lie]);
    const [file] = await filesOf(address);
    expect(file).toMatchObject({ size: CONTENT.length, hashes: { sha256: sha256Hex(CONTENT) } });
    expect(file).not.toHaveProperty('core-metadata');
    expect((await get(address)).text).toBe(CONTENT);
  });

  test('a file that no snapshot knows is not chosen by accident, and says why it is refused', async () => {
    const newer = { filename: 'demo-99.0-py3-none-any.whl', url: '/packages/ab/demo-99.0-py3-none-any.whl' };
    const { address } = await unsigned([link, newer]);
    const [known, unknown] = await filesOf(address);
    expect(known).not.toHaveProperty('yanked');
    expect(unknown?.yanked).toMatch(/not yet available but will be shortly/);
    expect((await get(address, 'packages/ab/demo-99.0-py3-none-any.whl')).status).toBe(404);
  });

  test('where nothing is signed yet, the file is offered, so that its refusal is read', async () => {
    const { address } = await unsigned([link], {});
    const [file] = await filesOf(address);
    expect(file).not.toHaveProperty('yanked');
    expect((await get(address)).reason).toMatch(/not yet available but will be shortly/);
  });

  test('a file that is published meanwhile is known at once', async () => {
    const { upstream, address } = await unsigned([link], {});
    expect((await get(address)).status).toBe(404);
    upstream.publish({ [FILE]: CONTENT });
    upstream.repository.clock.advance(1000);
    expect((await get(address)).text).toBe(CONTENT);
  });

  test('links to other schemes, other names and paths that are none are left out', async () => {
    const { address } = await unsigned([
      link,
      { filename: WHEEL, url: `file:///etc/${WHEEL}` },
      { filename: WHEEL, url: `javascript:${WHEEL}` },
      { filename: WHEEL, url: '/packages/ab/other-1.0.tar.gz' },
      { filename: WHEEL, url: `/a/..%2f..%2f${WHEEL}` },
    ]);
    expect(await filesOf(address)).toHaveLength(1);
  });

  test('an HTML page of any make is read', async () => {
    const { upstream, address } = await unsigned([]);
    upstream.place(
      '/simple/demo/',
      `<!doctype html><A class=x HREF='/${FILE}#sha256=${'0'.repeat(64)}' data-requires-python="&gt;=3.8">x</A><a>`,
    );
    const [file] = await filesOf(address);
    expect(file).toMatchObject({ 'requires-python': '>=3.8', hashes: { sha256: sha256Hex(CONTENT) } });
  });

  test('a page that is none, or is absent', async () => {
    const { upstream, address } = await unsigned([]);
    upstream.place('/simple/demo/', '{"meta":{"api-version":"2.0"},"name":"demo","files":[]}');
    expect((await page(address)).response.status).toBe(403);
    expect((await page(address, 'absent')).response.status).toBe(404);
  });
});

describe('with verification switched off for a run', () => {
  test('what would be refused is passed on, and what verifies is still verified', async () => {
    const { upstream, file } = await upstreamWithPage();
    upstream.place('/targets/packages/ab/new-1.0.tar.gz', 'new');
    upstream.place(`/targets/${FILE}`, 'altered');
    const { address } = await proxyOf(upstream, { verify: false });
    expect((await get(address)).text).toBe(CONTENT);
    expect((await get(address, 'packages/ab/new-1.0.tar.gz')).text).toBe('new');
    upstream.repository.clock.advance(40 * DAY);
    upstream.lies.set(file, Buffer.from('altered'));
    expect((await get(address)).text).toBe('altered');
  });

  test('another content of the same length is no copy of what the client has', async () => {
    const { upstream } = await upstreamWithPage();
    const name = 'packages/ab/new-1.0.tar.gz';
    upstream.place(`/targets/${name}`, 'new');
    const { address } = await proxyOf(upstream, { verify: false });
    const etag = (await fetch(`${address}/files/${name}`)).headers.get('etag') ?? '';
    expect((await get(address, name, { 'if-none-match': etag })).status).toBe(304);
    upstream.place(`/targets/${name}`, 'old');
    expect(await get(address, name, { 'if-none-match': etag })).toMatchObject({ status: 200, text: 'old' });
  });
});
