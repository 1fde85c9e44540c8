// An index with the addresses that mirrors of PyPI ask: /simple/ with serials (PEP 691, PEP 700), XML-RPC at /pypi,
// /pypi/NAME/json and the files, which are real ones; and the signed metadata of the same files beside it.
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import path from 'node:path';
import { text } from 'node:stream/consumers';
import { onTestFinished } from 'vitest';
import { systemClock } from '../../src/lib/clock.ts';
import { parseFileName } from '../../src/simple/project-name.ts';
import { ManualClock } from './manual-clock.ts';
import { accept, foundRepository, publishAll, type TestRepository } from './repository.ts';

interface IndexFile {
  readonly project: string;
  readonly version: string;
  readonly name: string;
  /** Under which it is asked for, and signed. */
  readonly path: string;
  readonly bytes: Buffer;
  readonly sha256: string;
  readonly uploaded: string;
}

export class PypiShapedIndex {
  /** Without a final slash; `metadata`, `simple` and `packages` are below it. */
  readonly url: string;
  readonly repository: TestRepository;
  /** What was asked for, without slashes at the ends; with XML-RPC the method. */
  readonly requests: string[] = [];
  /** False: /simple/ lists names only, as every index but PyPI does. */
  serials = true;
  readonly #files: Map<string, IndexFile>;
  readonly #serials: Map<string, number>;

  private constructor(
    url: string,
    repository: TestRepository,
    files: Map<string, IndexFile>,
    serials: Map<string, number>,
  ) {
    this.url = url;
    this.repository = repository;
    this.#files = files;
    this.#serials = serials;
  }

  /** Serves on loopback until the test ends; its metadata are fresh now. */
  static async serve(tls: { readonly cert: Buffer; readonly key: Buffer }): Promise<PypiShapedIndex> {
    const repository = await foundRepository({ clock: new ManualClock(systemClock.now() - 60_000) });
    const files = new Map<string, IndexFile>();
    const serials = new Map<string, number>();
    const server = createServer({ cert: tls.cert, key: tls.key }, (request, response) => {
      answer(request, index, response).catch(() => response.destroy());
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    onTestFinished(() => {
      server.close();
      server.closeAllConnections();
    });
    const url = `https://127.0.0.1:${(server.address() as AddressInfo).port}`;
    const index = new PypiShapedIndex(url, repository, files, serials);
    return index;
  }

  get projects(): ReadonlyMap<string, number> {
    return this.#serials;
  }

  filesOf(project: string): IndexFile[] {
    return [...this.#files.values()].filter((file) => file.project === project);
  }

  file(target: string): IndexFile | undefined {
    return this.#files.get(target);
  }

  /** Takes a real file in, and signs it. The path of its target. */
  async upload(file: string): Promise<string> {
    const name = path.basename(file);
    const identity = parseFileName(name);
    if (identity === undefined) throw new Error(`${name} is the name of no package`);
    const bytes = await readFile(file);
    const sha256 = createHash('sha256').update(bytes).digest('hex');
    const target = `packages/${sha256.slice(0, 2)}/${sha256.slice(2, 4)}/${sha256.slice(4)}/${name}`;
    await accept(this.repository, [
      { op: 'add', path: target, target: { length: bytes.length, hashes: { sha256 } } },
    ]);
    await publishAll(this.repository);
    const uploaded = new Date(systemClock.now()).toISOString();
    this.#files.set(target, { ...identity, name, path: target, bytes, sha256, uploaded });
    this.#changed(identity.project);
    return target;
  }

  /** Deletes a file; it leaves the metadata too. */
  async remove(target: string): Promise<void> {
    const file = this.#files.get(target);
    if (file === undefined) throw new Error(`${target} is not there`);
    await accept(this.repository, [{ op: 'remove', path: target }]);
    await publishAll(this.repository);
    this.#files.delete(target);
    this.#changed(file.project);
  }

  #changed(project: string): void {
    this.#serials.set(project, Math.max(0, ...this.#serials.values()) + 1);
  }
}

async function answer(
  request: IncomingMessage,
  index: PypiShapedIndex,
  response: ServerResponse,
): Promise<void> {
  const asked = (request.url ?? '').slice(1).replace(/\/$/, '');
  if (asked === 'pypi' && request.method === 'POST') {
    const call = await text(request);
    index.requests.push(/<methodName>(.*?)<\/methodName>/.exec(call)?.[1] ?? '');
    response.writeHead(200, { 'content-type': 'text/xml' }).end(answerCall(call, index.projects));
    return;
  }
  index.requests.push(asked);
  const json = (document: unknown, headers: Record<string, string> = {}): void => {
    response.setHeader('content-type', 'application/vnd.pypi.simple.v1+json');
    response.writeHead(200, headers).end(JSON.stringify(document));
  };
  const project = /^pypi\/([^/]+)\/json$/.exec(asked)?.[1];
  const serial = index.projects.get(project ?? '');
  const file = index.file(asked);
  if (asked === 'simple') {
    const projects = [...index.projects].map(([name, last]) => ({
      name,
      ...(index.serials && { '_last-serial': last }),
    }));
    json({ meta: { 'api-version': '1.3' }, projects });
  } else if (project !== undefined && serial !== undefined) {
    json(projectDocument(index, project, serial), { 'x-pypi-last-serial': String(serial) });
  } else if (file !== undefined) {
    response.writeHead(200, { 'content-length': file.bytes.length }).end(file.bytes);
  } else {
    const object = asked.startsWith('metadata/')
      ? await index.repository.store.get(asked, 5_000_000)
      : undefined;
    response.writeHead(object === undefined ? 404 : 200).end(object?.bytes);
  }
}

function projectDocument(index: PypiShapedIndex, project: string, serial: number): object {
  const releases: Record<string, object[]> = {};
  for (const { version, name, path: target, bytes, sha256, uploaded } of index.filesOf(project)) {
    (releases[version] ??= []).push({
      filename: name,
      url: `${index.url}/${target}`,
      size: bytes.length,
      digests: { sha256 },
      upload_time_iso_8601: uploaded,
      requires_python: null,
      yanked: false,
      packagetype: name.endsWith('.whl') ? 'bdist_wheel' : 'sdist',
    });
  }
  return { info: { name: project }, last_serial: serial, releases, urls: [] };
}

/** The two methods of PyPI's XML-RPC that mirrors use. */
function answerCall(call: string, projects: ReadonlyMap<string, number>): string {
  const int = (value: number): string => `<value><int>${value}</int></value>`;
  const string = (value: string): string => `<value><string>${value}</string></value>`;
  let result = '';
  if (call.includes('list_packages_with_serial')) {
    const members = [...projects].map(
      ([name, serial]) => `<member><name>${name}</name>${int(serial)}</member>`,
    );
    result = `<struct>${members.join('')}</struct>`;
  } else {
    const since = Number(/<(?:int|i4|i8)>(\d+)</.exec(call)?.[1]);
    const events = [...projects]
      .filter(([, serial]) => serial > since)
      .map(([name, serial]) => [string(name), string('1.0'), int(0), string('new release'), int(serial)])
      .map((fields) => `<value><array><data>${fields.join('')}</data></array></value>`);
    result = `<array><data>${events.join('')}</data></array>`;
  }
  const params = `<params><param><value>${result}</value></param></params>`;
  return `<?xml version="1.0"?><methodResponse>${params}</methodResponse>`;
}
