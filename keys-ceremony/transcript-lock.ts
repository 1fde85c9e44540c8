// One process at a time appends to a transcript. A lock is a file with the number of the process that made it; it is
// held for one line, and one that is left by a process that was killed is taken over.
import { open, rm } from 'node:fs/promises';
import type { Clock } from '../src/lib/clock.ts';
import { CountersignError } from '../src/lib/errors.ts';
import { readRegularFile } from './ceremony-folder.ts';
import { unwritable } from './write-file.ts';

/** Looks at a lock that somebody holds before this process gives up; a line takes some milliseconds. */
const ATTEMPTS = 100;
/** Looks at a lock without a number before it counts as left behind: whoever makes it writes the number at once. */
const ATTEMPTS_UNKNOWN = 40;
/** Of the number of a process. */
const MAX_LOCK_BYTES = 64;
/** Milliseconds between two looks. */
const PAUSE_MS = 50;

/**
 * Runs `action` while no other process does so under the same `path`.
 * @throws CountersignError `transcript-locked` when another process holds it for five seconds; `ceremony-file-invalid` when
 *   something that is no file has the name of the lock; `file-unwritable`; what `action` throws.
 */
export async function underLock<T>(path: string, clock: Clock, action: () => Promise<T>): Promise<T> {
  await take(path, clock, () => takeOver(path, clock));
  try {
    return await action();
  } finally {
    await rm(path, { force: true });
  }
}

/** Makes the lock; `leftBehind` is called when the process that made it is no more. */
async function take(path: string, clock: Clock, leftBehind: () => Promise<void>): Promise<void> {
  let unknown = 0;
  for (let attempt = 1; attempt <= ATTEMPTS; attempt++) {
    if (await create(path)) return;
    const owner = await ownerOf(path);
    unknown = owner === 'unknown' ? unknown + 1 : 0;
    if (owner === undefined) continue;
    if (unknown === ATTEMPTS_UNKNOWN || (typeof owner === 'number' && !lives(owner))) await leftBehind();
    else await clock.sleep(PAUSE_MS);
  }
  throw new CountersignError('transcript-locked', `${path} keeps others from the transcript`);
}

/** Removes a lock that was left behind. Under a lock of its own: else one could remove what another has just made. */
async function takeOver(path: string, clock: Clock): Promise<void> {
  const second = `${path}.takeover`;
  await take(second, clock, () => rm(second, { force: true }));
  try {
    const owner = await ownerOf(path);
    if (owner === 'unknown' || (typeof owner === 'number' && !lives(owner))) await rm(path, { force: true });
  } finally {
    await rm(second, { force: true });
  }
}

/** False when the lock exists. */
async function create(path: string): Promise<boolean> {
  try {
    const file = await open(path, 'wx', 0o600);
    try {
      await file.writeFile(String(process.pid));
    } catch (error) {
      // On a full disk the name can be made, and the number not written.
      await rm(path, { force: true });
      throw error;
    } finally {
      await file.close();
    }
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw unwritable(path, error);
  }
}

/** The process that holds the lock; undefined when nobody does any more. */
async function ownerOf(path: string): Promise<number | 'unknown' | undefined> {
  // The folder was carried: a pipe of this name would be waited for without end.
  const text = (await readRegularFile(path, MAX_LOCK_BYTES))?.toString('utf8');
  if (text === undefined) return undefined;
  return /^[1-9]\d{0,9}$/.test(text) ? Number(text) : 'unknown';
}

function lives(pid: number): boolean {
  try {
    // Signal 0 only asks.
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code !== 'ESRCH';
  }
}
