// Sorted files in the store, for nodes that do not see the folder of the run: what each bin gets, as an object of its own,
// and a list of all. The store is not trusted: the order in the ledger has the digest of the list, and the list those of
// the entries. Gone again when the order is settled.
//
//   backsign/DIGEST/index   the bins, how many files and bytes each gets, and the SHA-256 of its entries
//   backsign/DIGEST/17      the entries of the bin that is number 17 of its layout
import { sha256Hex } from '../lib/bytes.ts';
import { mapConcurrent } from '../lib/concurrency.ts';
import { CountersignError } from '../lib/errors.ts';
import type { ObjectStore } from '../storage/store.ts';
import { stagedName, STAGING_PREFIX } from '../tuf/layout.ts';
import type { Crew } from './crew.ts';
import { partitionLayout } from './layout.ts';
import { filesDigest, type Prepared, type PreparedFiles } from './prepared.ts';
import { checkStaged } from './staged-entries.ts';
import type { WorkFolder } from './work-folder.ts';

const INDEX = 'index';

/** 65,536 bins at some 130 bytes each. */
const MAX_INDEX_BYTES = 16 * 1024 * 1024;

/** Objects on their way at once. */
const IN_FLIGHT = 16;

/**
 * Copies what a run has sorted into the store, the list last; answers the list's SHA-256. What is there already is left.
 * @throws CountersignError `store-unavailable`, `backsign-state`.
 */
export async function stage(
  store: ObjectStore,
  folder: WorkFolder,
  { binCount, bins, digest }: Prepared,
  crew: Crew,
  progress: (done: number, total: number) => void,
): Promise<string> {
  const { width } = partitionLayout(binCount);
  const partitions = [...new Set(bins.map(({ bin }) => Math.floor(bin / width)))];
  let done = 0;
  await mapConcurrent(partitions, crew.size, async (number) => {
    const sorted = await crew.run<'entries'>({ kind: 'entries', file: folder.recordsFile(number) });
    await mapConcurrent(sorted, Math.ceil(IN_FLIGHT / crew.size), async ({ bin, entries }) => {
      await store.putImmutable(stagedName(digest, String(bin)), entries);
      progress(++done, bins.length);
    });
  });
  const files: PreparedFiles = { binCount, bins };
  const index = Buffer.from(JSON.stringify(files));
  await store.putImmutable(stagedName(digest, INDEX), index);
  return sha256Hex(index);
}

/**
 * The list of the files of an order; `index`: its SHA-256.
 * @throws CountersignError `backsign-state` when the store does not hold it; `store-unavailable`.
 */
export async function stagedFiles(store: ObjectStore, digest: string, index: string): Promise<PreparedFiles> {
  const name = stagedName(digest, INDEX);
  const { bytes } = (await store.get(name, MAX_INDEX_BYTES)) ?? {};
  checkStaged(name, bytes, index);
  const files = JSON.parse(Buffer.from(bytes).toString('utf8')) as PreparedFiles;
  const found = filesDigest(files.binCount, files.bins);
  if (found === digest) return files;
  throw new CountersignError('backsign-state', `${name} lists the files ${found}, ordered were ${digest}`);
}

/** Removes what was staged for an order. The list goes first: without it nothing is begun. */
export async function unstage(store: ObjectStore, digest: string): Promise<void> {
  await store.remove(stagedName(digest, INDEX));
  const names: string[] = [];
  for await (const { name } of store.list(`${STAGING_PREFIX}${digest}/`)) names.push(name);
  await mapConcurrent(names, IN_FLIGHT, (name) => store.remove(name));
}
