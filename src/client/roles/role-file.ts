// Any role's file as any TUF repository may write it: every JSON layout, fields that nobody here knows, signatures of
// keys that nobody here can use. The publisher's own parsers (src/tuf/parse-*.ts) are strict on purpose: what
// countersign publishes must suit every client. What it reads as a client must only suit the specification.
import { CountersignError } from '../../lib/errors.ts';
import { canonicalBytes } from '../../tuf/canonical-json.ts';
import { METADATA_DEPTH, parseStrictJson, type JsonMap } from '../../tuf/json.ts';
import type { Signature } from '../../tuf/metadata.ts';
import { asInteger, asList, asMap, asString, field, unexpected, type Place } from '../../tuf/shape.ts';

/** What every role has; whether anybody signed it is another question (role-keys.ts). */
export interface RoleFile {
  readonly version: number;
  /** Milliseconds since the epoch. */
  readonly expires: number;
  /** The canonical bytes of the signed part: what the signatures cover. */
  readonly signedBytes: Uint8Array;
  readonly signatures: readonly Signature[];
}

/** A role's file with its signed part still as JSON, for the reader of its type. */
export interface OpenRoleFile extends RoleFile {
  readonly signed: JsonMap;
}

/**
 * Reads the outer form of a file and what all roles have in common.
 * @param type what `_type` must be: a file of another type that the same key signed must not pass (TUF 4.1).
 * @throws CountersignError `metadata-invalid` that names the role and the place.
 */
export function readRoleFile(role: string, type: string, bytes: Uint8Array): OpenRoleFile {
  const where = placeOf(role);
  let value;
  try {
    value = parseStrictJson(bytes, { maxBytes: bytes.length, maxDepth: METADATA_DEPTH });
  } catch (error) {
    if (!(error instanceof CountersignError)) throw error;
    throw new CountersignError(error.code, `${where}: ${error.message}`, { cause: error });
  }
  const file = asMap({ value, where });
  const signed = asMap(field(file, where, 'signed'));
  const typeAt = field(signed, where, '_type');
  if (asString(typeAt) !== type) throw unexpected(typeAt, `"${type}"`);
  // TUF 4.3: "clients … MUST NOT accept other major versions".
  asString(field(signed, where, 'spec_version'), /^1(?:\.\d{1,4}){1,2}$/);
  return {
    signed,
    version: asInteger(field(signed, where, 'version'), 1),
    expires: asTime(field(signed, where, 'expires')),
    signedBytes: canonicalBytes(signed),
    signatures: readSignatures(field(file, where, 'signatures')),
  };
}

/** A role's name in messages; delegated names are as hostile as everything else. */
export function placeOf(role: string): string {
  return /^[\w.-]{1,64}$/.test(role) ? role : JSON.stringify(role.slice(0, 64));
}

function readSignatures(place: Place): Signature[] {
  const seen = new Set<string>();
  return asList(place).map((value, index) => {
    const where = `${place.where}[${index}]`;
    const map = asMap({ value, where });
    const keyid = asString(field(map, where, 'keyid'));
    // TUF 4.2.1: "The KEYID MUST be unique in the signatures array".
    if (seen.has(keyid)) throw unexpected(field(map, where, 'keyid'), 'a key id that did not sign before');
    seen.add(keyid);
    // An empty or odd signature is one that does not verify: it must not spoil those of other keys.
    return { keyid, sig: asString(field(map, where, 'sig')) };
  });
}

/** TUF 4.1 asks for `YYYY-MM-DDTHH:MM:SSZ`; fractions and offsets were signed in the wild and mean one moment too. */
function asTime(place: Place): number {
  const text = asString(place, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:Z|[+-]\d\d:\d\d)$/);
  const ms = Date.parse(text);
  if (Number.isNaN(ms)) throw unexpected(place, 'a date that exists');
  return ms;
}
