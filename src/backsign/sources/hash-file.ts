// One file of a directory tree as a claim: read to its end, hashed, and not followed out of the tree.
import { createHash } from 'node:crypto';
import { constants } from 'node:fs';
import { lstat, open, realpath } from 'node:fs/promises';
import path from 'node:path';
import { messageOf } from '../../lib/errors.ts';
import type { Claim } from '../claim.ts';

/** Bytes read at once. */
const CHUNK = 1024 * 1024;

/** What the file is, or why it cannot be said. `directory`: absolute, without links. */
export async function hashFile(directory: string, name: string): Promise<Claim | string> {
  const file = path.join(directory, name);
  try {
    let real = file;
    if ((await lstat(file)).isSymbolicLink()) {
      real = await realpath(file);
      const inside = path.relative(directory, real);
      if (inside.startsWith('..') || path.isAbsolute(inside))
        return `${name} is a link that leaves the directory`;
    }
    // O_NONBLOCK: a FIFO must not stop everything.
    const handle = await open(real, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
    try {
      const { size } = await regular(handle.stat());
      const hash = createHash('sha256');
      const chunk = Buffer.allocUnsafe(Math.min(CHUNK, size + 1));
      let length = 0;
      for (;;) {
        const { bytesRead } = await handle.read(chunk, 0, chunk.length, null);
        if (bytesRead === 0) break;
        hash.update(chunk.subarray(0, bytesRead));
        length += bytesRead;
      }
      if (length !== size) return `${name} changed while it was read: ${size} bytes, then ${length}`;
      return { path: name, length, sha256: hash.digest('hex') };
    } finally {
      await handle.close();
    }
  } catch (error) {
    return `${name} cannot be read: ${messageOf(error)}`;
  }
}

async function regular<T extends { isFile(): boolean }>(asked: Promise<T>): Promise<T> {
  const found = await asked;
  if (!found.isFile()) throw new Error('it is not a regular file');
  return found;
}
