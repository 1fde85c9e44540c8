// Memory for whole files that is used again. A publication goes through hundreds of bins of about the same size; fresh
// memory for each would cost more than the edit, and would pile up until the garbage collector comes round.
import { asBuffer } from './bytes.ts';

/** Bytes: below, fresh memory is cheap. */
const SMALLEST = 16 * 1024;

/** Bytes that wait on one thread to be used again, at most. */
const MAX_WAITING_BYTES = 16 * 1024 * 1024;

/** Lent memory is a multiple of this, so that a bin that has grown a little still fits. */
const GRAIN = 32 * 1024;

/** Memory from here that was not given back. */
const lent = new WeakSet<ArrayBufferLike>();

const waiting: ArrayBuffer[] = [];
let waitingBytes = 0;

/** Memory of at least `length` bytes, with anything in it: a Buffer at the beginning of memory of its own. */
export function borrowMemory(length: number): Buffer {
  const index = waiting.findLastIndex(({ byteLength }) => byteLength >= length && byteLength <= 2 * length);
  let memory: ArrayBufferLike;
  const [found] = index === -1 ? [] : waiting.splice(index, 1);
  if (found === undefined) {
    const size = length < SMALLEST ? length : Math.ceil(length / GRAIN) * GRAIN;
    memory = Buffer.allocUnsafeSlow(size).buffer;
  } else {
    waitingBytes -= found.byteLength;
    memory = found;
  }
  if (memory.byteLength >= SMALLEST) lent.add(memory);
  return Buffer.from(memory, 0, length);
}

/**
 * Gives back the memory that `bytes` are in, if it was borrowed: nobody may look at them any more, nor at anything else
 * in the same memory. Whoever is not sure leaves it to the garbage collector.
 */
export function returnMemory(bytes: Uint8Array): void {
  const { buffer } = asBuffer(bytes);
  if (!(buffer instanceof ArrayBuffer) || !lent.delete(buffer)) return;
  if (waitingBytes + buffer.byteLength > MAX_WAITING_BYTES) return;
  waitingBytes += buffer.byteLength;
  waiting.push(buffer);
}
