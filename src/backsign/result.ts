// After the publication: what the public bins say about the files that were to be signed.
import type { History } from '../ledger/ledger.ts';
import { hasCode } from '../lib/errors.ts';
import { mapConcurrent } from '../lib/concurrency.ts';
import { readPublicState } from '../publish/public-state.ts';
import { publicBin } from '../publish/verified-reads.ts';
import type { ObjectStore } from '../storage/store.ts';
import type { IndexedBin } from './indexed-bin.ts';
import type { Crew } from './crew.ts';
import { partitionLayout } from './layout.ts';
import type { Prepared } from './prepared.ts';
import type { WorkFolder } from './work-folder.ts';

/** Paths of each kind that are named; the others are counted. */
const NAMED = 10_000;

export interface NamedPaths {
  readonly count: number;
  readonly paths: readonly string[];
}

export interface BacksignResult {
  readonly snapshot: number;
  /** Files that are public as they were to be. */
  readonly agreed: number;
  /** Paths that an upload names with another content: the newer statement. */
  readonly superseded: NamedPaths;
  /** Paths that are not public: an upload was removed meanwhile. */
  readonly removed: NamedPaths;
}

export interface ResultPorts {
  readonly folder: WorkFolder;
  readonly history: History;
  readonly store: ObjectStore;
  readonly crew: Crew;
  /** Bins that were compared, and all. */
  readonly progress: (done: number, total: number) => void;
}

/**
 * Compares every prepared file with its bin.
 * @throws CountersignError `bin-altered`, `store-unavailable`.
 */
export async function checkResult(prepared: Prepared, ports: ResultPorts): Promise<BacksignResult> {
  for (;;) {
    const before = await ports.history.head();
    try {
      return await checkOnce(prepared, ports);
    } catch (error) {
      // The ledger is asked for the head, then for the bins: an upload that came in between looks like an altered bin.
      if (!hasCode(error, 'bin-altered') || (await ports.history.head())?.snapshot === before?.snapshot)
        throw error;
    }
  }
}

async function checkOnce(
  { binCount, bins }: Prepared,
  { folder, history, store, crew, progress }: ResultPorts,
): Promise<BacksignResult> {
  const { published } = await readPublicState(history, store);
  const { roles, snapshot } = published;
  const { width } = partitionLayout(binCount);
  const partitions = new Map<number, IndexedBin[]>();
  for (const bin of bins) {
    const number = Math.floor(bin.bin / width);
    const members = partitions.get(number);
    if (members === undefined) partitions.set(number, [bin]);
    else members.push(bin);
  }
  let done = 0;
  const checked = await mapConcurrent([...partitions], crew.size, async ([number, members]) => {
    const bases = members.map((member) => ({
      ...member,
      base: publicBin(published, snapshot.layout.first + member.bin),
    }));
    const answer = await crew.run<'check'>(
      { kind: 'check', place: { file: folder.recordsFile(number) }, bins: bases },
      { store, roles },
    );
    done += members.length;
    progress(done, bins.length);
    return answer;
  });
  const named = (lists: readonly (readonly string[])[]): NamedPaths => ({
    count: lists.reduce((sum, { length }) => sum + length, 0),
    paths: lists.flat().slice(0, NAMED).sort(),
  });
  return {
    snapshot: snapshot.version,
    agreed: checked.reduce((sum, { agreed }) => sum + agreed, 0),
    superseded: named(checked.map(({ superseded }) => superseded)),
    removed: named(checked.map(({ removed }) => removed)),
  };
}
