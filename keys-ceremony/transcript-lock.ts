// One process at a time appends to a transcript. A lock is a file with the number of the process that made it; it is
// held for one line, and one that is left by a process that was killed is taken over.
import { open, readFile, rm } from 'node:fs/promises';
import type { Clock } from '../src/lib/clock.ts';
import { CountersignError, messageOf } from '../src/lib/errors.ts';

const ATTEMPTS = 100;
/** Milliseconds; 5 seconds for all attempts, a line takes some milliseconds. */
const PAUSE_MS = 50;

/**
 * Runs `action` while no other process does so under the same `path`.
 * @throws CountersignError `transcript-locked` when another process holds it for five seconds; what `action` throws.
 */
export async function underLock<T>(path: string, clock: Clock, action: () => Promise<T>): Promise<T> {
  await take(path, clock);
  try {
    return await action();
  } finally {
    await rm(path, { force: true });
  }
}

async function take(path: string, clock: Clock): Promise<void> {
  for (let attempt = 1; ; attempt++) {
    if (await create(path)) return;
    const owner = await ownerOf(path);
    // A lock without a number is being written, or its process was killed in between: given time, it is the latter.
    const dead = owner === 'unknown' ? attempt === ATTEMPTS : owner !== undefined && !lives(owner);
    if (dead) await takeOver(path, owner);
    else if (attempt >= ATTEMPTS) throw locked(path, `process ${String(owner)} holds it`);
    if (owner !== undefined && !dead) await clock.sleep(PAUSE_MS);
    if (attempt > 2 * ATTEMPTS) throw locked(path, 'it comes back whenever it is taken over');
  }
}

/** False when the lock exists. */
async function create(path: string): Promise<boolean> {
  try {
    const file = await open(path, 'wx', 0o600);
    try {
      await file.writeFile(String(process.pid));
    } finally {
      await file.close();
    }
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw new CountersignError('usage', `${path} cannot be written: ${messageOf(error)}`, { cause: error });
  }
}

/** The process that holds the lock; undefined when nobody does any more. */
async function ownerOf(path: string): Promise<number | 'unknown' | undefined> {
  try {
    const text = await readFile(path, 'utf8');
    return /^[1-9]\d{0,9}$/.test(text) ? Number(text) : 'unknown';
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
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

/** Removes a dead lock. Under a lock of its own: else one process could remove what another has just made anew. */
async function takeOver(path: string, dead: number | 'unknown' | undefined): Promise<void> {
  const second = `${path}.takeover`;
  if (!(await create(second))) {
    const owner = await ownerOf(second);
    if (typeof owner === 'number' && !lives(owner)) {
      throw locked(second, `process ${owner} was killed while it held it`);
    }
    return;
  }
  try {
    if ((await ownerOf(path)) === dead) await rm(path, { force: true });
  } finally {
    await rm(second, { force: true });
  }
}

function locked(path: string, why: string): CountersignError {
  return new CountersignError('transcript-locked', `${path} keeps others from the transcript: ${why}`);
}
