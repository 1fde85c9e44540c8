// Touches the memory that is free, once. A virtual machine gets its memory from its host page by page, when a page is
// used for the first time; here that takes 10 µs, or 0.6 ms for the file of one bin. A service that has run for a day is
// past that, and so must be one that is measured.
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import process from 'node:process';
import { fileURLToPath } from 'node:url';

/** Bytes that are left to whatever else runs. */
const SPARED_BYTES = 2 * 2 ** 30;

/** Bytes at most: more than a run writes. */
const MAX_BYTES = 24 * 2 ** 30;

const BLOCK_BYTES = 256 * 2 ** 20;

/** Answers how many bytes were touched; 0 where the kernel does not tell what is free. */
export function touchFreeMemory(): number {
  const blocks = Math.floor(Math.min(freeBytes() - SPARED_BYTES, MAX_BYTES) / BLOCK_BYTES);
  if (blocks <= 0) return 0;
  // In a process of its own: its memory is free again when it has ended.
  const { status } = spawnSync(process.execPath, [fileURLToPath(import.meta.url), String(blocks)]);
  return status === 0 ? blocks * BLOCK_BYTES : 0;
}

/** Not what is "available": the cache of files was touched when it was filled. */
function freeBytes(): number {
  try {
    const kib = /^MemFree:\s*(\d+) kB/m.exec(readFileSync('/proc/meminfo', 'utf8'))?.[1];
    return Number(kib ?? 0) * 1024;
  } catch {
    return 0;
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const blocks = Array.from({ length: Number(process.argv[2]) }, () => Buffer.alloc(BLOCK_BYTES, 1));
  process.exitCode = blocks.length > 0 ? 0 : 1;
}
