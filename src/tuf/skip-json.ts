// Finds the end of a JSON value without building it: bins pass over the `custom` of targets that no edit touches.
import { CountersignError } from '../lib/errors.ts';

const QUOTE = 0x22;
const BACKSLASH = 0x5c;

/**
 * Offset behind the object or array that begins at `start`. Brackets must balance; what stands between them is checked
 * by whoever reads the value.
 * @throws CountersignError `metadata-invalid` when the bytes end first.
 */
export function skipJsonValue(bytes: Uint8Array, start: number): number {
  let depth = 0;
  for (let at = start; at < bytes.length; at++) {
    const byte = bytes[at];
    if (byte === QUOTE) {
      for (at += 1; bytes[at] !== QUOTE; at++) {
        if (bytes[at] === BACKSLASH) at += 1;
        if (at >= bytes.length) break;
      }
    } else if (byte === 0x7b || byte === 0x5b) {
      depth += 1;
    } else if (byte === 0x7d || byte === 0x5d) {
      depth -= 1;
      if (depth === 0) return at + 1;
    }
  }
  throw new CountersignError('metadata-invalid', `bin: the value at byte ${start} does not end`);
}
