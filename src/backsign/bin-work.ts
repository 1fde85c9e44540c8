// What is done with the sorted files of a partition and the bins that are public: to look whether they are in there, to
// put them in, to compare. Runs on any thread; bins are read, signed, verified and written by the publisher's own code.
import { readFile } from 'node:fs/promises';
import { sha256Hex } from '../lib/bytes.ts';
import { mapConcurrent } from '../lib/concurrency.ts';
import { CountersignError, hasCode, type ErrorCode } from '../lib/errors.ts';
import { MAX_SIGNED_BYTES } from '../publish/bin-room.ts';
import { READS_IN_FLIGHT, type BinPorts } from '../publish/bin-desk.ts';
import { loadBin, type PublicBin } from '../publish/verified-reads.ts';
import { writeBins } from '../publish/write-bins.ts';
import { BinDocument } from '../tuf/bin-document.ts';
import type { TargetFile } from '../tuf/metadata.ts';
import type { IndexedBin, IndexedPartition } from './indexed-bin.ts';
import { sortPartition, type SortedBin } from './sort-partition.ts';
import { stagedEntries } from './staged-entries.ts';

/** Where sorted files are: in the records of a partition on this computer, or in the store (./staging.ts). */
export type Place = { readonly file: string } | { readonly staged: string };

/** Sorted files, the bins among them that are meant, and each of them as it is public. */
export interface PreparedBins {
  readonly place: Place;
  readonly bins: readonly (IndexedBin & { readonly base: PublicBin })[];
}

export interface SortJob {
  readonly kind: 'sort';
  readonly file: string;
}

export interface EntriesJob {
  readonly kind: 'entries';
  readonly file: string;
}

/** What each bin of a partition gets. */
export type PartitionEntries = readonly { readonly bin: number; readonly entries: Uint8Array }[];

export interface SurveyJob extends PreparedBins {
  readonly kind: 'survey';
  readonly except: readonly string[];
}

/** What a publication would do to the bins of a partition. */
export interface Survey {
  /** Bins that do not have all of their files yet. */
  readonly wanted: readonly IndexedBin[];
  /** Why bins cannot be signed: what stands there is not what was published, or there is no room. */
  readonly problems: readonly BinProblem[];
}

export interface BinProblem {
  readonly code: ErrorCode;
  readonly message: string;
}

export interface SignJob extends PreparedBins {
  readonly kind: 'sign';
  readonly except: readonly string[];
  readonly at: number;
  readonly expires: string;
  readonly keyids?: readonly string[];
}

export interface CheckJob extends PreparedBins {
  readonly kind: 'check';
}

/** What the public bins say about the files of a partition. */
export interface Checked {
  /** Files that are public as they were prepared. */
  readonly agreed: number;
  /** Paths that an upload has given another content, or has removed: the newer statement won. */
  readonly superseded: readonly string[];
  readonly removed: readonly string[];
}

/** Bytes of a bin around its entries. */
const FRAME_BYTES = 256;

/** Any: it is not written. */
const SOME_TIME = '2000-01-01T00:00:00Z';

/** @throws CountersignError `backsign-state` when the file cannot be read or is damaged. */
export async function sortFile(file: string): Promise<ReturnType<typeof sortPartition>> {
  let records: Buffer;
  try {
    records = await readFile(file);
  } catch (cause) {
    throw new CountersignError('backsign-state', `${file} cannot be read`, { cause });
  }
  return sortPartition(records, file);
}

export async function indexPartition({ file }: SortJob): Promise<IndexedPartition> {
  const { bins, ...rest } = await sortFile(file);
  return {
    ...rest,
    bins: bins.map(({ bin, count, entries, sha256 }) => ({ bin, count, bytes: entries.length, sha256 })),
  };
}

export async function entriesOfPartition({ file }: EntriesJob): Promise<PartitionEntries> {
  const { bins } = await sortFile(file);
  return bins.map(({ bin, entries }) => ({ bin, entries }));
}

export async function surveyBins(
  { place, bins, except }: SurveyJob,
  { store, roles }: BinPorts,
): Promise<Survey> {
  const { layout } = roles.binTrust;
  const problems: BinProblem[] = [];
  const left = new Set(except);
  const entries = entriesAt(place, store);
  const isWanted = async (indexed: PreparedBins['bins'][number]): Promise<boolean> => {
    try {
      const base = await loadBin(store, layout, indexed.base);
      const size = base.signed.length + indexed.bytes + FRAME_BYTES;
      if (size > MAX_SIGNED_BYTES) {
        problems.push({
          code: 'metadata-too-large',
          message:
            `${layout.name(indexed.base.bin)} would have up to ${size} bytes, at most ${MAX_SIGNED_BYTES} are allowed: ` +
            'the repository needs more bins',
        });
        return false;
      }
      // Most bins are empty, and then nothing has to be compared.
      return base.size === 0 || additions(base, await entries(indexed), left).size > 0;
    } catch (error) {
      // Nothing is committed yet: this order is refused in the end, and uploads do not wait for it.
      if (!hasCode(error, 'bin-altered', 'backsign-state')) throw error;
      problems.push({ code: error.code, message: error.message });
      return false;
    }
  };
  const verdicts = await mapConcurrent(bins, READS_IN_FLIGHT, isWanted);
  return { wanted: bins.filter((_, i) => verdicts[i]), problems };
}

/** Signs and writes the bins of a partition; answers the SHA-256 of each file. */
export async function signBins(
  { place, bins, except, at, expires, keyids }: SignJob,
  { store, roles, signers }: BinPorts,
): Promise<string[]> {
  if (signers === undefined) throw new TypeError('nobody signs here');
  const entries = entriesAt(place, store);
  const left = new Set(except);
  const wanted = new Map(bins.map((indexed) => [indexed.base.bin, indexed]));
  const intent = {
    bins: bins.map(({ base }) => ({ bin: base.bin, version: base.version + 1 })),
    at,
    ...(keyids === undefined ? {} : { keyids }),
  };
  return writeBins({ store, ...signers }, roles, intent, async ({ bin, version }) => {
    const indexed = wanted.get(bin);
    if (indexed === undefined) throw new RangeError(`bin ${bin}`);
    const [base, added] = await Promise.all([
      loadBin(store, roles.binTrust.layout, indexed.base),
      entries(indexed),
    ]);
    return base.size === 0 && left.size === 0
      ? BinDocument.ofEntries(added, version, expires)
      : base.edit(additions(base, added, left), version, expires);
  });
}

export async function checkBins({ place, bins }: CheckJob, { store, roles }: BinPorts): Promise<Checked> {
  const { layout } = roles.binTrust;
  let agreed = 0;
  const superseded: string[] = [];
  const removed: string[] = [];
  const entries = entriesAt(place, store);
  await mapConcurrent(bins, READS_IN_FLIGHT, async (indexed) => {
    const base = await loadBin(store, layout, indexed.base);
    if (sha256Hex(base.entryBytes) === indexed.sha256) {
      agreed += indexed.count;
      return;
    }
    const prepared = BinDocument.ofEntries(await entries(indexed), 1, SOME_TIME);
    for (const [path, target] of prepared.entries()) {
      const found = base.get(path);
      if (found === undefined) removed.push(path);
      else if (JSON.stringify(found) === JSON.stringify(target)) agreed += 1;
      else superseded.push(path);
    }
  });
  return { agreed, superseded, removed };
}

/** The entries of bins, each if they are the ones that the operator's order is for. */
function entriesAt(place: Place, store: BinPorts['store']): (bin: IndexedBin) => Promise<Buffer> {
  if ('staged' in place) return (bin) => stagedEntries(store, place.staged, bin);
  // Read and sorted once, when the first bin needs it.
  let sorted: Promise<ReadonlyMap<number, SortedBin>> | undefined;
  return async (indexed) => entriesOf(await (sorted ??= sortedBins(place.file)), indexed, place.file);
}

async function sortedBins(file: string): Promise<ReadonlyMap<number, SortedBin>> {
  const { bins } = await sortFile(file);
  return new Map(bins.map((bin) => [bin.bin, bin]));
}

function entriesOf(
  sorted: ReadonlyMap<number, SortedBin>,
  { bin, sha256 }: IndexedBin,
  file: string,
): Buffer {
  const found = sorted.get(bin);
  if (found?.sha256 === sha256) return found.entries;
  throw new CountersignError(
    'backsign-state',
    `${file} has other files for bin ${bin} than were ordered: sha256 ${found?.sha256 ?? 'none'} instead of ${sha256}`,
  );
}

/** What is missing in a bin. A path that it names is the newer statement, and so is a removal. */
function additions(
  base: BinDocument,
  entries: Buffer,
  except: ReadonlySet<string>,
): ReadonlyMap<string, TargetFile> {
  const missing = new Map<string, TargetFile>();
  for (const [path, target] of BinDocument.ofEntries(entries, 1, SOME_TIME).entries()) {
    if (!except.has(path) && base.get(path) === undefined) missing.set(path, target);
  }
  return missing;
}
