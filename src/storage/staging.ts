// Where the file store writes an object before it has its name: `.staging` below the store's directory, so that what
// a killed process left behind is found without walking a million objects. A file may wait here, whole and on the disk,
// for the write that it was staged for.
import * as fs from 'node:fs';
import { randomBytes } from 'node:crypto';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { sha256Hex } from '../lib/bytes.ts';
import { osCode } from './durable-file.ts';

export const STAGING_DIRECTORY = '.staging';

/** Milliseconds after which a file is abandoned, whoever made it: writing the largest object takes seconds. */
const ABANDONED_AFTER_MS = 3_600_000;

/** Files that wait for a write, at most: some of their writes never come, when another process publishes first. */
const MAX_WAITING = 4;

const OWN_HOST = sha256Hex(hostname()).slice(0, 8);

export class Staging {
  readonly #directory: string;
  readonly #tag: string;
  #counter = 0;
  /** By object name, oldest first. */
  readonly #waiting = new Map<string, { readonly bytes: Uint8Array; readonly path: string }>();

  private constructor(directory: string) {
    this.#directory = directory;
    this.#tag = `${OWN_HOST}-${process.pid}-${randomBytes(6).toString('hex')}`;
  }

  /** Makes the directory below `root` when there is none, and removes what dead processes left in it. */
  static open(root: string): Staging {
    const directory = join(root, STAGING_DIRECTORY);
    try {
      fs.mkdirSync(directory, 0o700);
    } catch (error) {
      if (osCode(error) !== 'EEXIST') throw error;
      if (!fs.lstatSync(directory).isDirectory()) throw error;
    }
    const staging = new Staging(directory);
    staging.#removeAbandoned();
    return staging;
  }

  /** A path that no other process and no other call gets. */
  nextPath(): string {
    return join(this.#directory, `${this.#tag}-${this.#counter++}`);
  }

  /** Has a file wait for the write of these bytes. Answers the paths of those that wait no longer: the caller removes them. */
  keep(name: string, bytes: Uint8Array, path: string): string[] {
    const given: string[] = [];
    const dismiss = (former: string): void => {
      const waiting = this.#waiting.get(former);
      if (waiting !== undefined) given.push(waiting.path);
      this.#waiting.delete(former);
    };
    dismiss(name);
    this.#waiting.set(name, { bytes, path });
    const [oldest] = this.#waiting.keys();
    if (this.#waiting.size > MAX_WAITING && oldest !== undefined) dismiss(oldest);
    return given;
  }

  /** The file that waits for the write of these bytes, and belongs to the caller from now on. */
  take(name: string, bytes: Uint8Array): string | undefined {
    const waiting = this.#waiting.get(name);
    if (waiting?.bytes !== bytes) return undefined;
    this.#waiting.delete(name);
    return waiting.path;
  }

  #removeAbandoned(): void {
    const leftovers = fs.readdirSync(this.#directory);
    if (leftovers.length === 0) return;
    const nowMs = this.#diskTimeMs();
    const startedMs = nowMs - process.uptime() * 1000;
    for (const name of leftovers) {
      const path = join(this.#directory, name);
      const stat = fs.lstatSync(path, { throwIfNoEntry: false });
      if (stat?.isFile() !== true) continue;
      if (nowMs - stat.mtimeMs > ABANDONED_AFTER_MS || madeByTheDead(name, stat.mtimeMs, startedMs)) {
        fs.rmSync(path, { force: true });
      }
    }
  }

  /** The time of the file system's own clock, which on a network disk is another machine's. */
  #diskTimeMs(): number {
    const probe = this.nextPath();
    fs.writeFileSync(probe, '', { flag: 'wx' });
    const { mtimeMs } = fs.lstatSync(probe);
    fs.rmSync(probe);
    return mtimeMs;
  }
}

/** A process number says something on its own host only; in a container the predecessor often had the same one. */
function madeByTheDead(name: string, mtimeMs: number, startedMs: number): boolean {
  const match = /^([0-9a-f]{8})-(\d{1,10})-/.exec(name);
  if (match?.[1] !== OWN_HOST) return false;
  const pid = Number(match[2]);
  return pid === process.pid ? mtimeMs < startedMs : !isRunning(pid);
}

function isRunning(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch (error) {
    // EPERM: it runs as somebody else.
    return osCode(error) !== 'ESRCH';
  }
}
