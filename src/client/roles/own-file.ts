// A file of countersign's own form as a client takes it apart: its signed part is what the signatures cover, byte for byte.
import { CountersignError } from '../../lib/errors.ts';
import { splitMetadataFile, type MetadataFile } from '../../tuf/metadata-file.ts';

/** @throws CountersignError `metadata-invalid` for any other form. */
export function splitOwnFile(bytes: Uint8Array): MetadataFile {
  const file = splitMetadataFile(bytes);
  const { signatures } = file;
  // TUF 4.2.1: "The KEYID MUST be unique in the signatures array": other clients refuse such a file.
  if (signatures.length > 1 && new Set(signatures.map(({ keyid }) => keyid)).size < signatures.length) {
    throw new CountersignError('metadata-invalid', 'signatures have two of one key');
  }
  return file;
}
