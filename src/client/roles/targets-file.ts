// A targets role as a client reads it (TUF 4.5): `targets` itself, and every role it delegates to.
import { isAscii } from 'node:buffer';
import { hasCode } from '../../lib/errors.ts';
import { BinDocument } from '../../tuf/bin-document.ts';
import type { JsonValue } from '../../tuf/json.ts';
import type { JsonObject, TargetFile } from '../../tuf/metadata.ts';
import { plainObject } from '../../tuf/parse-targets.ts';
import { asInteger, asMap, field, type Place } from '../../tuf/shape.ts';
import { NO_DELEGATIONS, readDelegations, type DelegationTable } from './delegations.ts';
import { readHashes, type Hashes } from './file-reference.ts';
import { splitOwnFile } from './own-file.ts';
import { placeOf, readRoleFile, type RoleFile } from './role-file.ts';

/** What signed metadata says about a target file. */
export interface Target {
  readonly path: string;
  /** Bytes. */
  readonly length: number;
  /** Algorithm names to hex digests, at least one. */
  readonly hashes: Hashes;
  readonly custom?: JsonObject;
}

export interface TargetsFile extends RoleFile {
  /** @throws CountersignError `metadata-invalid` when the entry is none. */
  target(path: string): Target | undefined;
  /** Every target that the role lists. @throws CountersignError `metadata-invalid` at an entry that is none. */
  targets(): Iterable<Target>;
  /** What the role says of its targets, byte for byte, in countersign's own form: equal bytes say the same. */
  readonly ownEntries?: Uint8Array;
  readonly delegations: DelegationTable;
}

/** A bin of countersign's own form, read in place; undefined for any other file. Its entries are read when asked for. */
export function readOwnBin(bytes: Uint8Array): TargetsFile | undefined {
  try {
    const { signed, signatures } = splitOwnFile(bytes);
    const bin = BinDocument.parse(signed);
    if (hasForeignPath(bin)) return undefined;
    const read = (path: string, { length, hashes, custom }: TargetFile): Target => {
      const value = new Map<string, JsonLeaf>([
        ['length', length],
        // Spread: a signed file may still hold null there.
        ['hashes', new Map(Object.entries({ ...hashes }))],
      ]);
      const target = readTarget(path, { value, where: placeOf(path) });
      return custom === undefined ? target : { ...target, custom };
    };
    return {
      version: bin.version,
      expires: Date.parse(bin.expires),
      signedBytes: signed,
      signatures,
      delegations: NO_DELEGATIONS,
      target: (path) => {
        const entry = bin.get(path);
        if (entry === undefined) return undefined;
        return read(path, entry);
      },
      *targets() {
        for (const [path, entry] of bin.entries()) yield read(path, entry);
      },
      get ownEntries() {
        return bin.entryBytes;
      },
    };
  } catch (error) {
    if (hasCode(error, 'metadata-invalid')) return undefined;
    throw error;
  }
}

/** Whether a path holds what none of ours can, an escape or a letter beyond ASCII: then it is not what its bytes are. */
function hasForeignPath(bin: BinDocument): boolean {
  // Custom data may hold them too, but rarely does.
  if (isAscii(bin.signed) && !bin.signed.includes(BACKSLASH)) return false;
  for (const [path] of bin.slices()) if (/[^\x20-\x7e]|\\/.test(path)) return true;
  return false;
}

const BACKSLASH = 0x5c;

type JsonLeaf = number | ReadonlyMap<string, string>;

/**
 * Any targets role in any form.
 * @throws CountersignError `metadata-invalid`.
 */
export function readTargets(role: string, bytes: Uint8Array): TargetsFile {
  const where = placeOf(role);
  const { signed, ...file } = readRoleFile(role, 'targets', bytes);
  const targets = field(signed, where, 'targets');
  const entries = asMap(targets);
  const delegations = field(signed, where, 'delegations');
  const read = (path: string, value: JsonValue): Target =>
    readTarget(path, { value, where: `${targets.where}.${placeOf(path)}` });
  return {
    ...file,
    target: (path) => {
      const value = entries.get(path);
      return value === undefined ? undefined : read(path, value);
    },
    *targets() {
      for (const [path, value] of entries) yield read(path, value);
    },
    delegations: delegations.value === undefined ? NO_DELEGATIONS : readDelegations(delegations),
  };
}

function readTarget(path: string, place: Place): Target {
  const map = asMap(place);
  const custom = field(map, place.where, 'custom');
  return {
    path,
    length: asInteger(field(map, place.where, 'length'), 0),
    hashes: readHashes(field(map, place.where, 'hashes')),
    ...(custom.value === undefined ? {} : { custom: plainObject(asMap(custom)) }),
  };
}
