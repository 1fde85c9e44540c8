// Timestamp as a client reads it (TUF 4.6).
import { asMap, field } from '../../tuf/shape.ts';
import { readFileReference, type FileReference } from './file-reference.ts';
import { readRoleFile, type RoleFile } from './role-file.ts';

export interface TimestampFile extends RoleFile {
  readonly snapshot: FileReference;
}

/** @throws CountersignError `metadata-invalid`. */
export function readTimestamp(bytes: Uint8Array): TimestampFile {
  const { signed, ...file } = readRoleFile('timestamp', 'timestamp', bytes);
  const meta = field(signed, 'timestamp', 'meta');
  return { ...file, snapshot: readFileReference(field(asMap(meta), meta.where, 'snapshot.json')) };
}
