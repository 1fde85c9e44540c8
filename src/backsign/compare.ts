// Two sources of the same files, compared before anything is signed: what one of them has and the other has not, or has
// otherwise. PEP 458 is as good as the list that is signed first.
import { BinDocument } from '../tuf/bin-document.ts';
import { sortFile } from './bin-work.ts';
import { partitionLayout } from './layout.ts';
import type { Prepared } from './prepared.ts';
import type { WorkFolder } from './work-folder.ts';

/** Differences that are described; the others are counted. */
const DESCRIBED = 10_000;

export interface Difference {
  readonly path: string;
  readonly found: 'in the first only' | 'in the second only' | 'with other content';
}

export interface Comparison {
  readonly count: number;
  readonly described: readonly Difference[];
}

export interface ComparedFiles {
  readonly folder: WorkFolder;
  readonly prepared: Prepared;
}

/** All differences, by bin and path. Partitions whose bins have the same digests are not looked at. */
export async function compareFiles(first: ComparedFiles, second: ComparedFiles): Promise<Comparison> {
  const { width } = partitionLayout(first.prepared.binCount);
  const [digestsA, digestsB] = [first, second].map(
    ({ prepared }) => new Map(prepared.bins.map(({ bin, sha256 }) => [bin, sha256])),
  );
  const all = [...(digestsA?.keys() ?? []), ...(digestsB?.keys() ?? [])];
  const differing = new Set(all.filter((bin) => digestsA?.get(bin) !== digestsB?.get(bin)));
  const partitions = new Set([...differing].map((bin) => Math.floor(bin / width)));
  let count = 0;
  const described: Difference[] = [];
  const note = (path: string, found: Difference['found']): void => {
    count += 1;
    if (described.length < DESCRIBED) described.push({ path, found });
  };
  for (const partition of [...partitions].sort((a, b) => a - b)) {
    const [a, b] = await Promise.all([documents(first, partition), documents(second, partition)]);
    for (const bin of [...differing].filter((each) => Math.floor(each / width) === partition)) {
      const [inA, inB] = [a.get(bin), b.get(bin)];
      for (const [path, target] of inA?.entries() ?? []) {
        const other = inB?.get(path);
        if (other === undefined) note(path, 'in the first only');
        else if (JSON.stringify(other) !== JSON.stringify(target)) note(path, 'with other content');
      }
      for (const [path] of inB?.entries() ?? []) {
        if (inA?.get(path) === undefined) note(path, 'in the second only');
      }
    }
  }
  return { count, described };
}

async function documents({ folder }: ComparedFiles, partition: number): Promise<Map<number, BinDocument>> {
  const { bins } = await sortFile(folder.recordsFile(partition));
  return new Map(
    bins.map(({ bin, entries }) => [bin, BinDocument.ofEntries(entries, 1, '2000-01-01T00:00:00Z')]),
  );
}
