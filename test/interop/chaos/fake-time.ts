// A clock that jumps, for one process: libfaketime, where it is installed (Debian: the package faketime).
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

/** What LD_PRELOAD must name, or undefined. */
export function fakeTimeLibrary(): Promise<string | undefined> {
  return promisify(execFile)('faketime', ['-m', '-f', '+0', 'printenv', 'LD_PRELOAD']).then(
    ({ stdout }) => stdout.trim(),
    () => undefined,
  );
}
