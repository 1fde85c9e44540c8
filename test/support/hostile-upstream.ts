// A repository behind HTTP that says whatever a test wants: metadata correctly signed unless the test says otherwise,
// target files, a simple index beside them; and every way to answer a request badly.
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { expect, onTestFinished } from 'vitest';
import { silentLogger } from '../../src/lib/log.ts';
import { startProxy, type ProxyOptions, type RunningProxy } from '../../src/proxy/start-proxy.ts';
import { sha256Hex } from '../../src/lib/bytes.ts';
import { MetadataDirectory } from '../../src/storage/metadata-directory.ts';
import { hashedTargetPath } from '../../src/tuf/layout.ts';
import { HostileRepository, type Fields } from './hostile-repository.ts';
import { tempDir } from './temp-dir.ts';

export type Answer = (request: IncomingMessage, response: ServerResponse) => void;

export class HostileUpstream {
  readonly repository = new HostileRepository();
  /** What is answered instead of everything below, by the path of the request. */
  readonly lies = new Map<string, Answer | Uint8Array>();
  readonly requests: string[] = [];
  address = '';
  #version = 1;
  readonly #targets: Record<string, Fields> = {};
  readonly #contents = new Map<string, Buffer>();

  static async start(): Promise<HostileUpstream> {
    const upstream = new HostileUpstream();
    const server = createServer((request, response) => {
      upstream.#answer(request, response);
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    upstream.address = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    onTestFinished(() => {
      server.closeAllConnections();
      server.close();
    });
    return upstream;
  }

  /** Publishes files in a snapshot of their own; returns the address path of each. */
  publish(files: Readonly<Record<string, string | Uint8Array>>): string[] {
    const names = Object.entries(files).map(([path, content]) => {
      const bytes = Buffer.from(content);
      const sha256 = sha256Hex(bytes);
      this.#targets[path] = { length: bytes.length, hashes: { sha256 } };
      const name = `/targets/${hashedTargetPath(path, sha256)}`;
      this.#contents.set(name, bytes);
      return name;
    });
    this.#version += 1;
    const version = this.#version;
    this.repository.publishTargets(version, { targets: this.#targets });
    this.repository.publishOnline(version, { 'targets.json': { version } });
    return names;
  }

  /** A file that is there and in no snapshot; `name` is the path of its address. */
  place(name: string, content: string | Uint8Array): void {
    this.#contents.set(name, Buffer.from(content));
  }

  #answer(request: IncomingMessage, response: ServerResponse): void {
    const path = decodeURIComponent(request.url ?? '/');
    this.requests.push(path);
    const lie = this.lies.get(path);
    if (typeof lie === 'function') {
      lie(request, response);
      return;
    }
    const bytes = lie ?? this.#contents.get(path) ?? this.repository.served.get(`mem:${path}`);
    if (path.startsWith('/simple/')) response.setHeader('content-type', pageType(bytes));
    if (bytes === undefined) response.writeHead(404).end();
    else response.end(bytes);
  }
}

function pageType(bytes: Uint8Array | undefined): string {
  return bytes?.[0] === '{'.charCodeAt(0) ? 'application/vnd.pypi.simple.v1+json' : 'text/html';
}

/** A proxy in front of it, stopped when the test ends. */
export async function proxyOf(
  upstream: HostileUpstream,
  options: Partial<ProxyOptions> = {},
): Promise<RunningProxy> {
  let id = 0;
  const proxy = await startProxy(
    {
      metadataUrl: `${upstream.address}/metadata/`,
      targetBaseUrl: `${upstream.address}/targets/`,
      fileBaseUrls: [],
      root: upstream.repository.at('1.root.json'),
      stateDirectory: await tempDir(),
      maxCacheBytes: 1_000_000_000,
      freshMs: 0,
      checkedFiles: 16,
      host: '127.0.0.1',
      port: 0,
      verify: true,
      ...options,
    },
    {
      clock: upstream.repository.clock,
      newId: () => `work-${++id}`,
      log: silentLogger(),
      openStore: (directory) => MetadataDirectory.open(directory),
    },
  );
  onTestFinished(() => proxy.stop());
  return proxy;
}

/** The answer to a download that is slower than the proxy's patience: the clock moves until it comes. */
export async function untilAnswered(
  asked: Promise<Response>,
  { repository }: HostileUpstream,
): Promise<Response> {
  let answered = false;
  void asked.finally(() => (answered = true));
  await expect
    .poll(() => {
      repository.clock.advance(500);
      return answered;
    })
    .toBe(true);
  return asked;
}

export interface ListedFile {
  readonly filename: string;
  readonly url: string;
  readonly hashes: Readonly<Record<string, string>>;
  readonly size?: number;
  readonly yanked?: boolean | string;
  readonly [key: string]: unknown;
}

/** A page as an index writes it (PEP 691). */
export function jsonPage(name: string, files: readonly Partial<ListedFile>[]): string {
  return JSON.stringify({
    meta: { 'api-version': '1.1' },
    name,
    versions: [],
    files: files.map((file) => ({ hashes: {}, ...file })),
  });
}
