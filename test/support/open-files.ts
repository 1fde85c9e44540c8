// What this process has open in a folder, where the system tells.
import { existsSync, readdirSync, readlinkSync } from 'node:fs';
import path from 'node:path';

const HANDLES = '/proc/self/fd';

/** Empty also where nobody can tell. */
export function openFilesIn(folder: string): string[] {
  if (!existsSync(HANDLES)) return [];
  return readdirSync(HANDLES).flatMap((handle) => {
    try {
      const file = readlinkSync(path.join(HANDLES, handle));
      return file.startsWith(folder) ? [file] : [];
    } catch {
      // Closed meanwhile.
      return [];
    }
  });
}
