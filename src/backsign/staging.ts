// Sorted files in the store, for nodes that do not see the folder of the run: what each bin gets, as an object of its own,
// and a list of all. The store is not trusted: the order in the ledger has the digest of the list, and the list those of
// the entries. Gone again when the order is settled; what a run leaves that was given up, ./staging-garbage.ts removes.
//
//   backsign/DIGEST/index   the bins, how many files and bytes each gets, and the SHA-256 of its entries
//   backsign/DIGEST/17      the entries of the bin that is number 17 of its layout
//   backsign/DIGEST/begun-T empty: at T, in milliseconds, a run began to put them there, or to look whether they are
import { sha256Hex } from '../lib/bytes.ts';
import { mapConcurrent } from '../lib/concurrency.ts';
import { CountersignError } from '../lib/errors.ts';
import type { ObjectStore } from '../storage/store.ts';
import { stagedName } from '../tuf/layout.ts';
import type { Crew } from './crew.ts';
import { partitionLayout } from './layout.ts';
import { filesDigest, type PreparedFiles } from './prepared.ts';
import { checkStaged } from './staged-entries.ts';
import type { WorkFolder } from './work-folder.ts';

const INDEX = 'index';

/** 65,536 bins at some 130 bytes each. */
const MAX_INDEX_BYTES = 16 * 1024 * 1024;

/** Objects on their way at once. */
const IN_FLIGHT = 16;

/** What a run has sorted, and where it is put. */
export interface StagingPorts {
  readonly store: ObjectStore;
  readonly folder: WorkFolder;
  readonly prepared: PreparedFiles & { readonly digest: string };
  readonly crew: Crew;
}

type Progress = (done: number, total: number) => void;

/**
 * Copies what a run has sorted into the store, the list last; answers the list's SHA-256. What is there already is left.
 * @throws CountersignError `store-unavailable`, `backsign-state`.
 */
export async function stage(ports: StagingPorts, now: number, progress: Progress): Promise<string> {
  const { store, prepared } = ports;
  // First of all: what has lain here for long is in use again from now on (./staging-garbage.ts).
  await store.putImmutable(stagedName(prepared.digest, `begun-${Math.trunc(now)}`), new Uint8Array(0));
  await restage(ports, progress);
  return sha256Hex(indexOf(prepared));
}

/**
 * Puts what the store lacks; answers how many objects that were.
 * @throws CountersignError `store-unavailable`, `backsign-state`.
 */
export async function restage(
  { store, folder, prepared, crew }: StagingPorts,
  progress: Progress = () => undefined,
): Promise<number> {
  const { digest, binCount, bins } = prepared;
  const present = new Set<string>();
  for await (const { name } of store.list(stagedName(digest, ''))) present.add(name);
  const nameOf = (bin: number): string => stagedName(digest, String(bin));
  const missing = bins.filter(({ bin }) => !present.has(nameOf(bin)));
  const { width } = partitionLayout(binCount);
  const partitions = [...new Set(missing.map(({ bin }) => Math.floor(bin / width)))];
  let done = bins.length - missing.length;
  await mapConcurrent(partitions, crew.size, async (number) => {
    const sorted = await crew.run<'entries'>({ kind: 'entries', file: folder.recordsFile(number) });
    const lacking = sorted.filter(({ bin }) => !present.has(nameOf(bin)));
    await mapConcurrent(lacking, Math.ceil(IN_FLIGHT / crew.size), async ({ bin, entries }) => {
      await store.putImmutable(nameOf(bin), entries);
      progress(++done, bins.length);
    });
  });
  const index = stagedName(digest, INDEX);
  if (present.has(index)) return missing.length;
  await store.putImmutable(index, indexOf(prepared));
  return missing.length + 1;
}

function indexOf({ binCount, bins }: PreparedFiles): Buffer {
  const files: PreparedFiles = { binCount, bins };
  return Buffer.from(JSON.stringify(files));
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

/** Removes what was staged for an order. */
export async function unstage(store: ObjectStore, digest: string): Promise<void> {
  const names: string[] = [];
  for await (const { name } of store.list(stagedName(digest, ''))) names.push(name);
  await removeStaged(store, digest, names);
}

/** Removes some of the objects that were staged. The list goes first: without it nothing is begun. */
export async function removeStaged(
  store: Pick<ObjectStore, 'remove'>,
  digest: string,
  names: readonly string[],
): Promise<void> {
  await store.remove(stagedName(digest, INDEX));
  await mapConcurrent(names, IN_FLIGHT, (name) => store.remove(name));
}
