// The hostile mirror: an HTTP server on loopback with an address for each attack, `/NAME/before` and `/NAME/attack`, each a
// repository as a client is pointed at it (`…/metadata`, `…/targets`). It keeps nothing about its clients. By itself:
//
//   node dist/scripts/interop/attacks/hostile-mirror.js [PORT]
//
// says where it listens; `/root.json` is what a client is given first, `/` the list of attacks.
import { createServer, type ServerResponse } from 'node:http';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import process from 'node:process';
import { pathToFileURL } from 'node:url';
import { gzipSync } from 'node:zlib';
import { utf8 } from '../../../src/lib/bytes.ts';
import { systemClock } from '../../../src/lib/clock.ts';
import { allAttacks } from './attacks.ts';
import { firstRoot, makeScene } from './scene.ts';
import type { Answer, Attack, Site } from './attack.ts';

/** An endless body ends here after all: it has done its harm. */
const ENDLESS_BYTES = 200_000_000;

/** So much when unpacked, a thousandth of it on the wire. */
const BOMB_BYTES = 200_000_000;

const TRICKLE_MS = 1_000;

export interface HostileMirror {
  /** `http://127.0.0.1:41234` */
  readonly origin: string;
  /** `http://127.0.0.1:41234/altered-file/attack`; a new one for each visitor who says so: `…/attack-7`. */
  address(attack: string, phase: Phase, visitor?: 'a new visitor'): string;
  /** Answers at an address that the mirror itself has ended, since the client would have waited or read on. */
  outlasted(address: string): number;
  close(): Promise<void>;
}

export type Phase = 'before' | 'attack';

export interface MirrorOptions {
  /** The root that its clients come with. */
  readonly root: Uint8Array;
  /** 0: a free one. */
  readonly port?: number;
  /** Milliseconds after which it gives up a client that waits for a silent or trickling answer. */
  readonly patienceMs: number;
}

export async function startHostileMirror(
  attacks: readonly Attack[],
  { root, port = 0, patienceMs }: MirrorOptions,
): Promise<HostileMirror> {
  const byName = new Map(attacks.map((attack) => [attack.name, attack]));
  const outlasted = new Map<string, number>();
  let visitors = 0;
  let origin = '';
  const front = new Map<string, Answer>([
    ['root.json', root],
    ['', utf8(attacks.map(describe).join(''))],
  ]);
  const server = createServer((request, response) => {
    const [, name = '', phase = '', ...rest] = decodeURIComponent(request.url ?? '').split('/');
    const attack = byName.get(name);
    const site: Site | undefined = phase.startsWith('before') ? attack?.before : attack?.site;
    const address = `${origin}/${name}/${phase}`;
    const file = attack === undefined ? front.get(name) : site?.get(rest.join('/'));
    answer(response, file, patienceMs, () => {
      outlasted.set(address, (outlasted.get(address) ?? 0) + 1);
    });
  });
  server.listen(port, '127.0.0.1');
  await once(server, 'listening');
  origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return {
    origin,
    address: (attack, phase, visitor) =>
      `${origin}/${attack}/${phase}${visitor === undefined ? '' : `-${++visitors}`}`,
    outlasted: (address) => outlasted.get(address) ?? 0,
    close: async () => {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}

function answer(
  response: ServerResponse,
  what: Answer | undefined,
  patienceMs: number,
  outlast: () => void,
): void {
  // Clients that have seen enough go away in the middle of an answer.
  response.on('error', () => undefined);
  const giveUp = setTimeout(() => {
    outlast();
    response.destroy();
  }, patienceMs);
  response.once('close', () => {
    clearTimeout(giveUp);
  });
  if (what === undefined) response.writeHead(404).end();
  else if (typeof what !== 'string') response.end(what);
  else if (what === 'fault') response.writeHead(500).end();
  else if (what === 'redirect-to-file') response.writeHead(302, { location: 'file:///etc/hostname' }).end();
  else if (what === 'endless') pour(response, outlast);
  else if (what === 'endless-compressed') {
    response.writeHead(200, { 'content-encoding': 'gzip' }).end(bomb());
  } else if (what === 'trickle') trickle(response);
}

function pour(response: ServerResponse, outlast: () => void): void {
  const chunk = Buffer.alloc(65_536, ' ');
  let sent = 0;
  const more = (): void => {
    while (!response.destroyed && sent < ENDLESS_BYTES) {
      sent += chunk.length;
      if (!response.write(chunk)) {
        response.once('drain', more);
        return;
      }
    }
    if (sent >= ENDLESS_BYTES) outlast();
    response.end();
  };
  more();
}

function trickle(response: ServerResponse): void {
  const timer = setInterval(() => response.write(' '), TRICKLE_MS);
  response.once('close', () => {
    clearInterval(timer);
  });
}

function describe({ name, kind, does, before, goal }: Attack): string {
  const first = before === undefined ? '' : `/${name}/before, then `;
  return `${first}/${name}/attack\n  ${kind}: ${does}; must be ${goal}\n`;
}

let packed: Buffer | undefined;

function bomb(): Buffer {
  packed ??= gzipSync(Buffer.alloc(BOMB_BYTES, ' '));
  return packed;
}

/** Half an hour: who looks at a slow answer by hand has time. */
const PATIENCE_BY_HAND_MS = 1_800_000;

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  const scene = makeScene(systemClock.now());
  const attacks = allAttacks(scene);
  const port = Number(process.argv[2] ?? 0);
  const mirror = await startHostileMirror(attacks, {
    root: firstRoot(scene),
    port,
    patienceMs: PATIENCE_BY_HAND_MS,
  });
  console.log(
    `${mirror.origin}: ${attacks.length} attacks, listed there; /root.json is what clients start from`,
  );
}
