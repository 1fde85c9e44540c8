// Where the metrics of a mirror go: an address for Prometheus, or a file for the textfile collector of a node exporter.
import { rename, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Registry } from 'prom-client';
import { parseListen } from '../config/backends.ts';
import { CountersignError, messageOf } from '../lib/errors.ts';

export interface MetricsListener {
  readonly address: string;
  close(): void;
}

/** Milliseconds in which a request must have arrived. */
const REQUEST_MS = 5000;

/** Answers `GET /metrics` at HOST:PORT, and nothing else. @throws CountersignError `config-invalid`. */
export async function listenForMetrics(registry: Registry, listen: string): Promise<MetricsListener> {
  const { host, port } = parseListen({ value: listen, source: '--metrics' });
  const server = createServer(
    { requestTimeout: REQUEST_MS, headersTimeout: REQUEST_MS },
    (request, response) => {
      const isAsked = request.url === '/metrics' && (request.method === 'GET' || request.method === 'HEAD');
      if (!isAsked) {
        response.writeHead(404).end();
        return;
      }
      registry.metrics().then(
        (text) => response.writeHead(200, { 'content-type': registry.contentType }).end(text),
        () => response.writeHead(500).end(),
      );
    },
  );
  server.maxConnections = 16;
  await new Promise<void>((resolve, reject) => {
    server.once('error', (cause) => {
      reject(
        new CountersignError('config-invalid', `--metrics: cannot listen on ${listen}: ${messageOf(cause)}`, {
          cause,
        }),
      );
    });
    server.listen(port, host, resolve);
  });
  const { address, port: bound, family } = server.address() as AddressInfo;
  return {
    address: `http://${family === 'IPv6' ? `[${address}]` : address}:${bound}/metrics`,
    close: () => {
      server.close();
      server.closeAllConnections();
    },
  };
}

/** Whole at every moment. @throws CountersignError `store-unavailable`. */
export async function writeMetricsFile(registry: Registry, file: string): Promise<void> {
  try {
    // The collector reads names that end in .prom only.
    await writeFile(`${file}.next`, await registry.metrics());
    await rename(`${file}.next`, file);
  } catch (cause) {
    throw new CountersignError('store-unavailable', `cannot write ${file}: ${messageOf(cause)}`, { cause });
  }
}
