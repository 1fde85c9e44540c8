// What is done with the sorted files of a partition and the bins that are public: to look whether they are in there, to
// put them in, to compare. Runs on any thread; bins are read, signed, verified and written by the publisher's own code.
import { readFile } from 'node:fs/promises';
import { sha256Hex } from '../lib/bytes.ts';
import { CountersignError, hasCode, type ErrorCode } from '../lib/errors.ts';
import { MAX_SIGNED_BYTES } from '../publish/bin-room.ts';
import type { BinPorts } from '../publish/bin-desk.ts';
import { loadBin, type PublicBin } from '../publish/verified-reads.ts';
import { writeBins } from '../publish/write-bins.ts';
import { BinDocument } from '../tuf/bin-document.ts';
import type { TargetFile } from '../tuf/metadata.ts';
import { sortPartition, type Conflict, type SortedBin } from './sort-partition.ts';

/** A bin of a sorted partition as the index of the working folder has it. */
export interface IndexedBin {
  /** Counted from the first bin of the repository's layout: a folder does not depend on which one that is. */
  readonly bin: number;
  readonly count: number;
  /** Bytes of its entries. */
  readonly bytes: number;
  readonly sha256: string;
}

export interface IndexedPartition {
  readonly bins: readonly IndexedBin[];
  readonly repeated: number;
  readonly contradictory: number;
  readonly conflicts: readonly Conflict[];
}

/** The records of a partition, the bins among them that are meant, and each of them as it is public. */
export interface PartitionFile {
  readonly file: string;
  readonly bins: readonly (IndexedBin & { readonly base: PublicBin })[];
}

export interface SortJob {
  readonly kind: 'sort';
  readonly file: string;
}

export interface SurveyJob extends PartitionFile {
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

export interface SignJob extends PartitionFile {
  readonly kind: 'sign';
  readonly except: readonly string[];
  readonly at: number;
  readonly expires: string;
  readonly keyids?: readonly string[];
}

export interface CheckJob extends PartitionFile {
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

export async function surveyBins(
  { file, bins, except }: SurveyJob,
  { store, roles }: BinPorts,
): Promise<Survey> {
  const { layout } = roles.binTrust;
  const wanted: IndexedBin[] = [];
  const problems: BinProblem[] = [];
  const left = new Set(except);
  let sorted: ReadonlyMap<number, SortedBin> | undefined;
  for (const indexed of bins) {
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
        continue;
      }
      // Most bins are empty, and then nothing has to be compared.
      if (base.size > 0) {
        sorted ??= await sortedBins(file);
        if (additions(base, entriesOf(sorted, indexed, file), left).size === 0) continue;
      }
      wanted.push(indexed);
    } catch (error) {
      if (!hasCode(error, 'bin-altered')) throw error;
      problems.push({ code: error.code, message: error.message });
    }
  }
  return { wanted, problems };
}

/** Signs and writes the bins of a partition; answers the SHA-256 of each file. */
export async function signBins(
  { file, bins, except, at, expires, keyids }: SignJob,
  { store, roles, signers }: BinPorts,
): Promise<string[]> {
  if (signers === undefined) throw new TypeError('nobody signs here');
  const sorted = await sortedBins(file);
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
    const base = await loadBin(store, roles.binTrust.layout, indexed.base);
    const entries = entriesOf(sorted, indexed, file);
    return base.size === 0 && left.size === 0
      ? BinDocument.ofEntries(entries, version, expires)
      : base.edit(additions(base, entries, left), version, expires);
  });
}

export async function checkBins({ file, bins }: CheckJob, { store, roles }: BinPorts): Promise<Checked> {
  const { layout } = roles.binTrust;
  let agreed = 0;
  const superseded: string[] = [];
  const removed: string[] = [];
  let sorted: ReadonlyMap<number, SortedBin> | undefined;
  for (const indexed of bins) {
    const base = await loadBin(store, layout, indexed.base);
    if (sha256Hex(base.entryBytes) === indexed.sha256) {
      agreed += indexed.count;
      continue;
    }
    sorted ??= await sortedBins(file);
    const prepared = BinDocument.ofEntries(entriesOf(sorted, indexed, file), 1, SOME_TIME);
    for (const [path, target] of prepared.entries()) {
      const found = base.get(path);
      if (found === undefined) removed.push(path);
      else if (JSON.stringify(found) === JSON.stringify(target)) agreed += 1;
      else superseded.push(path);
    }
  }
  return { agreed, superseded, removed };
}

async function sortedBins(file: string): Promise<ReadonlyMap<number, SortedBin>> {
  const { bins } = await sortFile(file);
  return new Map(bins.map((bin) => [bin.bin, bin]));
}

/** The entries of a bin, if they are the ones that the operator's order is for. */
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
