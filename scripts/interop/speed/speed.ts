// How long a client takes for a refresh from nothing but the root and one look-up at 16,384 bins with 1,000 targets each: everybody on the same
// files over HTTP, each in a process of its own, its start excluded.
import { mkdir, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import path from 'node:path';
import process from 'node:process';
import { systemClock } from '../../../src/lib/clock.ts';
import { ForgeableRepository, makeKeys } from '../attacks/forgeable-repository.ts';
import { inCheckout } from '../checkout.ts';
import { pythonTuf } from '../components.ts';
import { makeUploads } from '../installation.ts';
import { run } from '../run.ts';

const BINS = 16_384;
const TARGETS_PER_BIN = 1_000;
/** In one process, the first of them counted by itself. */
const RUNS = 8;

/** Milliseconds after which tuf-js is not waited for any longer. */
const TUF_JS_MS = 200_000;

export interface SpeedRow {
  readonly client: string;
  /** Milliseconds of the first refresh in a process: its code is loaded and compiled on the way. */
  readonly firstMs?: number;
  /** Milliseconds, the median of the others in the same process; each from nothing but the root. */
  readonly laterMs?: number;
  /** Why a figure is missing. */
  readonly absent?: string;
}

export interface SpeedFigures {
  readonly bins: number;
  readonly targetsPerBin: number;
  /** Bytes that are fetched each time. */
  readonly bytes: number;
  readonly own: SpeedRow;
  readonly others: readonly SpeedRow[];
}

/** `tufJs`: two minutes for the one run of tuf-js. */
export async function measureSpeed(folder: string, tufJs: boolean): Promise<SpeedFigures> {
  const repository = ForgeableRepository.found(makeKeys(), systemClock.now(), BINS);
  const targets = makeUploads(TARGETS_PER_BIN, '1.0');
  const entries = Object.fromEntries(
    targets.map(({ path: target, length, sha256 }) => [target, { length, hashes: { sha256 } }]),
  );
  const asked = targets[0]?.path ?? '';
  // Each of the paths has its own bin; they stand in the one that is asked for, which costs a client the same.
  repository.signBin(asked, { change: { targets: entries } });
  let bytes = 0;
  const server = createServer((request, response) => {
    const file = repository.files.get(`metadata${request.url ?? ''}`);
    bytes += file?.length ?? 0;
    response.writeHead(file === undefined ? 404 : 200, { 'content-length': file?.length ?? 0 }).end(file);
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
  const rootFile = path.join(folder, 'root.json');
  await mkdir(folder, { recursive: true });
  await writeFile(rootFile, repository.file('metadata/1.root.json'));
  const measure = async (
    client: string,
    program: string,
    script: string,
    runs: number,
    timeoutMs?: number,
  ): Promise<SpeedRow> => {
    const own = Array.from({ length: runs }, (_, i) =>
      path.join(folder, client.replaceAll(/\W+/g, '-'), `${i}`),
    );
    const options = timeoutMs === undefined ? {} : { timeoutMs };
    const said = await run(program, [script, rootFile, url, asked, ...own], options);
    const [first = 0, ...later] = (JSON.parse(said) as number[]).map((seconds) => seconds * 1000);
    const median = later.sort((one, other) => one - other)[later.length >> 1];
    return { client, firstMs: first, ...(median === undefined ? {} : { laterMs: median }) };
  };
  try {
    const own = await measure('countersign/client', process.execPath, compiled('own-refresh'), RUNS);
    const fetched = bytes / RUNS;
    const others: SpeedRow[] = [];
    for (const version of ['7.0.1', '6.0.0'] as const) {
      const { name, program, reason } = await pythonTuf(version);
      others.push(
        program === undefined
          ? { client: name, absent: `not installed: ${reason.split('\n')[0] ?? ''}` }
          : await measure(name, program, inCheckout('test/interop/python_tuf_refresh.py'), RUNS),
      );
    }
    if (tufJs) {
      const client = 'tuf-js 5.0.1';
      others.push(
        await measure(client, process.execPath, compiled('tuf-js-refresh'), 1, TUF_JS_MS).catch(() => ({
          client,
          absent: `given up after ${TUF_JS_MS / 1000} s`,
        })),
      );
    }
    return { bins: BINS, targetsPerBin: TARGETS_PER_BIN, bytes: fetched, own, others };
  } finally {
    server.closeAllConnections();
    server.close();
  }
}

function compiled(name: string): string {
  return inCheckout(`dist/scripts/interop/speed/${name}.js`);
}
