// The paper backup of a key file: shares, each on a page of its own.
import { rm } from 'node:fs/promises';
import path from 'node:path';
import { refuseTaken, writePrivateFile } from '../src/lib/private-file.ts';
import { formatExpires } from '../src/tuf/lifetimes.ts';
import type { CeremonyContext } from './context.ts';
import { openKeyFile } from './key-file.ts';
import { requirePrivateFolder } from './key-file-places.ts';
import { recordIfPlanned, terminalOf } from './key-file-steps.ts';
import { checkNumbers, splitKey } from './paper-backup.ts';
import { sharePageHtml, sharePageText } from './paper-backup-page.ts';
import { guard, type AcceptOptions } from './self-check-guard.ts';

export interface Backup extends AcceptOptions {
  /** Absolute: the key file. */
  readonly file: string;
  readonly shares: number;
  readonly threshold: number;
  /** Absolute: where the pages go. */
  readonly out: string;
}

/**
 * Writes two files a share, text and HTML; their paths.
 * @throws CountersignError `usage`, `self-check-failed`, `file-exists`, `secret-unreadable`, `interrupted`.
 */
export async function backupKey(
  context: CeremonyContext,
  folder: string,
  backup: Backup,
): Promise<{ readonly keyid: string; readonly files: readonly string[] }> {
  const { file, shares, threshold, out } = backup;
  checkNumbers(backup);
  const terminal = terminalOf(context);
  const name = path.basename(file, '.key');
  // The pages are secrets in the clear: where they are written is the folder that has to be in memory.
  const check = await guard(context, backup, { workFolder: out });
  await requirePrivateFolder(out, folder);
  const places = Array.from({ length: shares }, (_, index) => path.join(out, `${name}-share-${index + 1}`));
  for (const place of places) for (const kind of ['txt', 'html']) await refuseTaken(`${place}.${kind}`);
  const key = await openKeyFile(file, terminal);
  try {
    const split = await splitKey(key, { shares, threshold }, context.random);
    const date = formatExpires(context.clock.now());
    const files: string[] = [];
    try {
      for (const [index, place] of places.entries()) {
        const lines = split[index] ?? [];
        const page = { name, keyid: key.keyid, number: index + 1, shares, threshold, date, lines };
        for (const [kind, text] of [
          ['txt', sharePageText(page)],
          ['html', sharePageHtml(page)],
        ] as const) {
          await writePrivateFile(`${place}.${kind}`, text);
          files.push(`${place}.${kind}`);
        }
      }
    } catch (error) {
      // Some of the shares are of no use, and secrets in the clear; the next attempt splits the key anew.
      for (const file of files) await rm(file, { force: true });
      throw error;
    }
    await recordIfPlanned(context, folder, [
      ...check.steps,
      { step: 'key-backed-up', keyid: key.keyid, shares, threshold },
    ]);
    return { keyid: key.keyid, files };
  } finally {
    key.forget();
  }
}
