// Timestamp: which snapshot is current (TUF 4.6).
import { CountersignError } from '../lib/errors.ts';
import { parseEnvelope, type Envelope, type EnvelopeKind } from './envelope.ts';
import { MAX_METADATA_BYTES } from './metadata-limits.ts';
import type { Timestamp } from './metadata.ts';
import { asExpires, asInteger, asMap, asSpecVersion, asString, field, onlyFields } from './shape.ts';

export const TIMESTAMP: EnvelopeKind<Timestamp> = {
  type: 'timestamp',
  maxBytes: MAX_METADATA_BYTES.timestamp,
  read: (signed, where) => {
    const meta = asMap(field(signed, where, 'meta'));
    onlyFields(meta, `${where}.meta`, ['snapshot.json']);
    const place = field(meta, `${where}.meta`, 'snapshot.json');
    const snapshot = asMap(place);
    // Interop rule 7: length and hash are always there, so that a client never reads more than it must.
    onlyFields(snapshot, place.where, ['version', 'length', 'hashes']);
    const length = asInteger(field(snapshot, place.where, 'length'), 1);
    if (length > MAX_METADATA_BYTES.snapshot) {
      throw new CountersignError(
        'metadata-too-large',
        `${place.where}.length is ${length}, at most ${MAX_METADATA_BYTES.snapshot} bytes are allowed`,
      );
    }
    const hashes = asMap(field(snapshot, place.where, 'hashes'));
    onlyFields(hashes, `${place.where}.hashes`, ['sha256']);
    return {
      _type: 'timestamp',
      spec_version: asSpecVersion(field(signed, where, 'spec_version')),
      version: asInteger(field(signed, where, 'version'), 1),
      expires: asExpires(field(signed, where, 'expires')),
      meta: {
        'snapshot.json': {
          version: asInteger(field(snapshot, place.where, 'version'), 1),
          length,
          hashes: { sha256: asString(field(hashes, `${place.where}.hashes`, 'sha256'), /^[0-9a-f]{64}$/) },
        },
      },
    };
  },
};

/**
 * Parses a timestamp file.
 * @throws CountersignError `metadata-too-large`, `metadata-invalid`.
 */
export function parseTimestamp(bytes: Uint8Array): Envelope<Timestamp> {
  return parseEnvelope(TIMESTAMP, bytes);
}
