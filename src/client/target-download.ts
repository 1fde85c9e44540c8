// TUF 5.7: a target file on disk, whole and verified, or not there at all. The bytes are hashed on their way into a
// directory of their own and get their name only when they are right; the file system's rename is the last step.
import { createReadStream } from 'node:fs';
import { mkdir, mkdtemp, open, rename, rm, stat } from 'node:fs/promises';
import path from 'node:path';
import { CountersignError, hasCode, messageOf } from '../lib/errors.ts';
import { sha256Hex } from '../lib/bytes.ts';
import type { Fetcher } from './fetcher.ts';
import { quoteName, quotePath } from './quoted-name.ts';
import { HASH_ALGORITHMS, HashCheck } from './roles/file-reference.ts';
import { placeOf } from './roles/role-file.ts';
import type { Target } from './roles/targets-file.ts';

export interface Download {
  readonly file: string;
  /** True when the directory had the right file already: nothing was asked for. */
  readonly cached: boolean;
}

export interface DownloadPlan {
  readonly fetcher: Fetcher;
  /** Where target files are, with or without a final slash. */
  readonly baseUrl: string;
  /** Whether files carry their hash in their name: `Updater.consistentSnapshot`. */
  readonly consistentSnapshot: boolean;
  readonly directory: string;
}

/**
 * Downloads a target file into `directory`, under targetFileName, and verifies it against its entry (TUF 5.7.1).
 * @throws CountersignError `length-or-hash-mismatch`; `not-found` when the other side has no such file;
 *   `metadata-invalid` when no hash of the target is known; `store-unavailable`.
 */
export async function downloadTarget(target: Target, plan: DownloadPlan): Promise<Download> {
  const file = path.join(plan.directory, targetFileName(target.path));
  if (await isTarget(file, target)) return { file, cached: true };
  const url = targetUrl(target, plan);
  let work: string | undefined;
  try {
    await mkdir(plan.directory, { recursive: true });
    work = await mkdtemp(path.join(plan.directory, '.download-'));
    const partial = path.join(work, 'partial');
    await receive(target, url, plan.fetcher, partial);
    await rename(partial, file);
    return { file, cached: false };
  } catch (error) {
    if (error instanceof CountersignError) throw error;
    throw new CountersignError('store-unavailable', `cannot write ${file}: ${messageOf(error)}`, {
      cause: error,
    });
  } finally {
    if (work !== undefined) await rm(work, { recursive: true, force: true });
  }
}

/** TUF 5.7.3: `dir/HASH.file` with consistent snapshots. */
export function targetUrl(
  { path: name, hashes }: Target,
  { baseUrl, consistentSnapshot }: Pick<DownloadPlan, 'baseUrl' | 'consistentSnapshot'>,
): string {
  const base = baseUrl.endsWith('/') ? baseUrl : `${baseUrl}/`;
  const algorithm = HASH_ALGORITHMS.find((it) => hashes.has(it));
  const hash = algorithm === undefined ? undefined : hashes.get(algorithm);
  if (!consistentSnapshot || hash === undefined) return base + quotePath(name);
  const slash = name.lastIndexOf('/') + 1;
  return `${base}${quotePath(name.slice(0, slash))}${hash}.${quoteName(name.slice(slash))}`;
}

/** File systems end names at 255 bytes. */
const MAX_FILE_NAME = 240;

/**
 * The name of a target in a directory of downloads: its path in percent-encoding, one component, so that no path leads
 * out of the directory; no name begins with a period.
 */
export function targetFileName(name: string): string {
  const quoted = quoteName(name).replace(/^\./, '%2E');
  return quoted.length <= MAX_FILE_NAME ? quoted : sha256Hex(name);
}

async function receive(target: Target, url: string, fetcher: Fetcher, file: string): Promise<void> {
  const check = new HashCheck(placeOf(target.path), target.hashes);
  // Before anything is asked for: an answer that nobody reads would keep its connection.
  const out = await open(file, 'wx');
  try {
    const body = await fetcher.get(url, target.length).catch((error: unknown) => {
      throw hasCode(error, 'metadata-too-large')
        ? wrongLength(target, `more than ${target.length}`, error)
        : error;
    });
    if (body === undefined) throw new CountersignError('not-found', `${url} does not exist`);
    let length = 0;
    for await (const chunk of body) {
      length += chunk.length;
      // TUF 5.7.3: "up to the number of bytes specified": endless data attack.
      if (length > target.length) throw wrongLength(target, `more than ${target.length}`);
      check.update(chunk);
      await out.writeFile(chunk);
    }
    if (length !== target.length) throw wrongLength(target, String(length));
    check.finish();
    await out.sync();
  } finally {
    await out.close();
  }
}

async function isTarget(file: string, target: Target): Promise<boolean> {
  try {
    if ((await stat(file)).size !== target.length) return false;
    const check = new HashCheck(placeOf(target.path), target.hashes);
    for await (const chunk of createReadStream(file)) check.update(chunk as Uint8Array);
    check.finish();
    return true;
  } catch {
    // Absent, altered or unreadable: whatever it is, a fresh file takes its place.
    return false;
  }
}

function wrongLength({ path: name, length }: Target, actual: string, cause?: unknown): CountersignError {
  return new CountersignError(
    'length-or-hash-mismatch',
    `${placeOf(name)} has ${actual} bytes, signed metadata says ${length}`,
    { cause },
  );
}
