// A run of back-signing that has sorted its files, in a folder that nobody else sees.
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { crewOfOne } from '../../src/backsign/crew.ts';
import type { Prepared } from '../../src/backsign/prepared.ts';
import { beginRun, prepareRun } from '../../src/backsign/run.ts';
import { WorkFolder } from '../../src/backsign/work-folder.ts';
import { targetOf } from './repository.ts';
import { tempDir } from './temp-dir.ts';

export const pathOf = (n: number): string => `packages/${n % 13}/file-${n}.whl`;

/** The target paths of `files` files, ascending. */
export const pathsOf = (files: number): string[] => Array.from({ length: files }, (_, n) => pathOf(n)).sort();

/** Files 0, 1, 2 … sorted for a repository with `binCount` bins. */
export async function sortedFiles(
  binCount: number,
  files: number,
): Promise<{ folder: WorkFolder; prepared: Prepared }> {
  const directory = await tempDir();
  const list = join(directory, 'list.ndjson');
  const lines = Array.from({ length: files }, (_, n) => {
    const { length, hashes } = targetOf(`${n}`);
    return JSON.stringify({ path: pathOf(n), length, sha256: hashes.sha256 });
  });
  await writeFile(list, `${lines.join('\n')}\n`);
  const folder = new WorkFolder(join(directory, 'state'));
  folder.make();
  const sources = [{ kind: 'list', name: 'list', path: list }] as const;
  beginRun(folder, { sources, prefix: '', binCount, strict: true, since: 1 });
  const quiet = (): void => undefined;
  const { prepared } = await prepareRun(folder, crewOfOne(), { reading: quiet, sorting: quiet });
  return { folder, prepared };
}
