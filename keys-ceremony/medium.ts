// Whether a folder is on a medium of its own. The place where a stick is mounted is a folder without it, too: what is
// written there stays in the memory of a ceremony's computer, and is gone when that is turned off.
import { stat } from 'node:fs/promises';

/**
 * A warning when `folder` is on the file system of the system itself, or of the ceremony's folder; undefined on any other.
 */
export async function mediumWarning(folder: string, ceremonyFolder: string): Promise<string | undefined> {
  const [wanted, ...own] = await Promise.all([folder, '/', ceremonyFolder].map(deviceOf));
  if (wanted === undefined || !own.includes(wanted)) return undefined;
  return (
    `warning: ${folder} is on this computer itself, not on a medium: when a stick should be there, mount it first; ` +
    'what is in memory is gone when the computer is turned off'
  );
}

async function deviceOf(place: string): Promise<number | undefined> {
  return (await stat(place).catch(() => undefined))?.dev;
}
