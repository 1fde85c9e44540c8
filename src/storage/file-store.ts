// The object store in a directory: objects are files, names are paths. What is in the directory is not trusted, and
// several processes may work in it at once.
//
// putImmutable, the calls of the happy path (16 in flight share the last three):
//   open(".staging/T", O_WRONLY|O_CREAT|O_EXCL|O_NOFOLLOW, 0444) write fsync close     at once for what was staged
//   link(".staging/T", "metadata/7.bin-0a3f.json")     the name appears, with all of its content, or EEXIST
//   open("metadata", O_RDONLY|O_DIRECTORY|O_NOFOLLOW) fsync close, and beside it
//   unlink(".staging/T")
// replace: the first line, then under the lock (file-lock.ts) open fstat read close, rename; then the third line.
import * as fs from 'node:fs';
import { promisify } from 'node:util';
import { dirname, join } from 'node:path';
import { sha256Hex } from '../lib/bytes.ts';
import { CountersignError } from '../lib/errors.ts';
import { createSynced, DirectorySync, osCode, readWhole, storeUnavailable } from './durable-file.ts';
import { pooledCalls, type FileCalls } from './file-calls.ts';
import { FileLock } from './file-lock.ts';
import { checkName } from './object-name.ts';
import { Staging } from './staging.ts';
import { StoreDirectories } from './store-directories.ts';
import type { ObjectInfo, ObjectStore, StoredObject, VersionToken } from './store.ts';

const unlink = promisify(fs.unlink);
const lstat = promisify(fs.lstat);

/** Objects are public and never change; the process's umask may take more away. */
const OBJECT_MODE = 0o444;

/**
 * Opens the store in `dir`, which is created when it does not exist, and removes what dead writers left behind.
 * `calls`: who makes the system calls for a write-once object.
 * @throws CountersignError `store-unavailable` when the directory cannot be used.
 */
export async function openFileStore(dir: string, calls: FileCalls = pooledCalls): Promise<ObjectStore> {
  try {
    const root = await storeRoot(dir);
    return new FileStore(root, Staging.open(root), calls);
  } catch (error) {
    throw storeUnavailable('open the store', dir, error);
  }
}

/** The real path of a store's directory, which is made when it does not exist. */
export async function storeRoot(dir: string): Promise<string> {
  const created = await fs.promises.mkdir(dir, { recursive: true });
  // The one place where symbolic links are followed: the operator's own path to the store.
  const root = await fs.promises.realpath(dir);
  if (created !== undefined) await syncNames(root, await fs.promises.realpath(created));
  return root;
}

/** Makes the names of `last` and of each directory above it, up to `first`, durable. */
async function syncNames(last: string, first: string): Promise<void> {
  for (let path = last; path.length >= first.length; path = dirname(path)) {
    await new DirectorySync(dirname(path)).sync();
  }
}

class FileStore implements ObjectStore {
  readonly #root: string;
  readonly #staging: Staging;
  readonly #calls: FileCalls;
  readonly #lock: FileLock;
  readonly #directories: StoreDirectories;

  constructor(root: string, staging: Staging, calls: FileCalls) {
    this.#root = root;
    this.#staging = staging;
    this.#calls = calls;
    this.#lock = new FileLock(join(root, '.lock'));
    this.#directories = new StoreDirectories(root);
  }

  async get(name: string, maxBytes: number): Promise<StoredObject | undefined> {
    checkName(name);
    try {
      if (!(await this.#directories.exists(dirname(name)))) return undefined;
      const bytes = await readWhole(join(this.#root, name), maxBytes, this.#calls);
      return bytes === undefined ? undefined : storedObject(bytes);
    } catch (error) {
      throw storeUnavailable('read', name, error);
    }
  }

  async putImmutable(name: string, bytes: Uint8Array): Promise<'created' | 'exists'> {
    checkName(name);
    try {
      const directory = await this.#directories.make(dirname(name));
      const staged = await this.#staged(name, bytes, this.#calls);
      let result: 'created' | 'exists' = 'created';
      try {
        await this.#calls.link(staged, join(this.#root, name));
      } catch (error) {
        if (osCode(error) !== 'EEXIST') {
          await this.#calls.unlink(staged);
          throw error;
        }
        result = 'exists';
      }
      // Also for 'exists': whoever made it may have been killed before this step.
      await Promise.all([this.#calls.unlink(staged), directory.sync()]);
      return result;
    } catch (error) {
      this.#directories.forgetAfter(error);
      throw storeUnavailable('write', name, error);
    }
  }

  async replace(name: string, bytes: Uint8Array, token: VersionToken | undefined): Promise<VersionToken> {
    checkName(name);
    const path = join(this.#root, name);
    try {
      const directory = await this.#directories.make(dirname(name));
      const staged = await this.#staged(name, bytes, pooledCalls);
      try {
        await this.#lock.run(() => {
          checkUnchanged(path, name, token);
          fs.renameSync(staged, path);
        });
      } catch (error) {
        fs.rmSync(staged, { force: true });
        throw error;
      }
      await directory.sync();
      return contentToken(bytes);
    } catch (error) {
      this.#directories.forgetAfter(error);
      throw storeUnavailable('replace', name, error);
    }
  }

  async stage(name: string, bytes: Uint8Array): Promise<void> {
    checkName(name);
    try {
      const staged = await this.#create(bytes, this.#calls);
      for (const path of this.#staging.keep(name, bytes, staged)) await unlink(path);
    } catch (error) {
      throw storeUnavailable('stage', name, error);
    }
  }

  async *list(prefix: string): AsyncIterable<ObjectInfo> {
    const slash = prefix.lastIndexOf('/') + 1;
    if (slash > 0) checkName(prefix.slice(0, slash - 1));
    try {
      if (!(await this.#directories.exists(dirname(`${prefix.slice(0, slash)}.`)))) return;
      yield* this.#walk(prefix.slice(0, slash), prefix);
    } catch (error) {
      this.#directories.forgetAfter(error);
      throw storeUnavailable('list', prefix, error);
    }
  }

  async remove(name: string): Promise<void> {
    checkName(name);
    try {
      if (!(await this.#directories.exists(dirname(name)))) return;
      await unlink(join(this.#root, name));
    } catch (error) {
      if (osCode(error) === 'ENOENT') return;
      throw storeUnavailable('remove', name, error);
    }
  }

  /** The path of a file with these bytes, on the disk: the one that was staged for this write, or a new one. */
  async #staged(name: string, bytes: Uint8Array, calls: FileCalls): Promise<string> {
    return this.#staging.take(name, bytes) ?? this.#create(bytes, calls);
  }

  async #create(bytes: Uint8Array, calls: FileCalls): Promise<string> {
    const path = this.#staging.nextPath();
    await createSynced(path, bytes, OBJECT_MODE, calls);
    return path;
  }

  /** Objects below `folder` ("" or with a final slash). Directories are read in pieces, never as a whole. */
  async *#walk(folder: string, prefix: string): AsyncIterable<ObjectInfo> {
    for await (const entry of await fs.promises.opendir(join(this.#root, folder), { bufferSize: 256 })) {
      // Staging and lock; symbolic links, devices and the like are no objects.
      if (entry.name.startsWith('.')) continue;
      const name = folder + entry.name;
      if (entry.isDirectory()) {
        const below = `${name}/`;
        if (below.startsWith(prefix) || prefix.startsWith(below)) yield* this.#walk(below, prefix);
      } else if (entry.isFile() && name.startsWith(prefix)) {
        const info = await this.#look(name);
        if (info !== undefined) yield info;
      }
    }
  }

  /** Undefined when the object was removed while it was being listed. */
  async #look(name: string): Promise<ObjectInfo | undefined> {
    try {
      const { size, dev, ino, mtimeNs, ctimeNs } = await lstat(join(this.#root, name), { bigint: true });
      const stamp = [dev, ino, size, mtimeNs, ctimeNs].join(' ');
      return { name, size: Number(size), stamp, writtenAt: Number(mtimeNs / 1_000_000n) };
    } catch (error) {
      if (osCode(error) === 'ENOENT') return undefined;
      throw error;
    }
  }
}

/** Compares with what is on the disk at this moment; called under the lock. */
function checkUnchanged(path: string, name: string, token: VersionToken | undefined): void {
  const found = currentToken(path, token);
  if (found === token) return;
  const problem = token === undefined ? 'exists already' : 'is not the version that was read';
  throw new CountersignError('store-conflict', `${name} ${problem}`);
}

/** The token of a file that may be of any size: it is read only when its length is the expected one. */
function currentToken(path: string, expected: VersionToken | undefined): string | undefined {
  const { O_RDONLY, O_NOFOLLOW, O_NONBLOCK } = fs.constants;
  let fd: number;
  try {
    fd = fs.openSync(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
  } catch (error) {
    if (osCode(error) === 'ENOENT') return undefined;
    throw error;
  }
  try {
    const stat = fs.fstatSync(fd);
    if (!stat.isFile()) throw new CountersignError('store-unavailable', `${path} is not a regular file`);
    if (expected?.startsWith(`${stat.size}-`) !== true) return `${stat.size}-other`;
    return contentToken(fs.readFileSync(fd));
  } finally {
    fs.closeSync(fd);
  }
}

function contentToken(bytes: Uint8Array): VersionToken {
  return `${bytes.length}-${sha256Hex(bytes)}` as VersionToken;
}

/** The token costs a hash (0.13 ms for a bin) and only timestamp.json needs one: it is made when it is asked for. */
function storedObject(bytes: Uint8Array): StoredObject {
  let token: VersionToken | undefined;
  return {
    bytes,
    get token() {
      token ??= contentToken(bytes);
      return token;
    },
  };
}
