// How much slower pip is through the proxy: 50 real packages with a warm cache, beside the same pages and files from a
// plain web server, in turns. Needs what `npm run test:interop` installs: `node dist/scripts/bench/proxy.js`.
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import process from 'node:process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { systemClock } from '../../src/lib/clock.ts';
import { renderJsonPage } from '../../src/simple/page-json.ts';
import { parseFileName } from '../../src/simple/project-name.ts';
import { Installation, type Upload } from '../interop/installation.ts';
import { installPip } from '../interop/real-pip.ts';
import { closed, run, start } from '../interop/run.ts';

const COUNTERSIGN = fileURLToPath(new URL('../../src/main.js', import.meta.url));
const PACKAGES = 50;
const ROUNDS = Number(process.argv[2] ?? 5);

const { program: tools, reason } = await installPip();
if (tools === undefined) throw new Error(reason);
const folder = await mkdtemp(path.join(tmpdir(), 'countersign-proxy-bench-'));
const wheels = (await readdir(path.join(tools, 'wheels'))).toSorted().slice(0, PACKAGES);
const { files, pages } = await readWheels(tools, wheels);

const installation = await Installation.found(path.join(folder, 'index'), 256, 'succinct');
const service = await installation.serve();
const direct = await serveDirectly(path.join(installation.folder, 'files'), pages);
const proxy = await startProxy(service.url);
try {
  await service.publish([...files, ...pages.values()]);
  const install = async (index: string): Promise<number> => {
    const target = await mkdtemp(path.join(folder, 'site-'));
    const options = ['--no-cache-dir', '--disable-pip-version-check', '--no-deps', '--no-compile', '--quiet'];
    const args = ['install', ...options, '--target', target, '--index-url', index, ...pages.keys()];
    const startedAt = systemClock.now();
    await run(path.join(tools, 'bin/pip'), args, { timeoutMs: 600_000 });
    const ms = systemClock.now() - startedAt;
    await rm(target, { recursive: true });
    return ms;
  };
  const indexes = { direct: `${addressOf(direct)}/simple/`, proxy: `${proxy.address}/simple/` };
  const cold = await install(indexes.proxy);
  await install(indexes.direct);
  const times: Record<keyof typeof indexes, number[]> = { direct: [], proxy: [] };
  for (let round = 0; round < ROUNDS; round++) {
    // In turns, and each first in every other round: what else the computer does hits both.
    const order = round % 2 === 0 ? (['direct', 'proxy'] as const) : (['proxy', 'direct'] as const);
    for (const name of order) times[name].push(await install(indexes[name]));
  }
  const [without, through] = [median(times.direct), median(times.proxy)];
  process.stdout.write(
    `pip install of ${pages.size} packages, ${ROUNDS} rounds in turns, median (all)\n` +
      `  from a plain web server     ${seconds(without)} (${times.direct.map(seconds).join(', ')})\n` +
      `  through the proxy, warm     ${seconds(through)} (${times.proxy.map(seconds).join(', ')})\n` +
      `  through the proxy, cold     ${seconds(cold)}\n` +
      `  warm / plain                ${(through / without).toFixed(3)}\n`,
  );
} finally {
  await proxy.stop();
  direct.close();
  direct.closeAllConnections();
  await service.stop();
  await rm(folder, { recursive: true, force: true });
}

function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(2)} s`;
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;
}

function upload(name: string, content: Uint8Array): Upload {
  return {
    path: name,
    content,
    length: content.length,
    sha256: createHash('sha256').update(content).digest('hex'),
  };
}

async function readWheels(
  place: string,
  names: readonly string[],
): Promise<{ files: Upload[]; pages: Map<string, Upload> }> {
  const found: Upload[] = [];
  const pageOf = new Map<string, Upload>();
  for (const fileName of names) {
    const file = upload(`packages/${fileName}`, await readFile(path.join(place, 'wheels', fileName)));
    const { project = '', version = '' } = parseFileName(fileName) ?? {};
    const listed = {
      fileName,
      url: `../../${file.path}`,
      hashes: { sha256: file.sha256 },
      size: file.length,
    };
    const page = renderJsonPage({ name: project, versions: [version], files: [listed] });
    found.push(file);
    pageOf.set(project, upload(`simple/${project}/index.json`, Buffer.from(page)));
  }
  return { files: found, pages: pageOf };
}

/** The least that an index can do: pages from memory, files from the disk, nothing verified. */
async function serveDirectly(root: string, pageOf: ReadonlyMap<string, Upload>): Promise<Server> {
  const server = createServer((request, response) => {
    const name = decodeURIComponent(request.url ?? '/');
    const page = pageOf.get(name.split('/').at(2) ?? '');
    if (name.startsWith('/simple/') && page !== undefined) {
      response.setHeader('content-type', 'application/vnd.pypi.simple.v1+json');
      response.end(page.content);
      return;
    }
    createReadStream(path.join(root, path.normalize(name)))
      .once('error', () => response.writeHead(404).end())
      .pipe(response);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return server;
}

function addressOf(server: Server): string {
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

async function startProxy(repository: string): Promise<{ address: string; stop: () => Promise<void> }> {
  const places = ['--metadata-url', `${repository}/metadata`, '--target-base-url', `${repository}/targets`];
  const own = ['--root', installation.root, '--state', path.join(folder, 'proxy'), '--listen', '127.0.0.1:0'];
  const child = start(process.execPath, [COUNTERSIGN, 'proxy', '--json', ...places, ...own]);
  const ended = closed(child);
  child.stderr?.resume();
  const address = await new Promise<string>((resolve, reject) => {
    createInterface({ input: child.stdout as NodeJS.ReadableStream }).on('line', (line) => {
      const found = /"address": "([^"]+)"/.exec(line)?.[1];
      if (found !== undefined) resolve(found);
    });
    void ended.then(([code]) => {
      reject(new Error(`the proxy ended with ${String(code)}`));
    });
  });
  const stop = async (): Promise<void> => {
    child.kill('SIGTERM');
    await ended;
  };
  return { address, stop };
}
