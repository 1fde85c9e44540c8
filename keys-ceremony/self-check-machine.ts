// The computer, as the self-check sees it: everything it reads, so that tests can give it another computer.
import { readdir, readFile, realpath, statfs } from 'node:fs/promises';
import { networkInterfaces } from 'node:os';
import type { Clock } from '../src/lib/clock.ts';
import type { RandomSource } from './ceremony-key.ts';
import { ownDigest, type OwnDigest } from './own-digest.ts';

export interface Machine {
  readonly clock: Clock;
  readonly random: RandomSource;
  /** The text of a file of the system, or undefined when it cannot be read. */
  read(file: string): Promise<string | undefined>;
  /** The names in a folder of the system, or undefined when it cannot be read. */
  list(folder: string): Promise<readonly string[] | undefined>;
  /** The path without symbolic links; fails when there is nothing. */
  realpath(path: string): Promise<string>;
  /** Bytes that can still be written in the file system of `path`. */
  freeBytes(path: string): Promise<number>;
  /** Names of interfaces with an address, without loopback. */
  addressedInterfaces(): readonly string[];
  /** The program that runs. */
  tool(): Promise<OwnDigest>;
}

/** The computer that this program runs on. */
export function thisMachine(clock: Clock, random: RandomSource): Machine {
  return {
    clock,
    random,
    read: (file) => readFile(file, 'utf8').catch(() => undefined),
    list: (folder) => readdir(folder).catch(() => undefined),
    realpath: (path) => realpath(path),
    freeBytes: async (path) => {
      const { bavail, bsize } = await statfs(path);
      return bavail * bsize;
    },
    addressedInterfaces: () =>
      Object.entries(networkInterfaces())
        .filter(([, addresses]) => addresses?.some(({ internal }) => !internal))
        .map(([name]) => name),
    tool: ownDigest,
  };
}
