// Every role that a client could come to from `targets`, level by level: the roles of one level may be taken at once,
// and only those that delegate further are read again.
import { sha256Hex } from '../../lib/bytes.ts';
import { CountersignError } from '../../lib/errors.ts';
import type { FileReference } from '../roles/file-reference.ts';
import { placeOf } from '../roles/role-file.ts';
import type { RoleTrust } from '../roles/role-keys.ts';
import type { SnapshotFile } from '../roles/snapshot-file.ts';
import type { TargetsFile } from '../roles/targets-file.ts';

export interface ReachedRole {
  readonly role: string;
  readonly trust: RoleTrust;
  readonly reference: FileReference;
  /** Says the same as long as the same delegations lead here. */
  readonly scope: string;
  /** Whether it is a bin: a role that is delegated paths by their hashes. */
  readonly hashed: boolean;
  /** Whether the delegations that lead here cover a path: what else the role lists, no client takes from it. */
  covers(path: string): boolean;
}

/** The role that everything is reached from. */
export function topRole(trust: RoleTrust, snapshot: SnapshotFile): ReachedRole {
  const reference = referenceIn(snapshot, 'targets');
  return { role: 'targets', trust, reference, scope: '', hashed: false, covers: () => true };
}

/** A role with its file, when the file delegates further. */
export interface Delegator {
  readonly reached: ReachedRole;
  readonly file: TargetsFile;
}

/**
 * The roles of the next level that were not `seen` before; adds them there. A name that several roles delegate to is
 * reached through the first (interop rule 11 asks that names be unique). Roles that snapshot does not list are left out:
 * for clients they do not exist either.
 * @throws CountersignError `metadata-invalid` when a role delegates to more roles than snapshot can list.
 */
export function nextLevel(
  delegators: readonly Delegator[],
  snapshot: SnapshotFile,
  seen: Set<string>,
): ReachedRole[] {
  const level: ReachedRole[] = [];
  for (const { reached: parent, file } of delegators) {
    let count = 0;
    const scopes = new Map<string, string>();
    for (const { role, trust, hashed, scope: own } of file.delegations.roles()) {
      count += 1;
      if (count > MAX_DELEGATIONS) {
        throw new CountersignError(
          'metadata-invalid',
          `role ${placeOf(parent.role)} delegates to more than ${MAX_DELEGATIONS} roles`,
        );
      }
      const reference = snapshot.reference(role);
      if (reference === undefined || seen.has(role)) continue;
      seen.add(role);
      const covers = (path: string): boolean =>
        parent.covers(path) && file.delegations(path).some((delegation) => delegation.role === role);
      const scope = scopes.get(own) ?? sha256Hex(JSON.stringify([parent.scope, own]));
      scopes.set(own, scope);
      level.push({ role, trust, reference, scope, hashed, covers });
    }
  }
  return level;
}

/** TAP 15 allows 2^32 bins in 30 bytes; a snapshot of 50 MB lists a million roles. */
const MAX_DELEGATIONS = 1_048_576;

function referenceIn(snapshot: SnapshotFile, role: string): FileReference {
  const reference = snapshot.reference(role);
  if (reference !== undefined) return reference;
  throw new CountersignError('metadata-invalid', `role ${placeOf(role)} is not in the snapshot`);
}

/** The same for the same keys and threshold, however they are written. */
export function trustDigest(trust: RoleTrust): string {
  const known = digests.get(trust);
  if (known !== undefined) return known;
  const keys = [...trust.keyids].map((keyid) => trust.keys.get(keyid)?.identity ?? '').sort();
  const text = JSON.stringify([trust.threshold, ...new Set(keys)]);
  const digest = sha256Hex(text);
  digests.set(trust, digest);
  return digest;
}

const digests = new WeakMap<RoleTrust, string>();
