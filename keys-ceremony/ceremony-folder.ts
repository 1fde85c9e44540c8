// The folder of one ceremony: the names of its files, and how they are read. People carry it from computer to computer,
// so whatever is in it was written by a stranger: sizes are bounded and symbolic links are not followed.
import { constants } from 'node:fs';
import { lstat, open, readdir } from 'node:fs/promises';
import path from 'node:path';
import { CountersignError, messageOf } from '../src/lib/errors.ts';
import { MAX_BUNDLE_BYTES } from '../src/tuf/bundle.ts';

export const FILES = {
  plan: 'plan.yaml',
  /** The bundle of the ceremony before. */
  previous: 'previous.json',
  oneTime: 'one-time.json',
  payload: 'payload.json',
  transcript: 'transcript.ndjson',
  bundle: 'bundle.json',
  /** Its presence ends the ceremony; its text is the reason. */
  aborted: 'ABORTED',
  recordHtml: 'record.html',
  recordText: 'record.txt',
} as const;

export const HOLDERS_FOLDER = 'holders';
export const SIGNATURES_FOLDER = 'signatures';

/** Bytes that are read of each kind of file; a larger one is another file, given by mistake or malice. */
export const MAX_BYTES = {
  plan: 64 * 1024,
  publicKey: 16 * 1024,
  bundle: MAX_BUNDLE_BYTES,
  oneTime: MAX_BUNDLE_BYTES,
  payload: MAX_BUNDLE_BYTES,
  signature: 16 * 1024,
  transcript: 16 * 1024 * 1024,
  aborted: 64 * 1024,
} as const;

/** More files than any folder of a ceremony holds. */
const MAX_ENTRIES = 4096;

export function publicKeyFile(holder: string): string {
  return `${HOLDERS_FOLDER}/${holder}.pub.json`;
}

export function signatureFile(role: string, keyid: string): string {
  return `${SIGNATURES_FOLDER}/${role}.${keyid}.json`;
}

/** The transcript of another computer, under the name of who brought it. */
export function foreignTranscriptFile(name: string): string {
  return `transcript.${name}.ndjson`;
}

/**
 * The content of a file below `folder`, or undefined when there is none. `name` is relative, with `/` between its parts.
 * @throws CountersignError `ceremony-file-invalid` for a symbolic link on the way, anything but a regular file, a file
 *   of more than `maxBytes` bytes, and one that cannot be read.
 */
export async function readIfPresent(
  folder: string,
  name: string,
  maxBytes: number,
): Promise<Buffer | undefined> {
  const parts = name.split('/');
  if (path.isAbsolute(name) || parts.some((part) => part === '' || part === '.' || part === '..')) {
    throw invalid(`${name} is not a name inside the folder ${folder}`);
  }
  for (let depth = 1; depth < parts.length; depth += 1) {
    if (!(await isFolder(path.join(folder, ...parts.slice(0, depth))))) return undefined;
  }
  return readRegularFile(path.join(folder, ...parts), maxBytes);
}

/**
 * The same for a file that must be there.
 * @throws CountersignError `ceremony-file-missing`, and those of `readIfPresent`.
 */
export async function readRequired(folder: string, name: string, maxBytes: number): Promise<Buffer> {
  const bytes = await readIfPresent(folder, name, maxBytes);
  if (bytes === undefined) {
    throw new CountersignError('ceremony-file-missing', `${path.join(folder, name)} is not there`);
  }
  return bytes;
}

/**
 * A file anywhere, or undefined when there is none. The last part of the path must not be a symbolic link; a pipe or a
 * device is refused before it is read.
 * @throws CountersignError `ceremony-file-invalid`.
 */
export async function readRegularFile(file: string, maxBytes: number): Promise<Buffer | undefined> {
  let handle;
  try {
    handle = await open(file, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT') return undefined;
    if (code === 'ELOOP') throw invalid(`${file} is a symbolic link, expected a file`, error);
    throw invalid(`${file} cannot be read: ${messageOf(error)}`, error);
  }
  try {
    if (!(await handle.stat()).isFile()) throw invalid(`${file} is not a regular file`);
    // One byte more than allowed: the size that stat gives may be out of date.
    const buffer = Buffer.alloc(Math.min(maxBytes, (await handle.stat()).size) + 1);
    let length = 0;
    for (;;) {
      const { bytesRead } = await handle.read(buffer, length, buffer.length - length, length);
      length += bytesRead;
      if (bytesRead === 0 || length === buffer.length) break;
    }
    if (length === buffer.length) {
      const size = Math.max((await handle.stat()).size, length);
      throw invalid(`${file} has ${size} bytes, at most ${maxBytes} are read`);
    }
    return buffer.subarray(0, length);
  } catch (error) {
    if (error instanceof CountersignError) throw error;
    throw invalid(`${file} cannot be read: ${messageOf(error)}`, error);
  } finally {
    await handle.close();
  }
}

/**
 * The names in a folder below `folder`, sorted; none when it is not there. `.` is the folder itself.
 * @throws CountersignError `ceremony-file-invalid` when it is a symbolic link, holds too much, or cannot be read.
 */
export async function listFolder(folder: string, name: string): Promise<string[]> {
  const place = path.join(folder, name);
  if (!(await isFolder(place))) return [];
  const names = await readdir(place).catch((error: unknown) => {
    throw invalid(`${place} cannot be read: ${messageOf(error)}`, error);
  });
  if (names.length > MAX_ENTRIES) {
    throw invalid(`${place} holds ${names.length} files, at most ${MAX_ENTRIES} are looked at`);
  }
  return names.sort();
}

/** True for a folder, false when there is nothing.
 * @throws CountersignError `ceremony-file-invalid` for a symbolic link, a file, and a medium that cannot be read. */
export async function isFolder(place: string): Promise<boolean> {
  try {
    const found = await lstat(place);
    if (found.isDirectory()) return true;
    throw invalid(`${place} is ${found.isSymbolicLink() ? 'a symbolic link' : 'a file'}, expected a folder`);
  } catch (error) {
    if (error instanceof CountersignError) throw error;
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false;
    throw invalid(`${place} cannot be read: ${messageOf(error)}`, error);
  }
}

function invalid(message: string, cause?: unknown): CountersignError {
  return new CountersignError('ceremony-file-invalid', message, cause === undefined ? {} : { cause });
}
