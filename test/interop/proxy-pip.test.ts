// pip and uv, unchanged, through the proxy: real wheels install, and each attack is refused in words that the person
// in front of the installer reads.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { text } from 'node:stream/consumers';
import { beforeAll, describe, expect, test } from 'vitest';
import { installPip } from '../../scripts/interop/real-pip.ts';
import { makeWheel } from '../../src/demo/wheel.ts';
import { sha256Hex } from '../../src/lib/bytes.ts';
import { parseFileName } from '../../src/simple/project-name.ts';
import { DAY } from '../support/hostile-repository.ts';
import { HostileUpstream, jsonPage, proxyOf, type ListedFile } from '../support/hostile-upstream.ts';
import { tempDir } from '../support/temp-dir.ts';

let tools: string;
beforeAll(async () => {
  const { program, reason } = await installPip();
  if (program === undefined) throw new Error(reason);
  tools = program;
});

interface Said {
  readonly status: number | null;
  readonly text: string;
}

async function runTool(name: string, args: readonly string[]): Promise<Said> {
  const child = spawn(path.join(tools, 'bin', name), args, {
    env: { PATH: process.env['PATH'] ?? '', HOME: await tempDir(), UV_NO_PROGRESS: '1' },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const [out, error, [status]] = await Promise.all([
    text(child.stdout),
    text(child.stderr),
    once(child, 'close') as Promise<[number | null]>,
  ]);
  return { status, text: out + error };
}

async function pipInstall(address: string, into: string, ...names: readonly string[]): Promise<Said> {
  const quiet = ['--no-cache-dir', '--disable-pip-version-check', '--no-input', '--no-compile'];
  const index = ['--index-url', `${address}/simple/`, '--target', into];
  return runTool('pip', ['install', ...quiet, ...index, ...names]);
}

function uvInstall(address: string, into: string, ...names: readonly string[]): Promise<Said> {
  const python = path.join(tools, 'bin/python');
  const options = ['--no-cache', '--python', python, '--target', into, '--index-url', `${address}/simple/`];
  return runTool('uv', ['pip', 'install', ...options, ...names]);
}

/** A record of what was said, for docs/proxy.md: `TRANSCRIPT=FILE`. */
async function keepTranscript(what: string, said: Said): Promise<void> {
  const file = process.env['TRANSCRIPT'];
  if (file !== undefined) await writeFile(file, `--- ${what}\n${said.text}\n`, { flag: 'a' });
}

/** Every wheel with its signed page. */
async function publishWheels(upstream: HostileUpstream): Promise<void> {
  const files: Record<string, Uint8Array> = {};
  const pages = new Map<string, ListedFile[]>();
  for (const filename of await readdir(path.join(tools, 'wheels'))) {
    const bytes = await readFile(path.join(tools, 'wheels', filename));
    const project = parseFileName(filename)?.project ?? '';
    files[`packages/${filename}`] = bytes;
    const file = { filename, url: `../../packages/${filename}`, hashes: { sha256: sha256Hex(bytes) } };
    pages.set(project, [...(pages.get(project) ?? []), { ...file, size: bytes.length }]);
  }
  for (const [project, listed] of pages) {
    files[`simple/${project}/index.json`] = Buffer.from(jsonPage(project, listed));
  }
  upstream.publish(files);
}

describe('real wheels with their dependencies', () => {
  test.each([
    ['pip', pipInstall],
    ['uv', uvInstall],
  ] as const)('%s installs through the proxy', async (_name, install) => {
    const upstream = await HostileUpstream.start();
    await publishWheels(upstream);
    const { address } = await proxyOf(upstream);
    const into = path.join(await tempDir(), 'site');
    const said = await install(address, into, 'flask', 'rich');
    expect(said.status, said.text).toBe(0);
    const installed = await readdir(into);
    for (const name of ['flask', 'werkzeug', 'jinja2', 'rich', 'pygments']) expect(installed).toContain(name);
  });
});

const GOOD = makeWheel('demo', '1.0', 'answer = 42\n');
const NEWER = makeWheel('demo', '2.0', 'answer = 43\n');
const FILE = `packages/${GOOD.fileName}`;

async function demoIndex() {
  const upstream = await HostileUpstream.start();
  const hashes = { sha256: sha256Hex(GOOD.bytes) };
  const page = jsonPage('demo', [{ filename: GOOD.fileName, url: `../../${FILE}`, hashes }]);
  const [file = '', pageName = ''] = upstream.publish({ [FILE]: GOOD.bytes, 'simple/demo/index.json': page });
  return { upstream, file, pageName };
}

type Demo = Awaited<ReturnType<typeof demoIndex>>;

test.each([
  ['pip', pipInstall],
  ['uv', uvInstall],
] as const)(
  '%s installs what is promised a metadata file that the upstream has not',
  async (_name, install) => {
    const { upstream } = await demoIndex();
    const metadata = 'Metadata-Version: 2.1\nName: demo\nVersion: 1.0\n';
    const promised = { 'core-metadata': { sha256: sha256Hex(metadata) } };
    const hashes = { sha256: sha256Hex(GOOD.bytes) };
    const listed = { filename: GOOD.fileName, url: `../../${FILE}`, hashes, ...promised };
    upstream.publish({ 'simple/demo/index.json': jsonPage('demo', [listed]) });
    const { address } = await proxyOf(upstream);
    const into = path.join(await tempDir(), 'site');
    const said = await install(address, into, 'demo');
    expect(said.status, said.text).toBe(0);
    expect(upstream.requests).toContain(`/targets/${FILE}.metadata`);
  },
);

describe('what the person reads', () => {
  test.each<[attack: string, act: (demo: Demo) => void, said: RegExp]>([
    [
      'a file with other content',
      ({ upstream, file }) => upstream.lies.set(file, makeWheel('demo', '1.0', 'answer = 43\n').bytes),
      /403 Client Error: countersign: demo-1\.0-py3-none-any\.whl has sha256 [0-9a-f]{64}, signed metadata says/,
    ],
    [
      'a longer file',
      ({ upstream, file }) => upstream.lies.set(file, Buffer.concat([GOOD.bytes, Buffer.alloc(9)])),
      /countersign: demo-1\.0-py3-none-any\.whl has more than \d+ bytes, signed metadata says/,
    ],
    [
      'a page with other content',
      ({ upstream, pageName }) => upstream.lies.set(pageName, Buffer.from(jsonPage('demo', []))),
      /countersign: the page of demo has \d+ bytes, signed metadata says \d+/,
    ],
    [
      'a frozen repository',
      ({ upstream }) => {
        upstream.repository.clock.advance(40 * DAY);
      },
      /countersign: role root expired at 2026-01-31T00:00:00\.000Z, it is 2026-02-10/,
    ],
    [
      'a forged timestamp',
      ({ upstream: { repository } }) => {
        repository.publishTimestamp(7, { version: 7 }, {}, repository.keys.root);
      },
      /countersign: role timestamp .*signed by 0 of/,
    ],
    [
      'an older timestamp (rollback)',
      ({ upstream: { repository } }) => {
        repository.publishTimestamp(1, { version: 1 });
      },
      /countersign: version 1 of timestamp is below the trusted 2/,
    ],
    [
      'an upstream that is down',
      ({ upstream, file }) =>
        upstream.lies.set(file, (request) => {
          request.socket.destroy();
        }),
      /504 Server Error: countersign: .*demo-1\.0/,
    ],
  ])('pip: %s', async (attack, act, reason) => {
    const demo = await demoIndex();
    const { address } = await proxyOf(demo.upstream);
    expect((await fetch(`${address}/healthz`)).status).toBe(200);
    act(demo);
    demo.upstream.repository.clock.advance(1000);
    const said = await pipInstall(address, path.join(await tempDir(), 'site'), 'demo');
    await keepTranscript(`pip, ${attack}`, said);
    expect(said.status).not.toBe(0);
    expect(said.text.replaceAll(/\s+/g, ' ')).toMatch(reason);
  });

  test('pip: a file that is not yet in a snapshot', async () => {
    const { upstream } = await demoIndex();
    const both = [GOOD, NEWER].map(({ fileName }) => ({ filename: fileName, url: `/packages/${fileName}` }));
    upstream.place('/index/demo/', jsonPage('demo', both));
    upstream.publish({ 'simple/other/index.json': jsonPage('other', []) });
    const unsigned = await HostileUpstream.start();
    unsigned.publish({ [FILE]: GOOD.bytes });
    unsigned.place('/simple/demo/', jsonPage('demo', both));
    const { address } = await proxyOf(unsigned, { indexUrl: `${unsigned.address}/simple/` });
    const exact = await pipInstall(address, path.join(await tempDir(), 'site'), 'demo==2.0');
    await keepTranscript('pip, a file that is not yet in a snapshot', exact);
    expect(exact.status).not.toBe(0);
    expect(exact.text).toMatch(/full TUF protection is not yet available but will be shortly/);
    // Without a version, the newest one that is signed.
    const into = path.join(await tempDir(), 'site');
    expect((await pipInstall(address, into, 'demo')).status).toBe(0);
    expect(await readdir(into)).toContain('demo-1.0.dist-info');
  });

  test('uv: a file with other content', async () => {
    const { upstream, file } = await demoIndex();
    upstream.lies.set(file, makeWheel('demo', '1.0', 'answer = 43\n').bytes);
    const { address } = await proxyOf(upstream);
    const said = await uvInstall(address, path.join(await tempDir(), 'site'), 'demo');
    await keepTranscript('uv, a file with other content', said);
    expect(said.status).not.toBe(0);
    expect(said.text).toMatch(/403/);
  });

  test('pip: a large file that turns bad at its end installs nothing, and the reason is read', async () => {
    const large = makeWheel('demo', '1.0', `answer = 42\n# ${'x'.repeat(2_000_000)}\n`);
    const upstream = await HostileUpstream.start();
    const hashes = { sha256: sha256Hex(large.bytes) };
    const page = jsonPage('demo', [{ filename: large.fileName, url: `../../${FILE}`, hashes }]);
    const [file = ''] = upstream.publish({ [FILE]: large.bytes, 'simple/demo/index.json': page });
    upstream.lies.set(file, (_request, response) => {
      response.write(large.bytes.subarray(0, -10));
      // The proxy's patience ends, and it begins to pass on what has come.
      const tick = setInterval(() => {
        upstream.repository.clock.advance(1000);
      }, 100);
      setTimeout(() => {
        clearInterval(tick);
        response.end(Buffer.alloc(10));
      }, 2000);
    });
    const { address } = await proxyOf(upstream);
    const into = path.join(await tempDir(), 'site');
    await mkdir(into);
    const said = await pipInstall(address, into, 'demo');
    await keepTranscript('pip, a large file that turns bad at its end', said);
    expect(said.status).not.toBe(0);
    expect(said.text).toMatch(/403 Client Error: countersign: demo-1\.0-py3-none-any\.whl has sha256/);
    expect(await readdir(into)).toEqual([]);
  });

  test('pip: with verification switched off', async () => {
    const { upstream, file } = await demoIndex();
    const other = makeWheel('demo', '1.0', 'answer = 43\n').bytes;
    upstream.lies.set(file, other);
    upstream.place(`/targets/${FILE}`, other);
    upstream.place(
      '/targets/simple/demo/index.json',
      jsonPage('demo', [{ filename: GOOD.fileName, url: `../../${FILE}` }]),
    );
    const { address } = await proxyOf(upstream, { verify: false });
    upstream.repository.clock.advance(40 * DAY);
    const into = path.join(await tempDir(), 'site');
    const said = await pipInstall(address, into, 'demo');
    expect(said.status, said.text).toBe(0);
    expect(await readFile(path.join(into, 'demo.py'), 'utf8')).toContain('43');
  });
});
