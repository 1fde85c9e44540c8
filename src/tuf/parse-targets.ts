// Targets metadata of the offline roles, `targets` and `bins` (TUF 4.5, TAP 15). The bin-n roles, which list the target
// files, have a document of their own: bin-document.ts. Linear in the number of delegations.
import { CountersignError } from '../lib/errors.ts';
import { parseEnvelope, type Envelope, type EnvelopeKind } from './envelope.ts';
import type { JsonMap, JsonValue } from './json.ts';
import { MAX_METADATA_BYTES } from './metadata-limits.ts';
import type {
  DelegatedRole,
  Delegations,
  JsonObject,
  PublicKey,
  SuccinctRoles,
  TargetFile,
  Targets,
} from './metadata.ts';
import { readKeys, readRoleKeys } from './parse-keys.ts';
import {
  asBoolean,
  asExpires,
  asInteger,
  asList,
  asMap,
  asSpecVersion,
  asString,
  distinct,
  field,
  onlyFields,
  unexpected,
  type Place,
} from './shape.ts';
import { checkTargetPath } from './target-path.ts';

/** Interop rule 1: names start with a letter, or JavaScript reorders them. No name can leave the metadata folder. */
const ROLE_NAME = /^[a-z][a-z0-9-]{0,63}$/;

/** Interop rule 6: literal segments and `*` only. `**`, `?` and `[` mean different things to different clients. */
const PATH_PATTERN = /^(?:\*|[A-Za-z0-9._~!@+-]+)(?:\/(?:\*|[A-Za-z0-9._~!@+-]+))*$/;

const RESERVED = new Set(['root', 'timestamp', 'snapshot', 'targets']);

export const TARGETS: EnvelopeKind<Targets> = {
  type: 'targets',
  maxBytes: MAX_METADATA_BYTES.targets,
  read: (signed, where) => {
    const delegations = field(signed, where, 'delegations');
    return {
      _type: 'targets',
      spec_version: asSpecVersion(field(signed, where, 'spec_version')),
      version: asInteger(field(signed, where, 'version'), 1),
      expires: asExpires(field(signed, where, 'expires')),
      targets: readTargetFiles(field(signed, where, 'targets')),
      ...(delegations.value === undefined ? {} : { delegations: readDelegations(delegations) }),
    };
  },
};

/**
 * Parses the file of the role `targets`.
 * @throws CountersignError `metadata-too-large`, `metadata-invalid`.
 */
export function parseTargets(bytes: Uint8Array): Envelope<Targets> {
  return parseEnvelope(TARGETS, bytes);
}

/** The role `bins`: a targets file by type, with its own name in messages. */
export const BINS: EnvelopeKind<Targets> = { ...TARGETS, role: 'bins' };

/**
 * Parses the file of the role `bins`.
 * @throws CountersignError `metadata-too-large`, `metadata-invalid`.
 */
export function parseBins(bytes: Uint8Array): Envelope<Targets> {
  return parseEnvelope(BINS, bytes);
}

function readTargetFiles(place: Place): ReadonlyMap<string, TargetFile> {
  const targets = new Map<string, TargetFile>();
  for (const [path, value] of asMap(place)) {
    try {
      checkTargetPath(path);
    } catch (cause) {
      if (!(cause instanceof CountersignError)) throw cause;
      throw new CountersignError('metadata-invalid', `${place.where}: ${cause.message}`, { cause });
    }
    targets.set(path, readTargetFile({ value, where: `${place.where}.${path}` }));
  }
  return targets;
}

function readTargetFile(place: Place): TargetFile {
  const { where } = place;
  const map = asMap(place);
  onlyFields(map, where, ['length', 'hashes', 'custom']);
  const hashes = asMap(field(map, where, 'hashes'));
  onlyFields(hashes, `${where}.hashes`, ['sha256']); // interop rule 4
  const custom = field(map, where, 'custom');
  return {
    length: asInteger(field(map, where, 'length'), 1),
    hashes: { sha256: asString(field(hashes, `${where}.hashes`, 'sha256'), /^[0-9a-f]{64}$/) },
    ...(custom.value === undefined ? {} : { custom: plainObject(asMap(custom)) }),
  };
}

/** Parsed JSON as plain objects, without touching a prototype. */
export function plainObject(map: JsonMap): JsonObject {
  // fromEntries defines own properties, `__proto__` too: no prototype is touched.
  return Object.fromEntries([...map].map(([key, value]) => [key, plain(value)]));
}

function plain(value: JsonValue): JsonObject[string] {
  if (value instanceof Map) return plainObject(value as JsonMap);
  if (Array.isArray(value)) return (value as readonly JsonValue[]).map(plain);
  return value as null | boolean | number | string;
}

function readDelegations(place: Place): Delegations {
  const { where } = place;
  const map = asMap(place);
  const succinct = field(map, where, 'succinct_roles');
  onlyFields(map, where, ['keys', succinct.value === undefined ? 'roles' : 'succinct_roles']);
  const keys = readKeys(field(map, where, 'keys'));
  if (succinct.value !== undefined) return { keys, succinct_roles: readSuccinctRoles(succinct, keys) };
  const list = field(map, where, 'roles');
  const roles = asList(list).map((value, index) =>
    readDelegatedRole({ value, where: `${list.where}[${index}]` }, keys),
  );
  // Interop rule 11: a role is known by its name alone.
  distinct(
    roles.map(({ name }) => name),
    list.where,
  );
  return { keys, roles };
}

/** TAP 15 "Succinct hashed bin delegations". */
function readSuccinctRoles(place: Place, keys: ReadonlyMap<string, PublicKey>): SuccinctRoles {
  const { where } = place;
  const map = asMap(place);
  onlyFields(map, where, ['bit_length', 'keyids', 'name_prefix', 'threshold']);
  const bits = field(map, where, 'bit_length');
  const bit_length = asInteger(bits, 1);
  if (bit_length > 32) throw unexpected(bits, 'an integer of at most 32');
  const name_prefix = asString(field(map, where, 'name_prefix'), ROLE_NAME);
  return { bit_length, name_prefix, ...readRoleKeys(map, where, keys) };
}

function readDelegatedRole(place: Place, keys: ReadonlyMap<string, PublicKey>): DelegatedRole {
  const { where } = place;
  const map = asMap(place);
  const selector = map.has('paths') ? 'paths' : 'path_hash_prefixes';
  // TUF 4.5: exactly one of the two; a role with neither would be trusted for nothing.
  onlyFields(map, where, ['name', 'keyids', 'threshold', 'terminating', selector]);
  const nameAt = field(map, where, 'name');
  const name = asString(nameAt, ROLE_NAME);
  if (RESERVED.has(name)) throw unexpected(nameAt, 'a name that is not a top-level role');
  const list = field(map, where, selector);
  const pattern = selector === 'paths' ? PATH_PATTERN : /^[0-9a-f]{1,64}$/;
  const selected = asList(list).map((value, index) =>
    asString({ value, where: `${list.where}[${index}]` }, pattern),
  );
  distinct(selected, list.where);
  const terminating = asBoolean(field(map, where, 'terminating'));
  const role = { name, terminating, ...readRoleKeys(map, where, keys) };
  return selector === 'paths' ? { ...role, paths: selected } : { ...role, path_hash_prefixes: selected };
}
