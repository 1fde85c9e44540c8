// The form of every published file: `{"signed":<canonical bytes>,"signatures":[…]}`. The signed part is a slice of the
// file: nothing is serialised twice, and what was verified is byte for byte what is kept.
import { asBuffer } from '../lib/bytes.ts';
import { borrowMemory } from '../lib/memory.ts';
import { CountersignError } from '../lib/errors.ts';
import type { Signature } from './metadata.ts';

const SIGNED_KEY = Buffer.from('{"signed":');
const SIGNATURES_KEY = Buffer.from(',"signatures":[');
const SIGNATURE = '\\{"keyid":"[0-9a-f]{64}","sig":"[0-9a-f]*"\\}';
const SIGNATURES = new RegExp(`^(?:${SIGNATURE}(?:,${SIGNATURE})*)?\\]\\}$`);

/** Bytes; 256 signatures of the longest kind in use. Keeps the search for the end of the signed part bounded. */
const MAX_SIGNATURES_LENGTH = 256 * 1200;

export interface MetadataFile {
  /** The bytes that the signatures cover; shares memory with the file. */
  readonly signed: Uint8Array;
  readonly signatures: readonly Signature[];
}

/**
 * Takes a file of our own form apart. No signature is verified and nothing inside the signed part is looked at.
 * @throws CountersignError `metadata-invalid` for any other form.
 */
export function splitMetadataFile(bytes: Uint8Array): MetadataFile {
  const file = asBuffer(bytes);
  // The last occurrence is the outer one: what follows it must consist of signatures to the end of the file.
  const end = file.lastIndexOf(SIGNATURES_KEY);
  if (end === -1 || !file.subarray(0, SIGNED_KEY.length).equals(SIGNED_KEY)) {
    throw new CountersignError('metadata-invalid', 'file is not {"signed":…,"signatures":[…]}');
  }
  const tail = end + SIGNATURES_KEY.length;
  if (file.length - tail > MAX_SIGNATURES_LENGTH) {
    throw new CountersignError('metadata-invalid', `signatures have ${file.length - tail} bytes`);
  }
  const text = file.toString('latin1', tail);
  if (!SIGNATURES.test(text)) {
    throw new CountersignError('metadata-invalid', 'signatures are not a list of {"keyid":…,"sig":…} in hex');
  }
  return {
    signed: file.subarray(SIGNED_KEY.length, end),
    signatures: JSON.parse(`[${text.slice(0, -1)}`) as Signature[],
  };
}

/** Bytes behind a signed part for its signatures: two of the longest kind that is made here. */
const SIGNATURES_ROOM = 512;

/** Memory that `signedPart` gave out and `metadataFile` has not used yet. */
const unused = new WeakSet<ArrayBufferLike>();

/**
 * Memory for a signed part, to be filled by the caller, that lies where it will lie in its file: `metadataFile` then
 * copies nothing. Whoever has done with the file may give the memory back (../lib/memory.ts).
 */
export function signedPart(length: number): Buffer {
  const file = borrowMemory(SIGNED_KEY.length + length + SIGNATURES_ROOM);
  SIGNED_KEY.copy(file);
  unused.add(file.buffer);
  return file.subarray(SIGNED_KEY.length, SIGNED_KEY.length + length);
}

/** Puts a file together; the inverse of splitMetadataFile. */
export function metadataFile(signed: Uint8Array, signatures: readonly Signature[]): Buffer {
  const list = signatures.map(({ keyid, sig }) => `{"keyid":"${keyid}","sig":"${sig}"}`).join(',');
  const tail = Buffer.concat([SIGNATURES_KEY, Buffer.from(`${list}]}`)]);
  const end = signed.byteOffset + signed.length;
  const fits = signed.byteOffset === SIGNED_KEY.length && end + tail.length <= signed.buffer.byteLength;
  // Only once: a second file of the same part must not change the signatures of the first.
  if (unused.delete(signed.buffer) && fits) {
    const file = Buffer.from(signed.buffer, 0, end + tail.length);
    tail.copy(file, end);
    return file;
  }
  return Buffer.concat([SIGNED_KEY, signed, tail]);
}
