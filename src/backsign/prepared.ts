// All that is to be added to the bins, sorted and counted, and the digest by which it is known: the same files give the
// same digest, whoever read them from wherever. It says nothing of versions, times and signatures.
import { sha256Hex } from '../lib/bytes.ts';
import { mapConcurrent } from '../lib/concurrency.ts';
import { CountersignError } from '../lib/errors.ts';
import { MAX_SIGNED_BYTES } from '../publish/bin-room.ts';
import { BinLayout } from '../tuf/bins.ts';
import type { IndexedBin, IndexedPartition } from './indexed-bin.ts';
import type { Crew } from './crew.ts';
import { partitionLayout } from './layout.ts';
import type { ReadState } from './read-sources.ts';
import type { WorkFolder } from './work-folder.ts';

const PREPARED_NAME = 'prepared.json';

/** Conflicts of a run that are described; the others are counted. */
const DESCRIBED = 10_000;

/** Records of a file that says everything twice still fit. */
const SLACK = 2;

/** What a publisher needs to know of it. */
export interface PreparedFiles {
  readonly binCount: number;
  /** Bins that get at least one file, ascending. */
  readonly bins: readonly IndexedBin[];
}

export interface Prepared extends PreparedFiles {
  /** SHA-256 over every bin's digest. */
  readonly digest: string;
  /** Files to be signed. */
  readonly files: number;
  readonly repeated: number;
  readonly contradictory: number;
  readonly conflicts: IndexedPartition['conflicts'];
}

/**
 * The digest of all files of `bins`: SHA-256 of a line for the number of bins and one for each bin that has files, with
 * its name, their number, and the SHA-256 of its entries.
 */
export function filesDigest(binCount: number, bins: readonly IndexedBin[]): string {
  const layout = new BinLayout(binCount);
  const lines = bins.map(({ bin, count, sha256 }) => `${layout.name(bin)} ${count} ${sha256}\n`);
  return sha256Hex(`${binCount} bins\n${lines.join('')}`);
}

/**
 * Sorts every partition that is not sorted yet.
 * @throws CountersignError `metadata-too-large` when the files cannot fit into the bins; `backsign-state`.
 */
export async function prepare(
  folder: WorkFolder,
  { sizes, accepted }: ReadState,
  binCount: number,
  crew: Crew,
  progress: (done: number, total: number) => void,
): Promise<Prepared> {
  const known = folder.read<Prepared>(PREPARED_NAME);
  if (known !== undefined) return known;
  checkRoom(sizes, binCount);
  let done = 0;
  const partitions = await mapConcurrent(sizes, crew.size, async (_, number) => {
    const name = folder.sortedName(number);
    let sorted = folder.read<IndexedPartition>(name);
    if (sorted === undefined) {
      sorted = await crew.run<'sort'>({ kind: 'sort', file: folder.recordsFile(number) });
      folder.write(name, sorted);
    }
    progress(++done, sizes.length);
    return sorted;
  });
  const bins = partitions.flatMap((partition) => partition.bins);
  const sum = (value: (partition: IndexedPartition) => number): number =>
    partitions.reduce((total, partition) => total + value(partition), 0);
  const prepared: Prepared = {
    binCount,
    digest: filesDigest(binCount, bins),
    files: bins.reduce((total, { count }) => total + count, 0),
    bins,
    repeated: sum(({ repeated }) => repeated),
    contradictory: sum(({ contradictory }) => contradictory),
    conflicts: partitions.flatMap(({ conflicts }) => conflicts).slice(0, DESCRIBED),
  };
  const found = prepared.files + prepared.repeated + prepared.contradictory;
  if (found !== accepted) {
    throw new CountersignError(
      'backsign-state',
      `${folder.path} has ${found} statements, ${accepted} were read: begin again in a new folder`,
    );
  }
  folder.write(PREPARED_NAME, prepared);
  return prepared;
}

/**
 * What is in a folder, if it is what somebody ordered.
 * @throws CountersignError `backsign-state` that names both digests.
 */
export function orderedFiles(folder: WorkFolder, digest: string): Prepared {
  const prepared = folder.read<Prepared>(PREPARED_NAME);
  const found = prepared && filesDigest(prepared.binCount, prepared.bins);
  if (prepared !== undefined && found === digest) return prepared;
  throw new CountersignError(
    'backsign-state',
    `${folder.path} holds ${found === undefined ? 'no prepared files' : `the files ${found}`}, ordered were ${digest}`,
  );
}

/** A partition is sorted in memory: one that could never be signed is not read. */
function checkRoom(sizes: readonly number[], binCount: number): void {
  const { width, bins } = partitionLayout(binCount);
  const limit = width * MAX_SIGNED_BYTES * SLACK;
  const crowded = sizes.findIndex((size) => size > limit);
  if (crowded === -1) return;
  const [first, last] = [bins.name(crowded * width), bins.name((crowded + 1) * width - 1)];
  throw new CountersignError(
    'metadata-too-large',
    `${first} to ${last} would have ${sizes[crowded] ?? 0} bytes, at most ${limit / SLACK} fit: the repository needs more bins`,
  );
}
