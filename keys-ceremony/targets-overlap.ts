// The keys of targets in a root that follows another. One-time keys are new in every ceremony, and clients read root
// before targets: for a while some of them hold the new root and the targets of before. Therefore the new root names the
// keys that signed that file as well, for one generation: the next ceremony that makes a new targets leaves them out.
// They are destroyed; naming them trusts nobody but those who made them.
import type { Root } from '../src/tuf/metadata.ts';
import type { RoleTrust } from '../src/tuf/threshold.ts';

export interface TargetsBefore {
  readonly root: Root;
  /** Ids of the keys whose signatures the published targets bears. */
  readonly signers: readonly string[];
}

/**
 * Ids of the keys that are kept for it. None, when the published targets verifies with the planned keys alone; and none
 * of a root holder: that key still exists, and perhaps in other hands.
 */
export function keptForOverlap(planned: RoleTrust, { root, signers }: TargetsBefore): string[] {
  if (signers.filter((keyid) => planned.keyids.includes(keyid)).length >= planned.threshold) return [];
  const holders = new Set(root.roles.root.keyids);
  return signers.filter((keyid) => !planned.keyids.includes(keyid) && !holders.has(keyid));
}

/**
 * The planned keys and those that are kept. TUF knows one threshold a role: the lower of what the published file bears
 * and what the plan asks for, so that both files reach it.
 */
export function withOverlap(planned: RoleTrust, before: TargetsBefore): RoleTrust {
  const kept = keptForOverlap(planned, before);
  if (kept.length === 0) return planned;
  const keyids = [...planned.keyids, ...kept];
  const keys = new Map(planned.keys);
  for (const keyid of kept) {
    const key = before.root.keys.get(keyid);
    if (key !== undefined) keys.set(keyid, key);
  }
  const signed = before.signers.filter((keyid) => keyids.includes(keyid)).length;
  return { keys, keyids, threshold: Math.min(planned.threshold, signed) };
}
