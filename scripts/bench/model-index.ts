// The model index that everything is measured on: a repository of given size, signed by the code of the service, kept
// in the cache folder between runs. A run works on a copy whose bins are hard links: they are write-once, so a copy
// of 3.65 GB takes less than a second and no bytes.
import { randomBytes } from 'node:crypto';
import { execFileSync } from 'node:child_process';
import * as fs from 'node:fs/promises';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import { rehearse } from '../../keys-ceremony/rehearse.ts';
import { systemClock } from '../../src/lib/clock.ts';
import type { Intent } from '../../src/ledger/ledger.ts';
import { openSqliteLedger } from '../../src/ledger/sqlite-ledger.ts';
import { openFileSigner } from '../../src/signing/file-signer.ts';
import { openFileStore } from '../../src/storage/file-store.ts';
import { publishHead, sealHead } from '../../src/publish/commit.ts';
import { takeLease } from '../../src/publish/lease.ts';
import { expiresAt } from '../../src/publish/plan.ts';
import { sealedBundle } from '../../src/publish/seal.ts';
import { offlineRoles } from '../../src/publish/verified-reads.ts';
import { writeOnce } from '../../src/publish/write.ts';
import { parseBundle, verifyBundle } from '../../src/tuf/bundle.ts';
import { SnapshotDocument } from '../../src/tuf/snapshot-document.ts';
import type { ModelOrder, ModelShare } from './model-worker.ts';

/** Goes up when the files of the index change. */
const GENERATOR = 2;

const DAY_MS = 86_400_000;

/** An index that is used for so long must not spend the benchmark on renewing bins that a day would have made due. */
export const MODEL_LIFETIMES = { timestampMs: DAY_MS, snapshotMs: DAY_MS, binMs: 3650 * DAY_MS };

/** Root and targets of the rehearsed ceremony live for a year. */
const KEPT_FOR_MS = 180 * DAY_MS;

export interface ModelSize {
  readonly bins: number;
  readonly targetsPerBin: number;
}

export interface ModelIndex extends ModelSize {
  /** Ceremony files, ledger and repository, in the layout of `countersign-ceremony rehearse`. */
  readonly folder: string;
  /** Seconds that building took, when this index was built. */
  readonly buildSeconds: number;
}

/** The index of this size: from the cache, or built now. */
export async function modelIndex(cache: string, size: ModelSize, threads: number): Promise<ModelIndex> {
  const folder = join(cache, `index-${GENERATOR}-${size.bins}x${size.targetsPerBin}`);
  const note = join(folder, 'complete.json');
  const now = systemClock.now();
  const known = await fs.readFile(note, 'utf8').then(
    (text) => JSON.parse(text) as { readonly at: number; readonly buildSeconds: number },
    () => undefined,
  );
  if (known !== undefined && now - known.at < KEPT_FOR_MS) return { ...size, folder, ...known };
  await fs.rm(folder, { recursive: true, force: true });
  const begun = performance.now();
  await build(folder, size, now, threads);
  // What is still to be written would otherwise be written while the service is measured.
  execFileSync('sync');
  const buildSeconds = (performance.now() - begun) / 1000;
  await fs.writeFile(note, JSON.stringify({ at: now, buildSeconds }));
  return { ...size, folder, buildSeconds };
}

async function build(
  folder: string,
  { bins, targetsPerBin }: ModelSize,
  at: number,
  threads: number,
): Promise<void> {
  await fs.mkdir(join(folder, '..'), { recursive: true });
  await rehearse(
    { out: folder, holders: 3, threshold: 2, bins, format: 'succinct' },
    { now: at, random: (bytes) => randomBytes(bytes), say: () => undefined },
  );
  const bundle = await verifyBundle(parseBundle(await fs.readFile(join(folder, 'bundle.json'))), at);
  const intent: Intent = {
    snapshot: 1,
    timestamp: 1,
    at,
    expires: expiresAt(at, MODEL_LIFETIMES),
    roles: { root: 1, targets: 1, bins: 1 },
    events: [],
    rejected: [],
    bins: Array.from({ length: bins }, (_, bin) => ({ bin, version: 1 })),
    bundle: 'model',
    trustedRoot: bundle.roots.at(-1)!.bytes.toString('utf8'),
  };
  const signer = await openFileSigner({
    path: join(folder, 'online.key'),
    passphrase: (await fs.readFile(join(folder, 'online.passphrase'), 'utf8')).trim(),
  });
  const ledger = await openSqliteLedger(join(folder, 'ledger.db'));
  const store = await openFileStore(join(folder, 'repository'));
  const holder = { holder: 'model', isGone: () => true };
  const lease = await takeLease(ledger, systemClock, holder);
  await ledger.advance(lease.epoch, intent);
  for (const { file, trust } of sealedBundle(bundle)) await writeOnce(store, file, trust);
  const digests = await writeBins(
    folder,
    { at, binExpires: intent.expires.bin },
    bins,
    bins * targetsPerBin,
    threads,
  );
  const { root, targets, bins: binsRole } = bundle.trusted;
  const roles = offlineRoles(intent.roles, root.signed, targets.signed, binsRole.signed);
  const first = SnapshotDocument.first(bundle.layout, {
    version: 1,
    expires: intent.expires.snapshot,
    targetsVersion: 1,
    binsVersion: 1,
    bins: intent.bins,
  });
  const ports = { ledger, store, signer, clock: systemClock };
  const head = await sealHead(ports, roles, intent, first);
  await publishHead(ports, roles, { intent, changes: [] }, digests, head, undefined);
  await ledger.lease({ holder: 'model', ttlMs: 0, now: systemClock.now() });
  await ledger.close();
  await signer.close();
}

/**
 * Finds the bin of each file, orders files by bin, then writes all bins: on several threads, in 300 MB. Answers the
 * SHA-256 of each bin's file.
 */
async function writeBins(
  folder: string,
  times: Pick<ModelShare, 'at' | 'binExpires'>,
  bins: number,
  files: number,
  threads: number,
): Promise<string[]> {
  const homes = new Uint16Array(new SharedArrayBuffer(files * Uint16Array.BYTES_PER_ELEMENT));
  const workers = Array.from({ length: threads }, (_, i) => {
    const workerData: ModelShare = {
      folder,
      ...times,
      homes,
      first: Math.floor((files * i) / threads),
      end: Math.floor((files * (i + 1)) / threads),
      start: i,
      step: threads,
    };
    // Built by tsc, as everything under scripts is.
    return new Worker(new URL('model-worker.js', import.meta.url), { workerData });
  });
  await Promise.all(workers.map((worker) => answer(worker)));
  const order = orderByBin(homes, bins);
  const shares = await Promise.all(
    workers.map((worker) => {
      worker.postMessage(order);
      return answer(worker) as Promise<ReadonlyMap<number, string>>;
    }),
  );
  const digests = new Map(shares.flatMap((share) => [...share]));
  return Array.from({ length: bins }, (_, bin) => digests.get(bin)!);
}

/** A counting sort: numbers of files, bin after bin. */
function orderByBin(homes: Uint16Array, bins: number): ModelOrder {
  const begins = new Uint32Array(bins + 1);
  for (const home of homes) begins[home + 1]! += 1;
  for (let bin = 0; bin < bins; bin++) begins[bin + 1]! += begins[bin]!;
  const next = begins.slice();
  const files = new Uint32Array(new SharedArrayBuffer(homes.length * Uint32Array.BYTES_PER_ELEMENT));
  homes.forEach((home, file) => {
    files[next[home]!] = file;
    next[home]! += 1;
  });
  return { files, begins };
}

function answer(worker: Worker): Promise<unknown> {
  return new Promise((resolve, reject) => {
    worker.once('message', resolve);
    worker.once('error', reject);
  });
}

/** Makes a copy of the index that a service may work on: write-once files are linked, the others copied. */
export async function workingCopy({ folder }: ModelIndex, to: string): Promise<void> {
  await fs.rm(to, { recursive: true, force: true });
  await fs.mkdir(join(to, 'repository', 'metadata'), { recursive: true });
  await fs.mkdir(join(to, 'files'));
  for (const name of ['ledger.db', 'online.key', 'online.passphrase', 'root.json']) {
    await fs.copyFile(join(folder, name), join(to, name));
    await fs.chmod(join(to, name), 0o600);
  }
  const metadata = join('repository', 'metadata');
  const names = await fs.readdir(join(folder, metadata));
  for (const name of names) {
    const [from, target] = [join(folder, metadata, name), join(to, metadata, name)];
    await (name === 'timestamp.json' ? fs.copyFile(from, target) : fs.link(from, target));
  }
}
