// The system calls on the way of a bin into and out of a directory. On the thread that answers requests they are made by
// libuv's pool. A thread that does nothing else makes them itself: a trip to the pool and back costs more than most of
// them take. fsync, which waits for the disk, goes to the pool from every thread: meanwhile the next bin is signed.
import * as fs from 'node:fs';
import { promisify } from 'node:util';

/** As in node:fs; a call that fails throws or rejects, which is the same to whoever awaits it. */
export interface FileCalls {
  open(path: string, flags: number, mode?: number): Promise<number> | number;
  /** Bytes read into `buffer` from its position `offset`, which is the position in the file too. */
  read(fd: number, buffer: Buffer, offset: number): Promise<number> | number;
  /** Bytes appended of those from `offset` on. */
  write(fd: number, bytes: Uint8Array, offset: number): Promise<number> | number;
  fsync(fd: number): Promise<void>;
  close(fd: number): Promise<void> | void;
  link(existing: string, name: string): Promise<void> | void;
  unlink(path: string): Promise<void> | void;
}

/** Position of `fs.write`: behind the last one. */
const APPEND = null;

const fsync = promisify(fs.fsync);

export const pooledCalls: FileCalls = {
  open: promisify(fs.open),
  read: (fd, buffer, offset) =>
    new Promise((resolve, reject) => {
      fs.read(fd, buffer, offset, buffer.length - offset, offset, (error, count) => {
        if (error === null) resolve(count);
        else reject(error);
      });
    }),
  write: (fd, bytes, offset) =>
    new Promise((resolve, reject) => {
      fs.write(fd, bytes, offset, bytes.length - offset, APPEND, (error, written) => {
        if (error === null) resolve(written);
        else reject(error);
      });
    }),
  fsync,
  close: promisify(fs.close),
  link: promisify(fs.link),
  unlink: promisify(fs.unlink),
};

export const directCalls: FileCalls = {
  open: (path, flags, mode) => fs.openSync(path, flags, mode),
  read: (fd, buffer, offset) => fs.readSync(fd, buffer, offset, buffer.length - offset, offset),
  write: (fd, bytes, offset) => fs.writeSync(fd, bytes, offset, bytes.length - offset, APPEND),
  fsync,
  close: (fd) => {
    fs.closeSync(fd);
  },
  link: (existing, name) => {
    fs.linkSync(existing, name);
  },
  unlink: (path) => {
    fs.unlinkSync(path);
  },
};
