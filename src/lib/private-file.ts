// Files that nobody but their owner may read: how they are read, and how they come to be.
import { constants } from 'node:fs';
import { link, lstat, open, unlink, type FileHandle } from 'node:fs/promises';
import path from 'node:path';
import { CountersignError, messageOf } from './errors.ts';
import { MAX_KEY_FILE_BYTES } from './passphrase-file.ts';

/** File systems of sticks have no second names for a file. */
const NO_LINKS = ['EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS', 'EMLINK'];

/**
 * The text of a key file that no other user can read or change.
 * @throws CountersignError `secret-unreadable` that names the path and the reason.
 */
export async function readKeyFile(file: string): Promise<string> {
  let handle: FileHandle;
  try {
    // A link is followed (secrets are often mounted that way); what counts is the file itself. O_NONBLOCK: a FIFO
    // must not stop the start.
    handle = await open(file, constants.O_RDONLY | constants.O_NONBLOCK);
  } catch (error) {
    throw unusable(file, 'cannot be opened', error);
  }
  try {
    const stat = await handle.stat();
    if (!stat.isFile()) throw unusable(file, 'is not a regular file');
    const mode = stat.mode & 0o777;
    if ((mode & 0o077) !== 0) {
      const octal = `0${mode.toString(8).padStart(3, '0')}`;
      throw unusable(file, `is open to other users (mode ${octal}); run "chmod 600 ${file}"`);
    }
    if (stat.size > MAX_KEY_FILE_BYTES) {
      throw unusable(file, `has ${stat.size} bytes, at most ${MAX_KEY_FILE_BYTES} are read`);
    }
    const { buffer, bytesRead } = await handle.read(Buffer.alloc(MAX_KEY_FILE_BYTES));
    return buffer.toString('latin1', 0, bytesRead);
  } catch (error) {
    if (error instanceof CountersignError) throw error;
    throw unusable(file, 'cannot be read', error);
  } finally {
    await handle.close();
  }
}

/**
 * Refuses a name that is taken, by a symbolic link too: before anything is made that would have to go there.
 * @throws CountersignError `file-exists`, `secret-unreadable` when the folder cannot be looked into.
 */
export async function refuseTaken(file: string): Promise<void> {
  try {
    await lstat(file);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return;
    throw unusable(file, 'cannot be created', error);
  }
  throw new CountersignError('file-exists', `${file} exists already; it is not replaced`);
}

/**
 * Creates a file that only its owner reads and nobody changes (mode 0400). It has its whole content when its name
 * appears, and is durable when this resolves; where file systems have no links, it is taken away again when it could
 * not be finished.
 * @throws CountersignError `file-exists` when the name is taken, by a symbolic link too; `file-unwritable`.
 */
export async function writePrivateFile(file: string, content: string): Promise<void> {
  const folder = path.dirname(file);
  const partial = path.join(folder, `.${path.basename(file)}.partial`);
  try {
    await unlink(partial).catch(ignoreAbsent);
    try {
      await create(partial, content);
      await link(partial, file).catch(async (error: unknown) => {
        if (!NO_LINKS.includes((error as NodeJS.ErrnoException).code ?? '')) throw error;
        await createOrRemove(file, content);
      });
    } finally {
      await unlink(partial).catch(ignoreAbsent);
    }
    await syncFolder(folder);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') {
      const message = `${file} cannot be written: ${messageOf(error)}`;
      throw new CountersignError('file-unwritable', message, { cause: error });
    }
    throw new CountersignError('file-exists', `${file} exists already; it is not replaced`, { cause: error });
  }
}

async function create(file: string, content: string): Promise<void> {
  // O_EXCL follows no symbolic link.
  const handle = await open(file, constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL, 0o400);
  try {
    await handle.writeFile(content);
    await handle.sync();
  } finally {
    await handle.close();
  }
}

async function createOrRemove(file: string, content: string): Promise<void> {
  try {
    await create(file, content);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') await unlink(file).catch(ignoreAbsent);
    throw error;
  }
}

async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

function ignoreAbsent(error: unknown): void {
  if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
}

function unusable(file: string, problem: string, cause?: unknown): CountersignError {
  const reason = cause === undefined ? '' : `: ${messageOf(cause)}`;
  return new CountersignError('secret-unreadable', `key file ${file} ${problem}${reason}`, { cause });
}
