// (f) What a client pays at each number of bins: bytes and time of a refresh from nothing but the root, and of looking
// up one target file. Our own verification code, and the clients of others on the same repository.
import { randomBytes } from 'node:crypto';
import { execFile } from 'node:child_process';
import * as fs from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { Updater } from 'tuf-js';
import { rehearse } from '../../keys-ceremony/rehearse.ts';
import { sha256Hex } from '../../src/lib/bytes.ts';
import { systemClock } from '../../src/lib/clock.ts';
import { openFileSigner } from '../../src/signing/file-signer.ts';
import { expiresAt } from '../../src/publish/plan.ts';
import { sealBins, sealedBundle, sealSnapshot, sealTimestamp } from '../../src/publish/seal.ts';
import { offlineRoles } from '../../src/publish/verified-reads.ts';
import { BinDocument } from '../../src/tuf/bin-document.ts';
import { parseBundle, verifyBundle } from '../../src/tuf/bundle.ts';
import { METADATA_PREFIX } from '../../src/tuf/layout.ts';
import { SnapshotDocument } from '../../src/tuf/snapshot-document.ts';
import { TrustedSet } from '../../src/tuf/trusted-set.ts';
import { median } from './load.ts';
import { INDEX_SEED, modelFile } from './model-files.ts';
import { MODEL_LIFETIMES } from './model-index.ts';

const run = promisify(execFile);

const RUNS = 5;
const TARGETS_PER_BIN = 1000;

/** tuf-js takes minutes beyond: it is quadratic in the number of bins. */
const TUF_JS_MAX_BINS = 1024;

export interface ClientFigures {
  readonly bins: number;
  readonly snapshotBytes: number;
  /** Everything that was fetched. */
  readonly bytes: number;
  /** Milliseconds, medians. */
  readonly ownMs: number;
  readonly pythonMs?: number;
  readonly tufJsMs?: number;
}

interface ClientRepository {
  readonly root: Uint8Array;
  /** By name below metadata/. */
  readonly files: ReadonlyMap<string, Uint8Array>;
  /** A target file in the one bin that exists. */
  readonly path: string;
}

/** Measures all clients on a repository of `bins` bins; `folder` is theirs to fill. */
export async function clientFigures(
  bins: number,
  folder: string,
  python: string | undefined,
): Promise<ClientFigures> {
  const repository = await buildRepository(bins, join(folder, 'ceremony'));
  let bytes = 0;
  const server = createServer((request, response) => {
    const file = repository.files.get(request.url?.slice(1) ?? '');
    bytes += file?.length ?? 0;
    response.writeHead(file === undefined ? 404 : 200, { 'content-length': file?.length ?? 0 }).end(file);
  });
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
  const repeat = async (client: (folder: string) => Promise<number>): Promise<number> => {
    const times: number[] = [];
    for (let i = 0; i < RUNS; i++) {
      const own = await fs.mkdtemp(join(folder, 'client-'));
      await fs.writeFile(join(own, 'root.json'), repository.root);
      bytes = 0;
      times.push(await client(own));
    }
    return median(times);
  };
  try {
    const tufJsMs =
      bins > TUF_JS_MAX_BINS ? undefined : await repeat((own) => withTufJs(own, url, repository));
    const pythonMs =
      python === undefined ? undefined : await repeat((own) => withPython(python, own, url, repository));
    const ownMs = await repeat(() => withOwnCode(url, repository));
    return {
      bins,
      snapshotBytes: repository.files.get('1.snapshot.json')?.length ?? 0,
      bytes,
      ownMs,
      ...(pythonMs === undefined ? {} : { pythonMs }),
      ...(tufJsMs === undefined ? {} : { tufJsMs }),
    };
  } finally {
    server.closeAllConnections();
    server.close();
  }
}

async function withOwnCode(url: string, { root, path }: ClientRepository): Promise<number> {
  const get = async (name: string): Promise<Uint8Array> => {
    const answer = await fetch(url + name);
    if (!answer.ok) throw new Error(`${name}: ${answer.status}`);
    return new Uint8Array(await answer.arrayBuffer());
  };
  const begun = performance.now();
  const trusted = await TrustedSet.start(root, systemClock.now());
  await fetch(`${url}2.root.json`);
  trusted.finishRoot();
  await trusted.updateTimestamp(await get('timestamp.json'));
  await trusted.updateSnapshot(await get('1.snapshot.json'));
  await trusted.updateTargets(await get('1.targets.json'));
  await trusted.updateBins(await get('1.bins.json'));
  const { layout } = trusted.binDelegation;
  const index = layout.indexOf(path);
  const bin = await trusted.verifyBin(index, await get(`1.${layout.name(index)}.json`));
  if (bin.get(path) === undefined) throw new Error(`${path} is not found`);
  return performance.now() - begun;
}

async function withTufJs(folder: string, url: string, { path }: ClientRepository): Promise<number> {
  const updater = new Updater({
    metadataDir: folder,
    metadataBaseUrl: url.slice(0, -1),
    targetDir: folder,
    targetBaseUrl: url,
  });
  const begun = performance.now();
  await updater.refresh();
  if ((await updater.getTargetInfo(path)) === undefined) throw new Error(`tuf-js does not find ${path}`);
  return performance.now() - begun;
}

async function withPython(
  python: string,
  folder: string,
  url: string,
  { path }: ClientRepository,
): Promise<number> {
  const script = join(import.meta.dirname, '../../../scripts/bench/client.py');
  return Number((await run(python, [script, folder, url, path])).stdout) * 1000;
}

/** A repository whose snapshot has all bins, of which one exists: clients ask for no other. */
async function buildRepository(bins: number, folder: string): Promise<ClientRepository> {
  const at = systemClock.now();
  await rehearse(
    { out: folder, holders: 3, threshold: 2, bins, format: 'succinct' },
    { now: at, random: (count) => randomBytes(count), say: () => undefined },
  );
  const bundle = await verifyBundle(parseBundle(await fs.readFile(join(folder, 'bundle.json'))), at);
  const signer = await openFileSigner({
    path: join(folder, 'online.key'),
    passphrase: (await fs.readFile(join(folder, 'online.passphrase'), 'utf8')).trim(),
  });
  const { root, targets, bins: binsRole } = bundle.trusted;
  const roles = offlineRoles({ root: 1, targets: 1, bins: 1 }, root.signed, targets.signed, binsRole.signed);
  const expires = expiresAt(at, MODEL_LIFETIMES);
  const targetFiles = Array.from({ length: TARGETS_PER_BIN }, (_, i) => modelFile(INDEX_SEED, i));
  const { path } = modelFile(INDEX_SEED, 0);
  const document = BinDocument.empty(1, expires.bin).edit(
    new Map(targetFiles.map((file) => [file.path, file.target])),
    1,
    expires.bin,
  );
  const sealedBin = await sealBins([signer], roles, [{ index: bundle.layout.indexOf(path), document }], at);
  const edit = { version: 1, expires: expires.snapshot, targetsVersion: 1, binsVersion: 1, bins: [] };
  const snapshot = await sealSnapshot([signer], roles, SnapshotDocument.first(bundle.layout, edit));
  const timestamp = await sealTimestamp([signer], roles, 1, expires.timestamp, {
    version: 1,
    length: snapshot.bytes.length,
    hashes: { sha256: sha256Hex(snapshot.bytes) },
  });
  await signer.close();
  const sealed = [...sealedBundle(bundle).map(({ file }) => file), ...sealedBin, snapshot, timestamp];
  return {
    root: await fs.readFile(join(folder, 'root.json')),
    files: new Map(sealed.map(({ name, bytes }) => [name.slice(METADATA_PREFIX.length), bytes])),
    path,
  };
}
