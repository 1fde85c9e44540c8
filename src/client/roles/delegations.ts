// Delegations of a targets role (TUF 4.5, TAP 15): which roles answer for a target path, in order.
import { createHash } from 'node:crypto';
import { CountersignError } from '../../lib/errors.ts';
import type { JsonMap } from '../../tuf/json.ts';
import {
  asBoolean,
  asInteger,
  asList,
  asMap,
  asString,
  field,
  unexpected,
  type Place,
} from '../../tuf/shape.ts';
import { TOP_LEVEL_ROLES } from '../../tuf/parse-root.ts';
import { quoteName } from '../quoted-name.ts';
import { matchesPattern } from './path-pattern.ts';
import { readClientKeys, readRoleTrust, type RoleTrust } from './role-keys.ts';

/** One delegated role, for the path that was asked about. */
export interface Delegation {
  readonly role: string;
  readonly trust: RoleTrust;
  /** Which paths are delegated to the role, as the delegator writes it. */
  readonly scope: string;
  /** Whether they are chosen by their hashes, as those of a bin. */
  readonly hashed: boolean;
  /** TUF 5.6.7.2.1: when this role does not know the path, no later one is asked. */
  readonly terminating: boolean;
}

export interface DelegationTable {
  /** Which roles are delegated a path, in the order of the delegator. */
  (path: string): readonly Delegation[];
  /** Every role that is delegated to, whatever the path. */
  roles(): Iterable<Delegation>;
}

export const NO_DELEGATIONS: DelegationTable = table(
  () => [],
  () => [],
);

function table(
  covering: (path: string) => readonly Delegation[],
  roles: () => Iterable<Delegation>,
): DelegationTable {
  return Object.assign(covering, { roles });
}

/** @throws CountersignError `metadata-invalid`. */
export function readDelegations(place: Place): DelegationTable {
  const { where } = place;
  const map = asMap(place);
  const keys = readClientKeys(field(map, where, 'keys'));
  const succinct = field(map, where, 'succinct_roles');
  const list = field(map, where, 'roles');
  if (succinct.value !== undefined) {
    // TAP 15: "either … or": with both, two clients would read two things.
    if (list.value !== undefined) throw unexpected(list, 'nothing beside succinct_roles');
    return succinctTable(succinct, (roles, at) => readRoleTrust(roles, at, keys));
  }
  const roles = asList(list).map((value, index) => {
    const at = `${list.where}[${index}]`;
    return readDelegatedRole({ value, where: at }, readRoleTrust(asMap({ value, where: at }), at, keys));
  });
  return table(
    (path) => {
      const pathHash = createHash('sha256').update(path).digest('hex');
      return roles.filter(({ covers }) => covers(path, pathHash));
    },
    () => roles,
  );
}

interface ConditionalDelegation extends Delegation {
  readonly covers: (path: string, pathHash: string) => boolean;
}

function readDelegatedRole({ value, where }: Place, trust: RoleTrust): ConditionalDelegation {
  const map = asMap({ value, where });
  const role = asRoleName(field(map, where, 'name'));
  const terminating = asBoolean(field(map, where, 'terminating'));
  const paths = field(map, where, 'paths');
  const prefixes = field(map, where, 'path_hash_prefixes');
  // TUF 4.5: one of the two, not both.
  if ((paths.value === undefined) === (prefixes.value === undefined)) {
    throw new CountersignError('metadata-invalid', `${where} has not one of paths and path_hash_prefixes`);
  }
  if (paths.value !== undefined) {
    const patterns = strings(paths);
    const scope = JSON.stringify({ paths: patterns });
    return {
      role,
      trust,
      scope,
      hashed: false,
      terminating,
      covers: (path) => patterns.some((it) => matchesPattern(path, it)),
    };
  }
  const starts = strings(prefixes);
  const scope = JSON.stringify({ path_hash_prefixes: starts });
  return {
    role,
    trust,
    scope,
    hashed: true,
    terminating,
    covers: (_, hash) => starts.some((start) => hash.startsWith(start)),
  };
}

function strings(place: Place): string[] {
  return asList(place).map((value, index) => asString({ value, where: `${place.where}[${index}]` }));
}

/** TAP 15: one role out of 2^bit_length, by the first bits of the path's SHA-256. */
function succinctTable(place: Place, trustOf: (map: JsonMap, where: string) => RoleTrust): DelegationTable {
  const map = asMap(place);
  const bitsAt = field(map, place.where, 'bit_length');
  const bits = asInteger(bitsAt, 1);
  if (bits > 32) throw unexpected(bitsAt, 'an integer of at most 32');
  const prefixAt = field(map, place.where, 'name_prefix');
  const digits = Math.ceil(bits / 4);
  const prefix = asString(prefixAt);
  asRoleName({ value: `${prefix}-${'0'.repeat(digits)}`, where: prefixAt.where });
  const trust = trustOf(map, place.where);
  const scope = JSON.stringify({ bit_length: bits, name_prefix: prefix });
  // TAP 15 speaks of no terminating flag; every implementation terminates: no other bin can know the path.
  const bin = (index: number): Delegation => ({
    role: `${prefix}-${index.toString(16).padStart(digits, '0')}`,
    trust,
    scope,
    hashed: true,
    terminating: true,
  });
  return table(
    (path) => [bin(createHash('sha256').update(path).digest().readUInt32BE(0) >>> (32 - bits))],
    function* () {
      for (let index = 0; index < 2 ** bits; index++) yield bin(index);
    },
  );
}

/** File names end at 255 bytes; `.json` and a version must fit too. */
const MAX_QUOTED_NAME = 200;

function asRoleName(place: Place): string {
  const name = asString(place);
  // A delegated "root" would take the place of the real one on disk.
  if (name === '' || (TOP_LEVEL_ROLES as readonly string[]).includes(name)) {
    throw unexpected(place, 'the name of a delegated role');
  }
  if (quoteName(name).length > MAX_QUOTED_NAME) throw unexpected(place, 'a shorter name');
  return name;
}
