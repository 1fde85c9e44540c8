// Where a private key may be written: an existing folder of the holder's own, never the folder that everybody copies.
import { lstat, open, realpath, rm } from 'node:fs/promises';
import path from 'node:path';
import { CountersignError, hasCode, messageOf } from '../src/lib/errors.ts';
import { refuseTaken } from '../src/lib/private-file.ts';
import { PLAN_NAME } from './plan.ts';
import { unwritable } from './write-file.ts';

/**
 * The path of the key file of `name` in the folder `out`; nothing is there yet.
 * @throws CountersignError `usage` when `out` is no folder of its own, `file-exists`.
 */
export async function newKeyFile(out: string, name: string, ceremonyFolder: string): Promise<string> {
  checkName(name);
  await requirePrivateFolder(out, ceremonyFolder);
  const file = path.join(out, `${name}.key`);
  try {
    await refuseTaken(file);
  } catch (cause) {
    if (!hasCode(cause, 'file-exists')) throw cause;
    // A command that broke off may have come as far as this file.
    throw new CountersignError(
      'file-exists',
      `${cause.message}; if it is the key of ${name}, "key show ${file} --name ${name}" writes its public part`,
      { cause },
    );
  }
  return file;
}

/** @throws CountersignError `usage` for a name that a plan could not have. */
export function checkName(name: string): void {
  if (PLAN_NAME.test(name)) return;
  throw new CountersignError(
    'usage',
    `${JSON.stringify(name)} is no name: lower-case letters, digits and dashes, at most 64 characters`,
  );
}

/** @throws CountersignError `usage` when secrets must not go there; `file-unwritable`. */
export async function requirePrivateFolder(out: string, ceremonyFolder: string): Promise<void> {
  let found;
  try {
    found = await lstat(out);
  } catch (cause) {
    // Not made here: a mistyped mount point would take the only copy of a key.
    throw new CountersignError('usage', `folder ${out} cannot be used: ${messageOf(cause)}`, { cause });
  }
  if (found.isSymbolicLink() || !found.isDirectory()) {
    const kind = found.isSymbolicLink() ? 'a symbolic link' : 'a file';
    throw new CountersignError('usage', `${out} is ${kind}, expected a folder`);
  }
  const [real, shared] = [await realpath(out), await realpath(ceremonyFolder).catch(() => ceremonyFolder)];
  if (real === shared || real.startsWith(`${shared}${path.sep}`)) {
    throw new CountersignError(
      'usage',
      `${out} is in the folder of the ceremony, which everybody copies: give the holder's own medium with --out`,
    );
  }
  await requireOwnersOnly(out);
}

/**
 * A stick with a FAT file system knows no owners: unless it was mounted for it, everybody reads what is on it. Found out
 * with an empty file, before anybody writes a passphrase down.
 */
async function requireOwnersOnly(folder: string): Promise<void> {
  const probe = path.join(folder, '.countersign.partial');
  let mode;
  try {
    await rm(probe, { force: true });
    const file = await open(probe, 'wx', 0o400);
    try {
      ({ mode } = await file.stat());
    } finally {
      await file.close();
    }
    await rm(probe, { force: true });
  } catch (cause) {
    throw unwritable(folder, cause);
  }
  if ((mode & 0o077) === 0) return;
  const octal = `0${(mode & 0o777).toString(8)}`;
  throw new CountersignError(
    'usage',
    `files in ${folder} are open to other users (mode ${octal}), as on a stick with a FAT file system: unmount it, and ` +
      'mount it with "-o umask=077"',
  );
}
