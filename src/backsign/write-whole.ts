// Bytes written whole into a file of a working folder, or an error that names the file: a full disk is what ends most runs.
import * as fs from 'node:fs';
import { CountersignError, messageOf } from '../lib/errors.ts';

/**
 * Writes all bytes; a disk that is nearly full takes some of them without an error. `file`: the name of `fd`.
 * @throws CountersignError `backsign-state`.
 */
export function writeWhole(fd: number, file: string, bytes: Uint8Array, position: number): void {
  try {
    for (let done = 0; done < bytes.length;) {
      done += fs.writeSync(fd, bytes, done, bytes.length - done, position + done);
    }
  } catch (error) {
    throw new CountersignError('backsign-state', `cannot write ${file}: ${messageOf(error)}`, {
      cause: error,
    });
  }
}
