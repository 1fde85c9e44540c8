// The outer form of every metadata file: a signed part and its signatures (TUF 4.2.1).
import { asBuffer } from '../lib/bytes.ts';
import { CountersignError } from '../lib/errors.ts';
import { canonicalBytes } from './canonical-json.ts';
import { METADATA_DEPTH, parseStrictJson, type JsonMap, type JsonValue } from './json.ts';
import { metadataFile } from './metadata-file.ts';
import type { Signature } from './metadata.ts';
import { KEY_ID } from './parse-keys.ts';
import { asList, asMap, asString, distinct, field, onlyFields, type Place } from './shape.ts';

/** A metadata file whose form was checked. Whether anybody signed it is another question: see Verified. */
export interface Envelope<T> {
  readonly signed: T;
  /** The canonical bytes of the signed part, fields that this version does not know included. */
  readonly signedBytes: Uint8Array;
  readonly signatures: readonly Signature[];
}

/** The file as countersign publishes it: compact, with exactly these signatures. */
export function envelopeFile(envelope: Pick<Envelope<unknown>, 'signedBytes' | 'signatures'>): Buffer {
  return metadataFile(jsonOf(envelope.signedBytes), envelope.signatures);
}

/**
 * Canonical JSON writes the line ends of a PEM key as they are, JSON does not allow them: in the file they are escapes.
 * Clients parse the file and make the canonical bytes again.
 */
function jsonOf(canonical: Uint8Array): Uint8Array {
  if (!canonical.some((byte) => byte < 0x20)) return canonical;
  const escaped = asBuffer(canonical)
    .toString('latin1')
    .replace(/[\0-\x1f]/g, (character) => JSON.stringify(character).slice(1, -1));
  return Buffer.from(escaped, 'latin1');
}

/** Hex, whole bytes; the longest kind in use is RSA with 8,192 bits. */
const SIGNATURE_HEX = /^(?:[0-9a-f]{2}){1,1024}$/;

/** What a role's own parser has to know. */
export interface EnvelopeKind<T> {
  /** `_type` of the file. */
  readonly type: string;
  /** The name in messages, when the type is not the name. */
  readonly role?: string;
  readonly maxBytes: number;
  /** Reads the signed part; `where` is the role's name. Fields at its top that it does not know are its own affair. */
  readonly read: (signed: JsonMap, where: string) => T;
}

/**
 * Parses a file in any JSON layout.
 * @throws CountersignError `metadata-too-large`, or `metadata-invalid` that names the role and the place.
 */
export function parseEnvelope<T>(kind: EnvelopeKind<T>, bytes: Uint8Array): Envelope<T> {
  let value: JsonValue;
  try {
    value = parseStrictJson(bytes, { maxBytes: kind.maxBytes, maxDepth: METADATA_DEPTH });
  } catch (error) {
    if (!(error instanceof CountersignError)) throw error;
    throw new CountersignError(error.code, `${kind.role ?? kind.type}: ${error.message}`, { cause: error });
  }
  return readEnvelope(kind, value);
}

/**
 * Reads a file that was parsed as a part of something larger.
 * @throws CountersignError `metadata-invalid` that names the role and the place.
 */
export function readEnvelope<T>(kind: EnvelopeKind<T>, value: JsonValue): Envelope<T> {
  const where = kind.role ?? kind.type;
  const file = asMap({ value, where });
  onlyFields(file, where, ['signed', 'signatures']);
  const signed = asMap(field(file, where, 'signed'));
  asString(field(signed, where, '_type'), new RegExp(`^${kind.type}$`));
  return {
    signed: kind.read(signed, where),
    signedBytes: canonicalBytes(signed),
    signatures: readSignatures(field(file, where, 'signatures')),
  };
}

function readSignatures(place: Place): Signature[] {
  const signatures = asList(place).map((value, index) => {
    const where = `${place.where}[${index}]`;
    const map = asMap({ value, where });
    onlyFields(map, where, ['keyid', 'sig']);
    return {
      keyid: asString(field(map, where, 'keyid'), KEY_ID),
      sig: asString(field(map, where, 'sig'), SIGNATURE_HEX),
    };
  });
  // TUF 4.2.1: "there MUST be only one signature per KEYID"; two from one key must never count twice.
  distinct(
    signatures.map(({ keyid }) => keyid),
    place.where,
  );
  return signatures;
}
