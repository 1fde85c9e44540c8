// The small roles as the objects that are signed: one place for the shape of what the ceremony and the publisher write.
// Canonical bytes of these, and nothing else, go under a signature.
import { canonicalBytes, type Canonicalizable } from './canonical-json.ts';
import type {
  DelegatedRole,
  Delegations,
  PublicKey,
  RoleKeys,
  Root,
  Targets,
  Timestamp,
} from './metadata.ts';

/** The bytes that root's signatures cover. */
export function serializeRoot({ keys, roles, ...rest }: Root): Buffer {
  return canonicalBytes({
    ...rest,
    keys: serializeKeys(keys),
    roles: {
      root: roleKeys(roles.root),
      timestamp: roleKeys(roles.timestamp),
      snapshot: roleKeys(roles.snapshot),
      targets: roleKeys(roles.targets),
    },
  });
}

/** The bytes that the signatures of `targets` and `bins` cover. */
export function serializeTargets({ targets, delegations, ...rest }: Targets): Buffer {
  return canonicalBytes({
    ...rest,
    targets: new Map(
      [...targets].map(([path, { custom, hashes, length }]) => [
        path,
        { custom, hashes: { ...hashes }, length },
      ]),
    ),
    delegations: delegations && serializeDelegations(delegations),
  });
}

/** The bytes that timestamp's signature covers. */
export function serializeTimestamp({ meta, ...rest }: Timestamp): Buffer {
  const { version, length, hashes } = meta['snapshot.json'];
  return canonicalBytes({
    ...rest,
    meta: { 'snapshot.json': { version, length, hashes: { sha256: hashes.sha256 } } },
  });
}

function serializeKeys(keys: ReadonlyMap<string, PublicKey>): Canonicalizable {
  return new Map(
    [...keys].map(([keyid, { keytype, scheme, keyval }]) => [
      keyid,
      { keytype, scheme, keyval: { public: keyval.public } },
    ]),
  );
}

function roleKeys({ keyids, threshold }: RoleKeys): { keyids: readonly string[]; threshold: number } {
  return { keyids, threshold };
}

function serializeDelegations({ keys, roles, succinct_roles }: Delegations): Canonicalizable {
  return {
    keys: serializeKeys(keys),
    roles: roles?.map(serializeDelegatedRole),
    succinct_roles: succinct_roles && { ...succinct_roles },
  };
}

function serializeDelegatedRole(role: DelegatedRole): Canonicalizable {
  return { ...role };
}
