// One of the threads that build the model index: first it says to which bin each file of its share belongs, then it
// signs and writes the bins that it is given, with the code that signs and writes them in the service.
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parentPort, workerData } from 'node:worker_threads';
import { sha256Hex } from '../../src/lib/bytes.ts';
import { mapConcurrent } from '../../src/lib/concurrency.ts';
import { openFileSigner } from '../../src/signing/file-signer.ts';
import { sealBins } from '../../src/publish/seal.ts';
import { offlineRoles } from '../../src/publish/verified-reads.ts';
import { BinDocument } from '../../src/tuf/bin-document.ts';
import { parseBundle, verifyBundle } from '../../src/tuf/bundle.ts';
import { SPEC_VERSION } from '../../src/tuf/metadata.ts';
import { INDEX_SEED, modelFile, modelPath } from './model-files.ts';

/** Bins signed in one call. */
const SLICE = 16;

export interface ModelShare {
  /** The folder of the index: its ceremony's files and its repository. */
  readonly folder: string;
  /** Files of the index that this thread looks at, from `first` to before `end`. */
  readonly first: number;
  readonly end: number;
  /** Bins that this thread writes: every `step`-th from `start`. */
  readonly start: number;
  readonly step: number;
  /** Time T of the first publication, milliseconds since the epoch. */
  readonly at: number;
  readonly binExpires: string;
  /** The bin of each file. */
  readonly homes: Uint16Array<SharedArrayBuffer>;
}

/** The files of all bins, bin after bin, and where each bin begins among them. */
export interface ModelOrder {
  readonly files: Uint32Array<SharedArrayBuffer>;
  readonly begins: Uint32Array;
}

const port = parentPort;
if (port !== null) {
  const share = workerData as ModelShare;
  const bundle = await verifyBundle(parseBundle(await readFile(join(share.folder, 'bundle.json'))), share.at);
  for (let number = share.first; number < share.end; number++) {
    share.homes[number] = bundle.layout.indexOf(modelPath(INDEX_SEED, number));
  }
  port.once('message', (order: ModelOrder) => {
    void writeBins(share, order, bundle).then((digests) => {
      port.postMessage(digests);
    });
  });
  port.postMessage('partitioned');
}

async function writeBins(
  { folder, start, step, at, binExpires }: ModelShare,
  { files, begins }: ModelOrder,
  { layout, trusted: { root, targets, bins } }: Awaited<ReturnType<typeof verifyBundle>>,
): Promise<Map<number, string>> {
  const signer = await openFileSigner({
    path: join(folder, 'online.key'),
    passphrase: (await readFile(join(folder, 'online.passphrase'), 'utf8')).trim(),
  });
  const roles = offlineRoles({ root: 1, targets: 1, bins: 1 }, root.signed, targets.signed, bins.signed);
  const digests = new Map<number, string>();
  const slices: number[][] = [];
  for (let bin = start; bin < layout.count; bin += step) {
    const last = slices.at(-1);
    if (last === undefined || last.length === SLICE) slices.push([bin]);
    else last.push(bin);
  }
  await mapConcurrent(slices, 2, async (slice) => {
    const documents = slice.map((index) => ({
      index,
      document: binOf(files.subarray(begins[index], begins[index + 1]), binExpires),
    }));
    for (const [i, { name, bytes }] of (await sealBins([signer], roles, documents, at)).entries()) {
      digests.set(slice[i]!, sha256Hex(bytes));
      // Not durable one by one: an index whose building was interrupted is never used.
      await writeFile(join(folder, 'repository', name), bytes, { flag: 'wx', mode: 0o444 });
    }
  });
  await signer.close();
  return digests;
}

function binOf(numbers: Uint32Array, expires: string): BinDocument {
  const entries = Array.from(numbers, (number) => modelFile(INDEX_SEED, number))
    .sort((a, b) => (a.path < b.path ? -1 : 1))
    .map(({ path, target: { hashes, length } }) => {
      return `"${path}":{"hashes":{"sha256":"${hashes.sha256}"},"length":${length}}`;
    });
  const head = `{"_type":"targets","expires":"${expires}","spec_version":"${SPEC_VERSION}","targets":{`;
  return BinDocument.parse(Buffer.from(`${head}${entries.join(',')}},"version":1}`));
}
