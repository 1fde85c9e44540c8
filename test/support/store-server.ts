// The public objects of a store, as any web server hands them out.
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { onTestFinished } from 'vitest';
import type { ObjectStore } from '../../src/storage/store.ts';

/** Serves on loopback until the test ends; `http://127.0.0.1:PORT`, below which `metadata/timestamp.json` is. */
export async function serveStore(store: ObjectStore): Promise<string> {
  const server = createServer((request, response) => {
    void store.get((request.url ?? '/').slice(1), 5_000_000).then((object) => {
      response.writeHead(object === undefined ? 404 : 200).end(object?.bytes);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}
