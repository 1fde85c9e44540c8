// Root as a client reads it (TUF 4.3).
import type { TopLevelRole } from '../../tuf/metadata.ts';
import { asBoolean, asMap, field } from '../../tuf/shape.ts';
import { readRoleFile, type RoleFile } from './role-file.ts';
import { readClientKeys, readRoleTrust, type RoleTrust } from './role-keys.ts';

export interface RootFile extends RoleFile {
  /** TUF 6.2: names of files carry versions and hashes. */
  readonly consistentSnapshot: boolean;
  readonly trust: Readonly<Record<TopLevelRole, RoleTrust>>;
}

/** @throws CountersignError `metadata-invalid`. */
export function readRoot(bytes: Uint8Array): RootFile {
  const { signed, ...file } = readRoleFile('root', 'root', bytes);
  const keys = readClientKeys(field(signed, 'root', 'keys'));
  const roles = asMap(field(signed, 'root', 'roles'));
  const trust = (name: TopLevelRole): RoleTrust => {
    const place = field(roles, 'root.roles', name);
    return readRoleTrust(asMap(place), place.where, keys);
  };
  const consistent = field(signed, 'root', 'consistent_snapshot');
  return {
    ...file,
    consistentSnapshot: consistent.value === undefined ? false : asBoolean(consistent),
    trust: {
      root: trust('root'),
      timestamp: trust('timestamp'),
      snapshot: trust('snapshot'),
      targets: trust('targets'),
    },
  };
}
