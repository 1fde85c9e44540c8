// A repository over HTTP, as any web server would serve it, and as a hostile one would: a test may change, delay, redirect
// or withhold every answer.
import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { onTestFinished } from 'vitest';
import { parseHashedTargetPath } from '../../src/tuf/layout.ts';

/** Where honest answers come from: an object store will do. */
export interface Honest {
  get(name: string, maxBytes: number): Promise<{ readonly bytes: Uint8Array } | undefined>;
}

/** Answers a request by itself and says so, or leaves it to the honest server. `name` is such as `metadata/timestamp.json`. */
export type Attack = (name: string, response: ServerResponse) => boolean | Promise<boolean>;

export interface RepositoryServer {
  /** Without a final slash; `metadata` and `targets` are below it. */
  readonly url: string;
  readonly requests: string[];
  attack: Attack;
}

/**
 * Serves until the test ends. A target file that the store does not have is its own path: the convention of
 * publishPaths.
 */
export async function serveRepository(store: Honest): Promise<RepositoryServer> {
  const answer = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const name = decodeURIComponent((request.url ?? '').split('?', 1)[0] ?? '').slice(1);
    served.requests.push(name);
    if (await served.attack(name, response)) return;
    const bytes = (await store.get(name, 100_000_000).catch(() => undefined))?.bytes ?? ownPath(name);
    if (bytes === undefined) response.writeHead(404).end();
    else response.writeHead(200, { 'content-length': bytes.length }).end(bytes);
  };
  const server = createServer((request, response) => {
    answer(request, response).catch(() => response.destroy());
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => {
    server.close();
    server.closeAllConnections();
  });
  const { port } = server.address() as AddressInfo;
  const served: RepositoryServer = {
    url: `http://127.0.0.1:${port}`,
    requests: [],
    attack: () => false,
  };
  return served;
}

function ownPath(name: string): Uint8Array | undefined {
  const asked = name.startsWith('targets/')
    ? parseHashedTargetPath(name.slice('targets/'.length))
    : undefined;
  return asked && Buffer.from(asked.path);
}
