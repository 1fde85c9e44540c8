// Where target files are. A directory is read under guard: never outside it, and never a byte that differs from what
// signed metadata says, because the answer is cached for a year under a name that promises its hash.
import { createHash } from 'node:crypto';
import { constants } from 'node:fs';
import { open, realpath, type FileHandle } from 'node:fs/promises';
import path from 'node:path';
import { CountersignError, messageOf } from '../lib/errors.ts';
import type { TargetFile } from '../tuf/metadata.ts';

export type TargetSource =
  | { readonly kind: 'file'; readonly directory: string }
  /** `base` ends with a slash. */
  | { readonly kind: 'redirect'; readonly base: string }
  | { readonly kind: 'none' };

/** The address of a target file below `base`; `+` is escaped, because object stores read it as a space. */
export function redirectAddress(base: string, targetPath: string): string {
  return base + targetPath.split('/').map(encodeURIComponent).join('/');
}

/** Files whose hash is remembered; one entry is some 200 bytes. */
const REMEMBERED_HASHES = 20_000;

export class TargetDirectory {
  readonly #directory: string;
  /** Identity of a file's content (device, inode, size, times) to its sha256. */
  readonly #hashes = new Map<string, string>();
  readonly #hashing = new Map<string, Promise<string>>();

  constructor(directory: string) {
    this.#directory = directory;
  }

  /**
   * The open file with exactly the content of `target`, or undefined when there is no such file. The caller closes it.
   * @throws CountersignError `length-or-hash-mismatch` when the file has other content, `store-unavailable`.
   */
  async open(targetPath: string, target: TargetFile): Promise<FileHandle | undefined> {
    const file = await this.#openInside(targetPath);
    if (file === undefined) return undefined;
    try {
      const info = await file.stat({ bigint: true });
      if (!info.isFile()) {
        await file.close();
        return undefined;
      }
      if (info.size !== BigInt(target.length)) {
        throw mismatch(
          `file of target "${targetPath}" has ${info.size} bytes, metadata says ${target.length}`,
        );
      }
      const identity = [info.dev, info.ino, info.size, info.mtimeNs, info.ctimeNs].join(' ');
      const sha256 = this.#hashes.get(identity) ?? (await this.#hashOnce(identity, file));
      if (sha256 !== target.hashes.sha256) {
        throw mismatch(
          `file of target "${targetPath}" has sha256 ${sha256}, metadata says ${target.hashes.sha256}`,
        );
      }
      return file;
    } catch (error) {
      await file.close();
      throw error instanceof CountersignError ? error : unavailable(targetPath, error);
    }
  }

  async #openInside(targetPath: string): Promise<FileHandle | undefined> {
    try {
      const root = await realpath(this.#directory);
      const real = await realpath(path.join(root, targetPath));
      // A symbolic link that leads out is as absent as a missing file.
      if (!real.startsWith(root.endsWith(path.sep) ? root : root + path.sep)) return undefined;
      // O_NONBLOCK: a FIFO must not hold the thread.
      return await open(real, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code !== undefined && ['ENOENT', 'ENOTDIR', 'ELOOP', 'ENXIO', 'ENAMETOOLONG'].includes(code))
        return undefined;
      throw unavailable(targetPath, error);
    }
  }

  async #hashOnce(identity: string, file: FileHandle): Promise<string> {
    const pending = this.#hashing.get(identity);
    if (pending !== undefined) return pending;
    const hashing = hashOf(file);
    this.#hashing.set(identity, hashing);
    try {
      const sha256 = await hashing;
      const oldest = this.#hashes.keys().next().value;
      if (this.#hashes.size >= REMEMBERED_HASHES && oldest !== undefined) this.#hashes.delete(oldest);
      this.#hashes.set(identity, sha256);
      return sha256;
    } finally {
      this.#hashing.delete(identity);
    }
  }
}

async function hashOf(file: FileHandle): Promise<string> {
  const hash = createHash('sha256');
  const buffer = Buffer.allocUnsafe(256 * 1024);
  for (let position = 0; ;) {
    const { bytesRead } = await file.read(buffer, 0, buffer.length, position);
    if (bytesRead === 0) return hash.digest('hex');
    hash.update(buffer.subarray(0, bytesRead));
    position += bytesRead;
  }
}

function mismatch(message: string): CountersignError {
  return new CountersignError('length-or-hash-mismatch', message);
}

function unavailable(targetPath: string, error: unknown): CountersignError {
  const message = `cannot read the file of target "${targetPath}": ${messageOf(error)}`;
  return new CountersignError('store-unavailable', message, { cause: error });
}
