// What a committed publication changes in the snapshot: pure, so that recovery makes the same bytes.
import type { Intent } from '../ledger/ledger.ts';
import type { SnapshotEdit } from '../tuf/snapshot-document.ts';

/** The edit that makes the snapshot of `intent` from the one before. */
export function snapshotEditOf({ snapshot, expires, roles, bins }: Intent): SnapshotEdit {
  return {
    version: snapshot,
    expires: expires.snapshot,
    targetsVersion: roles.targets,
    binsVersion: roles.bins,
    bins,
  };
}
