// A tar archive (POSIX.1-1988 "ustar", which every tar of the last forty years opens), the same bytes for the same files:
// no owner, no date but the one given, the order of the names.
import { CountersignError } from '../src/lib/errors.ts';
import { compareCodePoints } from '../src/tuf/canonical-json.ts';

const BLOCK = 512;
/** Octal digits of the size: 8 GiB, more than an export ever has. */
const SIZE_DIGITS = 11;

export interface TarFile {
  /** With `/` between its parts, ASCII. */
  readonly name: string;
  readonly content: Uint8Array;
}

/**
 * The archive. Every file is readable by its owner only.
 * @param time of every file, milliseconds since the epoch.
 * @throws CountersignError `usage` for a name that ustar cannot hold, or that stands twice.
 */
export function tarOf(files: readonly TarFile[], time: number): Buffer {
  const sorted = [...files].sort((a, b) => compareCodePoints(a.name, b.name));
  const blocks = sorted.flatMap(({ name, content }, index) => {
    if (sorted[index - 1]?.name === name) throw new CountersignError('usage', `two files are named ${name}`);
    return [header(name, content.length, time), content, Buffer.alloc(padding(content.length))];
  });
  // Two blocks of zeros end an archive.
  return Buffer.concat([...blocks, Buffer.alloc(2 * BLOCK)]);
}

function header(name: string, size: number, time: number): Buffer {
  const { prefix, rest } = splitName(name);
  const block = Buffer.alloc(BLOCK);
  block.write(rest, 0, 'latin1');
  block.write(octal(0o400, 7), 100, 'latin1');
  block.write(octal(0, 7), 108, 'latin1');
  block.write(octal(0, 7), 116, 'latin1');
  block.write(octal(size, SIZE_DIGITS), 124, 'latin1');
  block.write(octal(Math.floor(time / 1000), SIZE_DIGITS), 136, 'latin1');
  // The checksum counts its own field as spaces.
  block.write(' '.repeat(8), 148, 'latin1');
  block.write('0', 156, 'latin1');
  block.write('ustar\0' + '00', 257, 'latin1');
  block.write(prefix, 345, 'latin1');
  const sum = block.reduce((total, byte) => total + byte, 0);
  block.write(`${octal(sum, 6)}\0 `, 148, 'latin1');
  return block;
}

/** At most 100 bytes of name, and 155 of what stands before a `/`. */
function splitName(name: string): { prefix: string; rest: string } {
  if (!/^[\x21-\x7e]+$/.test(name) || name.startsWith('/') || name.split('/').includes('..')) {
    throw new CountersignError('usage', `${JSON.stringify(name)} is no name for a file in an archive`);
  }
  if (name.length <= 100) return { prefix: '', rest: name };
  for (let slash = name.indexOf('/'); slash !== -1; slash = name.indexOf('/', slash + 1)) {
    if (slash <= 155 && name.length - slash - 1 <= 100) {
      return { prefix: name.slice(0, slash), rest: name.slice(slash + 1) };
    }
  }
  throw new CountersignError('usage', `${name} is too long for a file in an archive`);
}

function octal(value: number, digits: number): string {
  return value.toString(8).padStart(digits, '0');
}

function padding(size: number): number {
  return (BLOCK - (size % BLOCK)) % BLOCK;
}
