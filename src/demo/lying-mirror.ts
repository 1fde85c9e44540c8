// A mirror between the client and the repository that passes everything on, except for what its lie changes. It holds
// no key: it is any server, cache or network that a client may meet.
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';

/** What the mirror answers instead of the content of `path`; undefined: the truth. */
export type Lie = (path: string, truth: Uint8Array | undefined) => Uint8Array | undefined;

/** One request to the repository behind it, in milliseconds. */
const UPSTREAM_TIMEOUT_MS = 10_000;

export interface LyingMirror {
  readonly address: string;
  /** Answers that were lies so far. */
  readonly lies: () => number;
  close(): Promise<void>;
}

/** Starts a mirror of the repository at `upstream` on a free loopback port. */
export async function startMirror(upstream: string, lie: Lie): Promise<LyingMirror> {
  let lies = 0;
  const answer = async (path: string): Promise<Uint8Array | undefined> => {
    const response = await fetch(upstream + path, { signal: AbortSignal.timeout(UPSTREAM_TIMEOUT_MS) });
    const body = new Uint8Array(await response.arrayBuffer());
    const truth = response.ok ? body : undefined;
    const lied = lie(path, truth);
    if (lied !== undefined) lies += 1;
    return lied ?? truth;
  };
  const server = createServer((request, response) => {
    answer(request.url ?? '/').then(
      (body) => (body === undefined ? response.writeHead(404).end() : response.end(body)),
      () => response.writeHead(502).end(),
    );
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject).listen(0, '127.0.0.1', resolve);
  });
  const { port } = server.address() as AddressInfo;
  return {
    address: `http://127.0.0.1:${port}`,
    lies: () => lies,
    close: () =>
      new Promise((resolve) => {
        server.close(() => {
          resolve();
        });
        server.closeAllConnections();
      }),
  };
}
