// One process at a time works in the folder of a run. The kernel knows who does: nothing is left of a process that was
// killed, and of two that go on with its run only one can.
import * as fs from 'node:fs';
import { CountersignError, messageOf } from '../lib/errors.ts';
import { holdLock } from '../storage/file-lock.ts';
import type { WorkFolder } from './work-folder.ts';

const LOCK_NAME = 'run.lock';
const HOLDER_NAME = 'holder';

/**
 * Takes a folder for this process until the answered function is called. `holder`: how others call this process.
 * @throws CountersignError `backsign-state` while another process has it, or when nothing can be written there.
 */
export function takeFolder(folder: WorkFolder, holder: string): () => void {
  const file = folder.file(HOLDER_NAME);
  let release: (() => void) | undefined;
  try {
    release = holdLock(folder.file(LOCK_NAME));
    if (release === undefined) {
      throw new CountersignError(
        'backsign-state',
        `${folder.path} is in use by ${nameIn(file)}: wait for its end, or stop it`,
      );
    }
    fs.writeFileSync(file, holder, { mode: 0o600 });
    return release;
  } catch (error) {
    release?.();
    if (error instanceof CountersignError && error.code === 'backsign-state') throw error;
    throw new CountersignError('backsign-state', `cannot take ${folder.path}: ${messageOf(error)}`, {
      cause: error,
    });
  }
}

/** The holder may not have written its name yet. */
function nameIn(file: string): string {
  try {
    return fs.readFileSync(file, 'utf8');
  } catch {
    return 'another process';
  }
}
