// How long a client takes for a refresh from nothing but the root and one look-up at 16,384 bins with 1,000 targets each: everybody on the same
// files over HTTP, each in processes of its own, their start excluded. The clients take turns: what else the computer does meets
// all of them, and the server is as warm for the first as for the last.
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
/** Processes of each client. */
const PROCESSES = 9;
/** In one process, the first of them counted by itself. */
const RUNS = 4;

/** Milliseconds after which tuf-js is not waited for any longer. */
const TUF_JS_MS = 200_000;

export interface SpeedRow {
  readonly client: string;
  /** Milliseconds of the first refresh in a process, the median: its code is loaded and compiled on the way. */
  readonly firstMs?: number;
  /** Milliseconds, the median of the others in these processes; each from nothing but the root. */
  readonly laterMs?: number;
  /** Why a figure is missing. */
  readonly absent?: string;
}

export interface SpeedFigures {
  readonly bins: number;
  readonly targetsPerBin: number;
  /** Bytes that are fetched each time. */
  readonly bytes: number;
  /** Of each client, apart from tuf-js. */
  readonly processes: number;
  readonly own: SpeedRow;
  readonly others: readonly SpeedRow[];
}

interface Contender {
  readonly client: string;
  readonly program: string;
  readonly script: string;
}

const PYTHON_SCRIPT = inCheckout('test/interop/python_tuf_refresh.py');

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
  let processes = 0;
  /** Milliseconds of `runs` refreshes in a new process. */
  const refreshes = async (
    { program, script }: Contender,
    runs: number,
    timeoutMs?: number,
  ): Promise<number[]> => {
    const process = path.join(folder, String(processes++));
    const own = Array.from({ length: runs }, (_, i) => path.join(process, String(i)));
    const options = timeoutMs === undefined ? {} : { timeoutMs };
    const said = await run(program, [script, rootFile, url, asked, ...own], options);
    return (JSON.parse(said) as number[]).map((seconds) => seconds * 1000);
  };
  try {
    const ours = { client: 'countersign/client', program: process.execPath, script: compiled('own-refresh') };
    const pythons = await Promise.all((['7.0.1', '6.0.0'] as const).map((version) => pythonTuf(version)));
    const contenders: Contender[] = [ours];
    for (const { name, program } of pythons) {
      if (program !== undefined) contenders.push({ client: name, program, script: PYTHON_SCRIPT });
    }
    await refreshes(ours, 1);
    const fetched = bytes;
    const times = contenders.map(() => ({ first: [] as number[], later: [] as number[] }));
    for (let round = 0; round < PROCESSES; round++) {
      for (const [index, contender] of contenders.entries()) {
        const [first = 0, ...later] = await refreshes(contender, RUNS);
        times[index]?.first.push(first);
        times[index]?.later.push(...later);
      }
    }
    const rowOf = (client: string): SpeedRow | undefined => {
      const of = times[contenders.findIndex((contender) => contender.client === client)];
      return of && { client, firstMs: median(of.first), laterMs: median(of.later) };
    };
    const others: SpeedRow[] = pythons.map(
      ({ name, reason }) =>
        rowOf(name) ?? { client: name, absent: `not installed: ${reason.split('\n')[0] ?? ''}` },
    );
    if (tufJs) {
      const client = 'tuf-js 5.0.1';
      const slow = { client, program: process.execPath, script: compiled('tuf-js-refresh') };
      others.push(
        await refreshes(slow, 1, TUF_JS_MS).then(
          ([firstMs = 0]) => ({ client, firstMs }),
          () => ({ client, absent: `given up after ${TUF_JS_MS / 1000} s` }),
        ),
      );
    }
    return {
      bins: BINS,
      targetsPerBin: TARGETS_PER_BIN,
      bytes: fetched,
      processes: PROCESSES,
      own: rowOf(ours.client) ?? { client: ours.client },
      others,
    };
  } finally {
    server.closeAllConnections();
    server.close();
  }
}

function median(values: readonly number[]): number {
  return values.toSorted((one, other) => one - other)[values.length >> 1] ?? 0;
}

function compiled(name: string): string {
  return inCheckout(`dist/scripts/interop/speed/${name}.js`);
}
