// Compares the record of a ceremony, perhaps years old, with the files that a repository shows today.
import { stat } from 'node:fs/promises';
import path from 'node:path';
import { sha256Hex } from '../src/lib/bytes.ts';
import { CountersignError, messageOf } from '../src/lib/errors.ts';
import { MAX_METADATA_BYTES } from '../src/tuf/metadata-limits.ts';
import { parseRoot } from '../src/tuf/parse-root.ts';
import { verifyNextRoot } from '../src/tuf/verify-roles.ts';
import { FILES, listFolder, MAX_BYTES, readRegularFile, readRequired } from './ceremony-folder.ts';
import { FOLDER_HEADING, PUBLISHED_HEADING } from './record-text.ts';
import type { RecordedFile } from './record.ts';

export interface ComparedFile {
  readonly name: string;
  /** `gone`: not there; only roots are kept for ever (PEP 458 "Cleaning up old metadata"). */
  readonly result: 'same' | 'differs' | 'gone' | 'missing';
  readonly recorded: string;
  readonly found?: string;
}

export interface RecordComparison {
  readonly ceremony: string;
  /** Files of the repository. */
  readonly published: readonly ComparedFile[];
  /** Files of the ceremony's own folder. */
  readonly folder: readonly ComparedFile[];
  /** Version of the last root that follows from the recorded ones by signatures. */
  readonly newestRoot: number;
  /** Why the chain of roots ends before the newest root that is there. */
  readonly brokenChain?: string;
  /** True when nothing differs and nothing is missing that has to be kept. */
  readonly agrees: boolean;
}

/**
 * Compares `record.txt` in `folder` with `repository`, a copy of the published metadata files (or of what lies above
 * their folder `metadata`).
 * @throws CountersignError `ceremony-file-missing`, `ceremony-file-invalid` when the record cannot be read, or there is no
 *   such repository.
 */
export async function compareRecord(folder: string, repository: string): Promise<RecordComparison> {
  const text = (await readRequired(folder, FILES.recordText, MAX_BYTES.payload)).toString('utf8');
  const ceremony = /^RECORD OF THE KEY CEREMONY ([A-Z0-9-]+)$/m.exec(text)?.[1]?.toLowerCase();
  const recorded = sumsBelow(text, PUBLISHED_HEADING);
  if (ceremony === undefined || recorded.length === 0) {
    throw new CountersignError(
      'ceremony-file-invalid',
      `${path.join(folder, FILES.recordText)} is not the record of a ceremony`,
    );
  }
  // Otherwise a mistyped name would read like a repository that was tampered with.
  if ((await stat(repository).catch(() => undefined))?.isDirectory() !== true) {
    throw new CountersignError('ceremony-file-missing', `there is no folder ${repository}`);
  }
  const metadata =
    (await listFolder(repository, 'metadata')).length > 0 ? path.join(repository, 'metadata') : repository;
  const published = await Promise.all(
    recorded.map((file) => compare(metadata, file, file.name.endsWith('.root.json') ? 'missing' : 'gone')),
  );
  const own = await Promise.all(
    sumsBelow(text, FOLDER_HEADING).map((file) => compare(folder, file, 'missing')),
  );
  const roots = published.filter(({ name }) => name.endsWith('.root.json'));
  const good = roots.every(({ result }) => result === 'same');
  const chain = good
    ? await followRoots(metadata, roots.length)
    : { newestRoot: 0, brokenChain: 'a recorded root differs or is missing' };
  return {
    ceremony,
    published,
    folder: own,
    ...chain,
    agrees:
      chain.brokenChain === undefined &&
      [...published, ...own].every(({ result }) => result === 'same' || result === 'gone'),
  };
}

/** The lines of the form that `sha256sum` writes, below a heading. */
function sumsBelow(text: string, heading: string): RecordedFile[] {
  const [, after = ''] = text.split(`\n${heading}\n`);
  const [section = ''] = after.split('\n---');
  return [...section.matchAll(/^([0-9a-f]{64}) {2}(\S+)$/gm)].map(([, sha256 = '', name = '']) => ({
    name,
    sha256,
  }));
}

async function compare(
  folder: string,
  { name, sha256: recorded }: RecordedFile,
  absent: 'gone' | 'missing',
): Promise<ComparedFile> {
  if (path.isAbsolute(name) || name.split('/').includes('..')) {
    throw new CountersignError(
      'ceremony-file-invalid',
      `the record names the file ${name}, outside of its folder`,
    );
  }
  const bytes = await readRegularFile(path.join(folder, name), MAX_BYTES.bundle);
  if (bytes === undefined) return { name, result: absent, recorded };
  const found = sha256Hex(bytes);
  return { name, result: found === recorded ? 'same' : 'differs', recorded, found };
}

/** TUF 5.3: each root after the recorded ones is signed by the keys of the one before, and by its own. */
async function followRoots(
  metadata: string,
  recorded: number,
): Promise<{ newestRoot: number; brokenChain?: string }> {
  const read = async (version: number): Promise<Buffer | undefined> =>
    readRegularFile(path.join(metadata, `${version}.root.json`), MAX_METADATA_BYTES.root);
  let version = recorded;
  try {
    let trusted = parseRoot((await read(version)) ?? new Uint8Array());
    for (let next = await read(version + 1); next !== undefined; next = await read(version + 1)) {
      trusted = await verifyNextRoot(trusted.signed, parseRoot(next));
      version++;
    }
    return { newestRoot: version };
  } catch (error) {
    return { newestRoot: version, brokenChain: `root ${version + 1}: ${messageOf(error)}` };
  }
}
