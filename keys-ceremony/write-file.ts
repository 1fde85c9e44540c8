// Writing into the folder of a ceremony: a name is written once. It appears with its whole content or not at all, never
// through a symbolic link, and for everybody to read and nobody to change.
import { constants } from 'node:fs';
import { link, mkdir, open, unlink } from 'node:fs/promises';
import path from 'node:path';
import { equalBytes } from '../src/lib/bytes.ts';
import { CountersignError, messageOf } from '../src/lib/errors.ts';
import { isFolder, MAX_BYTES, readRegularFile } from './ceremony-folder.ts';

const FILE_MODE = 0o444;
const FOLDER_MODE = 0o755;
/** File systems of sticks have no second names for a file. */
const NO_LINKS = ['EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS', 'EMLINK'];

/**
 * Writes a file below `folder`; it is on the disk when this resolves. `same` when it was there with this content.
 * @throws CountersignError `file-exists` when it was there with other content; `ceremony-file-invalid` when a symbolic
 *   link or something that is no file has its name; `file-unwritable`.
 */
export async function writeOnce(
  folder: string,
  name: string,
  content: Uint8Array | string,
): Promise<'written' | 'same'> {
  const bytes = Buffer.from(content);
  const file = path.join(folder, name);
  const parent = path.dirname(file);
  try {
    if (!(await isFolder(parent))) await mkdir(parent, { mode: FOLDER_MODE });
    const partial = path.join(parent, `.${path.basename(file)}.partial`);
    await unlink(partial).catch(ignoreAbsent);
    try {
      await create(partial, bytes);
      await link(partial, file);
    } catch (error) {
      if (!NO_LINKS.includes((error as NodeJS.ErrnoException).code ?? '')) throw error;
      await createOrRemove(file, bytes);
    } finally {
      await unlink(partial).catch(ignoreAbsent);
    }
    await syncFolder(parent);
    return 'written';
  } catch (error) {
    if (error instanceof CountersignError) throw error;
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') {
      throw unwritable(file, error);
    }
  }
  const found = await readRegularFile(file, MAX_BYTES.bundle);
  if (found !== undefined && equalBytes(found, bytes)) return 'same';
  throw new CountersignError('file-exists', `${file} exists already with other content`);
}

async function create(file: string, bytes: Uint8Array): Promise<void> {
  const { O_WRONLY, O_CREAT, O_EXCL, O_NOFOLLOW } = constants;
  const handle = await open(file, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, FILE_MODE);
  try {
    await handle.writeFile(bytes);
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** Without links the content comes after the name: a file that could not be finished is taken away again. */
async function createOrRemove(file: string, bytes: Uint8Array): Promise<void> {
  try {
    await create(file, bytes);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') await unlink(file).catch(ignoreAbsent);
    throw error;
  }
}

async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** For a file that cannot be written: the disk is full, the medium write-protected or gone. */
export function unwritable(file: string, cause: unknown): CountersignError {
  return new CountersignError('file-unwritable', `${file} cannot be written: ${messageOf(cause)}`, { cause });
}

function ignoreAbsent(error: unknown): void {
  if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
}
