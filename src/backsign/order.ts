// What an order to back-sign says, and the files that it is about: in the folder of the run, or in the store, where every
// node reads them (ADR 24).
import { CountersignError, messageOf } from '../lib/errors.ts';
import type { ObjectStore } from '../storage/store.ts';
import type { Place } from './bin-work.ts';
import type { IndexedBin } from './indexed-bin.ts';
import { partitionLayout } from './layout.ts';
import { orderedFiles, type PreparedFiles } from './prepared.ts';
import { stagedFiles } from './staging.ts';
import { WorkFolder } from './work-folder.ts';

/** Which files, where they are, and since when an upload is newer than they are. */
export type BacksignOrder = {
  /** Digest of the files. */
  readonly digest: string;
  /** The snapshot that was current when the sources began to be read. */
  readonly since: number;
} & (
  | {
      /** The working folder, absolute. */
      readonly folder: string;
    }
  | {
      /** In the store: SHA-256 of the list of bins. */
      readonly staged: string;
    }
);

export interface OrderedFiles extends PreparedFiles {
  /** In the store: any node can sign them. */
  readonly isStaged: boolean;
  /** The bins of each partition, ascending. */
  readonly partitions: readonly (readonly IndexedBin[])[];
  /** Where the entries of a partition are. */
  place(partition: number): Place;
}

/** @throws CountersignError `backsign-state`. */
export function parseOrder(content: string): BacksignOrder {
  try {
    const { folder, staged, digest, since } = JSON.parse(content) as Partial<
      Record<'folder' | 'staged' | 'digest', unknown> & { since: number }
    >;
    if (typeof digest === 'string' && since !== undefined && Number.isSafeInteger(since)) {
      if (typeof folder === 'string') return { folder, digest, since };
      if (typeof staged === 'string') return { staged, digest, since };
    }
  } catch (error) {
    throw new CountersignError('backsign-state', `an order to back-sign is not JSON: ${messageOf(error)}`, {
      cause: error,
    });
  }
  throw new CountersignError('backsign-state', 'an order to back-sign names no files and no digest');
}

/**
 * The files of an order, if they are still the ones that were ordered.
 * @throws CountersignError `backsign-state` when they are not, or cannot be read here; `store-unavailable`.
 */
export async function openOrder(order: BacksignOrder, store: ObjectStore): Promise<OrderedFiles> {
  if ('staged' in order) {
    const { digest, staged } = order;
    const files = await stagedFiles(store, digest, staged);
    return { ...files, isStaged: true, partitions: byPartition(files), place: () => ({ staged: digest }) };
  }
  const folder = new WorkFolder(order.folder);
  const files = orderedFiles(folder, order.digest);
  const place = (partition: number): Place => ({ file: folder.recordsFile(partition) });
  return { ...files, isStaged: false, partitions: byPartition(files), place };
}

function byPartition({ binCount, bins }: PreparedFiles): IndexedBin[][] {
  const { count, width } = partitionLayout(binCount);
  const partitions = Array.from({ length: count }, (): IndexedBin[] => []);
  for (const bin of bins) partitions[Math.floor(bin.bin / width)]?.push(bin);
  return partitions;
}
