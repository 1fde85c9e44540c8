// Root: the keys of the top-level roles (TUF 4.3).
import { parseEnvelope, type Envelope, type EnvelopeKind } from './envelope.ts';
import { MAX_METADATA_BYTES } from './metadata-limits.ts';
import type { RoleKeys, Root, TopLevelRole } from './metadata.ts';
import { readKeys, readRoleKeys } from './parse-keys.ts';
import { asExpires, asInteger, asMap, asSpecVersion, field, onlyFields, unexpected } from './shape.ts';

export const TOP_LEVEL_ROLES = ['root', 'timestamp', 'snapshot', 'targets'] as const satisfies TopLevelRole[];

export const ROOT: EnvelopeKind<Root> = {
  type: 'root',
  maxBytes: MAX_METADATA_BYTES.root,
  read: (signed, where) => {
    // Interop rule 13; TUF 6.2: without it a client reads names that change under its hands.
    const consistent = field(signed, where, 'consistent_snapshot');
    if (consistent.value !== true) throw unexpected(consistent, 'true');
    const keys = readKeys(field(signed, where, 'keys'));
    const roles = asMap(field(signed, where, 'roles'));
    onlyFields(roles, `${where}.roles`, TOP_LEVEL_ROLES);
    const role = (name: TopLevelRole): RoleKeys => {
      const place = field(roles, `${where}.roles`, name);
      const map = asMap(place);
      onlyFields(map, place.where, ['keyids', 'threshold']);
      return readRoleKeys(map, place.where, keys);
    };
    return {
      _type: 'root',
      spec_version: asSpecVersion(field(signed, where, 'spec_version')),
      consistent_snapshot: true,
      version: asInteger(field(signed, where, 'version'), 1),
      expires: asExpires(field(signed, where, 'expires')),
      keys,
      roles: {
        root: role('root'),
        timestamp: role('timestamp'),
        snapshot: role('snapshot'),
        targets: role('targets'),
      },
    };
  },
};

/**
 * Parses a root file.
 * @throws CountersignError `metadata-too-large`, `metadata-invalid`.
 */
export function parseRoot(bytes: Uint8Array): Envelope<Root> {
  return parseEnvelope(ROOT, bytes);
}
