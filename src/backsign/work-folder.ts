// The working folder of a run: what was read and sorted so far, so that a run that was killed goes on where it was.
//
//   run.json           what the run is about, written first
//   read.json          how far the sources were read; replaced as a whole
//   records/012        records of a partition, as long as read.json says
//   sorted/012.json    what a partition comes to; a partition that has one is not sorted again
//   prepared.json      all of it, with the overall digest: what an order to the publisher names
//   report.json        the end
//   run.lock, holder   the process that works here, if one does, and its name
//
// A killed process loses nothing of that. After a power failure a file may be damaged: it is noticed and refused.
import * as fs from 'node:fs';
import path from 'node:path';
import { CountersignError, messageOf } from '../lib/errors.ts';

export class WorkFolder {
  readonly path: string;

  constructor(absolute: string) {
    this.path = absolute;
  }

  /** @throws CountersignError `backsign-state`. */
  make(): void {
    try {
      // What is in here is signed: nobody else writes to it.
      fs.mkdirSync(path.join(this.path, 'records'), { recursive: true, mode: 0o700 });
      fs.mkdirSync(path.join(this.path, 'sorted'), { recursive: true, mode: 0o700 });
    } catch (error) {
      throw new CountersignError('backsign-state', `cannot make ${this.path}: ${messageOf(error)}`, {
        cause: error,
      });
    }
  }

  recordsFile(partition: number): string {
    return path.join(this.path, 'records', digits(partition));
  }

  file(name: string): string {
    return path.join(this.path, name);
  }

  sortedName(partition: number): string {
    return path.join('sorted', `${digits(partition)}.json`);
  }

  /** What this program wrote; undefined when there is no such file. @throws CountersignError `backsign-state`. */
  // eslint-disable-next-line @typescript-eslint/no-unnecessary-type-parameters -- names what was written there
  read<T>(name: string): T | undefined {
    let text: string;
    try {
      text = fs.readFileSync(this.file(name), 'utf8');
    } catch (error) {
      if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined;
      throw this.#damaged(name, error);
    }
    try {
      return JSON.parse(text) as T;
    } catch (error) {
      throw this.#damaged(name, error);
    }
  }

  /** Replaces a file: a reader finds the old one or the new one. */
  write(name: string, content: unknown): void {
    const file = this.file(name);
    const next = `${file}.next`;
    try {
      const fd = fs.openSync(next, 'w', 0o600);
      try {
        fs.writeFileSync(fd, JSON.stringify(content));
        fs.fsyncSync(fd);
      } finally {
        fs.closeSync(fd);
      }
      fs.renameSync(next, file);
    } catch (error) {
      throw new CountersignError('backsign-state', `cannot write ${file}: ${messageOf(error)}`, {
        cause: error,
      });
    }
  }

  /** Removes what is only needed until everything is public. */
  clear(): void {
    fs.rmSync(path.join(this.path, 'records'), { recursive: true, force: true });
    fs.rmSync(path.join(this.path, 'sorted'), { recursive: true, force: true });
  }

  #damaged(name: string, cause: unknown): CountersignError {
    return new CountersignError('backsign-state', `${this.file(name)} cannot be read: ${messageOf(cause)}`, {
      cause,
    });
  }
}

function digits(partition: number): string {
  return String(partition).padStart(3, '0');
}
