// A proxy between the store and an S3 server that answers late, answers 500, cuts connections, and loses answers of
// requests that the server has carried out. It forwards bytes; the Host header, which is signed, stays as it is.
import { createServer, request, type IncomingMessage, type ServerResponse } from 'node:http';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { buffer } from 'node:stream/consumers';
import { onTestFinished } from 'vitest';
import { systemClock } from '../../src/lib/clock.ts';

export type Fault =
  /** The request never reaches the server. */
  | 'refuse-500'
  | 'refuse-503'
  | 'cut-before'
  /** The server carries the request out, and nobody hears of it. */
  | 'cut-after'
  | 'answer-500-after'
  /** Headers and half of the body, then the connection ends. */
  | 'half-answer'
  /** Headers, then silence. */
  | 'stall'
  /** Half of the body, and another byte in it; of the right length. */
  | 'flip-byte';

export interface SeenRequest {
  readonly method: string;
  readonly url: string;
}

export interface FaultyProxy {
  readonly endpoint: string;
  readonly seen: readonly SeenRequest[];
  /** What happens to the next requests, one fault each; `match` picks them. */
  plan(faults: readonly Fault[], match?: (seen: SeenRequest) => boolean): void;
  /** Milliseconds before each request goes on. */
  delayMs: number;
}

export async function faultyProxy(target: string): Promise<FaultyProxy> {
  const seen: SeenRequest[] = [];
  let planned: Fault[] = [];
  let matches: (seen: SeenRequest) => boolean = () => true;
  const handle = async (incoming: IncomingMessage, outgoing: ServerResponse): Promise<void> => {
    const entry = { method: incoming.method ?? '', url: incoming.url ?? '' };
    seen.push(entry);
    const body = await buffer(incoming);
    if (proxy.delayMs > 0) await systemClock.sleep(proxy.delayMs);
    const fault = matches(entry) ? planned.shift() : undefined;
    if (fault === 'cut-before') incoming.socket.destroy();
    else if (fault === 'refuse-500') answer(outgoing, 500, 'InternalError');
    else if (fault === 'refuse-503') answer(outgoing, 503, 'SlowDown');
    else {
      const { status, headers, bytes } = await forward(target, incoming, body);
      if (fault === 'cut-after') incoming.socket.destroy();
      else if (fault === 'answer-500-after') answer(outgoing, 500, 'InternalError');
      else {
        outgoing.writeHead(status, headers);
        if (fault === 'half-answer') {
          outgoing.write(bytes.subarray(0, bytes.length / 2), () => incoming.socket.destroy());
        } else if (fault === 'stall') outgoing.flushHeaders();
        else {
          if (fault === 'flip-byte') bytes[0] = (bytes[0] ?? 0) ^ 1;
          outgoing.end(bytes);
        }
      }
    }
  };
  const server = createServer((incoming, outgoing) => {
    handle(incoming, outgoing).catch(() => incoming.socket.destroy());
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(async () => {
    server.closeAllConnections();
    server.close();
    await once(server, 'close');
  });
  const proxy: FaultyProxy = {
    endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    seen,
    plan: (faults, match = () => true) => {
      planned = [...faults];
      matches = match;
    },
    delayMs: 0,
  };
  return proxy;
}

function answer(outgoing: ServerResponse, status: number, code: string): void {
  outgoing.writeHead(status, { 'content-type': 'application/xml' });
  outgoing.end(`<?xml version="1.0"?><Error><Code>${code}</Code><Message>planned</Message></Error>`);
}

async function forward(target: string, incoming: IncomingMessage, body: Buffer) {
  const { method, headers } = incoming;
  const going = request(`${target}${incoming.url ?? ''}`, {
    ...(method === undefined ? {} : { method }),
    headers,
  });
  going.end(body);
  const [response] = (await once(going, 'response')) as [IncomingMessage];
  const bytes = await buffer(response);
  return { status: response.statusCode ?? 502, headers: response.headers, bytes };
}
