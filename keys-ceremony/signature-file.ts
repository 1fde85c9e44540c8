// One signature of one key over one role of one payload: the only thing that leaves a holder's computer.
import { CountersignError, messageOf } from '../src/lib/errors.ts';
import { METADATA_DEPTH, parseStrictJson } from '../src/tuf/json.ts';
import { KEY_ID } from '../src/tuf/parse-keys.ts';
import { asInteger, asMap, asString, field, onlyFields } from '../src/tuf/shape.ts';
import { MAX_BYTES } from './ceremony-folder.ts';
import { canonicalFile, type OfflineRole } from './payload.ts';

export const SIGNATURE_FORMAT = 'countersign-signature/1';

export interface RoleSignature {
  /** SHA-256 of the payload. */
  readonly payload: string;
  readonly role: OfflineRole;
  readonly version: number;
  readonly keyid: string;
  /** Lower-case hex. */
  readonly sig: string;
}

export function signatureFileBytes({ payload, role, version, keyid, sig }: RoleSignature): Buffer {
  return canonicalFile({ format: SIGNATURE_FORMAT, payload, role, version, keyid, sig });
}

/**
 * Parses a signature file; `where` names it in messages. The signature itself is not verified here.
 * @throws CountersignError `ceremony-file-invalid`.
 */
export function parseSignatureFile(bytes: Uint8Array, where: string): RoleSignature {
  try {
    const limits = { maxBytes: MAX_BYTES.signature, maxDepth: METADATA_DEPTH };
    const map = asMap({ value: parseStrictJson(bytes, limits), where });
    onlyFields(map, where, ['format', 'payload', 'role', 'version', 'keyid', 'sig']);
    asString(field(map, where, 'format'), new RegExp(`^${SIGNATURE_FORMAT}$`));
    return {
      payload: asString(field(map, where, 'payload'), /^[0-9a-f]{64}$/),
      role: asString(field(map, where, 'role'), /^(?:root|targets|bins)$/) as OfflineRole,
      version: asInteger(field(map, where, 'version'), 1),
      keyid: asString(field(map, where, 'keyid'), KEY_ID),
      sig: asString(field(map, where, 'sig'), /^(?:[0-9a-f]{2}){1,1024}$/),
    };
  } catch (cause) {
    if (!(cause instanceof CountersignError)) throw cause;
    const message = messageOf(cause);
    const text = message.startsWith(where) ? message : `${where}: ${message}`;
    throw new CountersignError('ceremony-file-invalid', text, { cause });
  }
}
