// Where a private key may be written: an existing folder of the holder's own, never the folder that everybody copies.
import { lstat, realpath } from 'node:fs/promises';
import path from 'node:path';
import { CountersignError, messageOf } from '../src/lib/errors.ts';
import { refuseTaken } from '../src/lib/private-file.ts';
import { PLAN_NAME } from './plan.ts';

/**
 * The path of the key file of `name` in the folder `out`; nothing is there yet.
 * @throws CountersignError `usage` when `out` is no folder of its own, `file-exists`.
 */
export async function newKeyFile(out: string, name: string, ceremonyFolder: string): Promise<string> {
  checkName(name);
  await requirePrivateFolder(out, ceremonyFolder);
  const file = path.join(out, `${name}.key`);
  await refuseTaken(file);
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

/** @throws CountersignError `usage` when secrets must not go there. */
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
  if (real !== shared && !real.startsWith(`${shared}${path.sep}`)) return;
  throw new CountersignError(
    'usage',
    `${out} is in the folder of the ceremony, which everybody copies: give the holder's own medium with --out`,
  );
}
