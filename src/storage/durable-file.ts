// The system calls under the file store, with errors that name the object. Plain descriptors instead of FileHandle:
// one allocation less for each call, and nothing that the garbage collector closes at a time of its own.
import * as fs from 'node:fs';
import { CountersignError, messageOf } from '../lib/errors.ts';
import { borrowMemory } from '../lib/memory.ts';
import { pooledCalls, type FileCalls } from './file-calls.ts';

/** The operating system's code in an error (`ENOENT`), or undefined when it has none. */
export function osCode(error: unknown): string | undefined {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : undefined;
}

/** `store-unavailable` that names the object and says what the operating system said. */
export function storeUnavailable(action: string, name: string, error: unknown): CountersignError {
  if (error instanceof CountersignError) return error;
  return new CountersignError('store-unavailable', `cannot ${action} ${name}: ${messageOf(error)}`, {
    cause: error,
  });
}

/**
 * Creates a file that must not exist, with all of `bytes` on the disk when it resolves. Its name in the directory is
 * not durable yet. When it fails, the file is gone again.
 */
export async function createSynced(
  path: string,
  bytes: Uint8Array,
  mode: number,
  calls: FileCalls = pooledCalls,
): Promise<void> {
  const { O_WRONLY, O_CREAT, O_EXCL, O_NOFOLLOW } = fs.constants;
  const fd = await calls.open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, mode);
  try {
    // A write may be short (a full disk, a limit); the next one then names the reason.
    for (let written = 0; written < bytes.length;) written += await calls.write(fd, bytes, written);
    await calls.fsync(fd);
  } catch (error) {
    fs.closeSync(fd);
    fs.rmSync(path, { force: true });
    throw error;
  }
  closeSettled(fd, calls);
}

/**
 * The whole of a regular file, or undefined when there is none. A symbolic link in the last place of the path is an
 * error (`ELOOP`).
 * @throws CountersignError `metadata-too-large` when it has more than `maxBytes`, `store-unavailable` when it is no
 *   regular file or changes its length while it is read.
 */
export async function readWhole(
  path: string,
  maxBytes: number,
  calls: FileCalls = pooledCalls,
): Promise<Uint8Array | undefined> {
  // Without O_NONBLOCK, a FIFO under the name would keep one of libuv's four threads for ever.
  const { O_RDONLY, O_NOFOLLOW, O_NONBLOCK } = fs.constants;
  let fd: number;
  try {
    fd = await calls.open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
  } catch (error) {
    if (osCode(error) === 'ENOENT') return undefined;
    throw error;
  }
  try {
    // Answered from memory for an open file: a trip through the thread pool would cost more.
    const stat = fs.fstatSync(fd);
    if (!stat.isFile()) throw new CountersignError('store-unavailable', `${path} is not a regular file`);
    if (stat.size > maxBytes) {
      throw new CountersignError('metadata-too-large', `${path} has ${stat.size} bytes, at most ${maxBytes}`);
    }
    return await readExactly(fd, stat.size, path, calls);
  } finally {
    closeSettled(fd, calls);
  }
}

/** One byte more than expected is asked for: so a file that has grown is noticed by the same call. */
async function readExactly(fd: number, size: number, path: string, calls: FileCalls): Promise<Uint8Array> {
  const buffer = borrowMemory(size + 1);
  let filled = 0;
  while (filled <= size) {
    const count = await calls.read(fd, buffer, filled);
    filled += count;
    // The end of a regular file: a further call would only confirm it.
    if (count === 0 || filled === size) break;
  }
  if (filled === size) return buffer.subarray(0, size);
  throw new CountersignError('store-unavailable', `${path} changed its length while it was read`);
}

/** All that was written through this descriptor is on the disk: closing it is awaited by nobody, and its failure hurts nobody. */
function closeSettled(fd: number, calls: FileCalls): void {
  const close = async (): Promise<void> => calls.close(fd);
  close().catch(() => undefined);
}

/** Makes the names in a directory durable, now. */
async function syncDirectory(path: string): Promise<void> {
  const fd = await pooledCalls.open(
    path,
    fs.constants.O_RDONLY | fs.constants.O_DIRECTORY | fs.constants.O_NOFOLLOW,
  );
  try {
    await pooledCalls.fsync(fd);
  } finally {
    closeSettled(fd, pooledCalls);
  }
}

/**
 * Makes the names in one directory durable for many writers at once. Everyone waits for an fsync that started after
 * they asked (an earlier one may have missed their name), and all who ask while one runs share the next.
 */
export class DirectorySync {
  readonly #path: string;
  #running: Promise<void> | undefined;
  #next: Promise<void> | undefined;

  constructor(path: string) {
    this.#path = path;
  }

  /** Resolves when every change to the directory that was made before the call is durable. */
  sync(): Promise<void> {
    if (this.#running === undefined) return this.#start();
    this.#next ??= this.#running.then(
      () => this.#start(),
      () => this.#start(),
    );
    return this.#next;
  }

  #start(): Promise<void> {
    this.#next = undefined;
    const run = syncDirectory(this.#path).finally(() => {
      if (this.#running === run) this.#running = undefined;
    });
    this.#running = run;
    return run;
  }
}
