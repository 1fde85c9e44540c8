// The form of every published file: `{"signed":<canonical bytes>,"signatures":[…]}`. The signed part is a slice of the
// file: nothing is serialised twice, and what was verified is byte for byte what is kept.
import { asBuffer } from '../lib/bytes.ts';
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

/** Puts a file together; the inverse of splitMetadataFile. */
export function metadataFile(signed: Uint8Array, signatures: readonly Signature[]): Buffer {
  const list = signatures.map(({ keyid, sig }) => `{"keyid":"${keyid}","sig":"${sig}"}`).join(',');
  return Buffer.concat([SIGNED_KEY, signed, SIGNATURES_KEY, Buffer.from(`${list}]}`)]);
}
