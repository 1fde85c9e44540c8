// The two delegations of a countersign repository: targets -> bins -> bin-n (PEP 458 "PyPI and TUF Roles"). Neither
// `targets` nor `bins` lists a file itself: what they list would hide what the bins say.
import { CountersignError } from '../lib/errors.ts';
import { BIN_NAME_PREFIX, BinLayout, generationOf, generationOfPrefix } from './bins.ts';
import type { DelegatedRole, Targets } from './metadata.ts';
import { MAX_TARGET_DEPTH } from './target-path.ts';
import type { RoleTrust } from './threshold.ts';

/** How `bins` names its bins: TAP 15, or one delegation with path_hash_prefixes for each (needed by tough). */
export const DELEGATION_FORMATS = ['succinct', 'prefixes'] as const;
export type DelegationFormat = (typeof DELEGATION_FORMATS)[number];

/** The `paths` of the delegation to `bins`: every target path of up to MAX_TARGET_DEPTH segments. */
export function binsPathPatterns(): string[] {
  return Array.from({ length: MAX_TARGET_DEPTH }, (_, index) =>
    Array(index + 1)
      .fill('*')
      .join('/'),
  );
}

/** The delegation to all bins. */
export interface BinsTrust extends RoleTrust {
  readonly layout: BinLayout;
  readonly format: DelegationFormat;
}

function refuse(problem: string): CountersignError {
  return new CountersignError('metadata-invalid', problem);
}

/**
 * Who may sign `bins`, as `targets` says.
 * @throws CountersignError `metadata-invalid` when `targets` does anything but delegate to `bins`.
 */
export function binsTrust(targets: Targets): RoleTrust {
  if (targets.targets.size > 0)
    throw refuse('targets lists target files, expected a delegation to bins only');
  const roles = targets.delegations?.roles ?? [];
  const role = roles[0];
  if (targets.delegations === undefined || role?.name !== 'bins' || roles.length !== 1) {
    throw refuse('targets does not delegate to exactly one role, bins');
  }
  return { keys: targets.delegations.keys, keyids: role.keyids, threshold: role.threshold };
}

/**
 * Checks that the delegation to `bins` reaches every path of up to MAX_TARGET_DEPTH segments.
 * @throws CountersignError `metadata-invalid` that names the first pattern that is missing.
 */
export function checkBinsReach(targets: Targets): void {
  const role = targets.delegations?.roles?.[0];
  const prefixes = new Set(role?.path_hash_prefixes);
  // Written as prefixes, the whole hash space is the sixteen hex digits.
  if (prefixes.size === 16 && [...prefixes].every((prefix) => prefix.length === 1)) return;
  const patterns = new Set(role?.paths);
  const missing = binsPathPatterns().find((pattern) => !patterns.has(pattern));
  if (missing !== undefined) throw refuse(`targets does not delegate the paths ${missing} to bins`);
}

/**
 * Who may sign the bin-n roles, as `bins` says: all bins of one layout, with the same keys.
 * @throws CountersignError `metadata-invalid` when `bins` does anything else; names the first delegation that is off.
 */
export function binTrust(bins: Targets): BinsTrust {
  if (bins.targets.size > 0) throw refuse('bins lists target files, expected delegations only');
  const { delegations } = bins;
  if (delegations?.succinct_roles !== undefined) {
    const { bit_length, name_prefix, keyids, threshold } = delegations.succinct_roles;
    const generation = generationOfPrefix(name_prefix);
    if (generation === undefined) {
      throw refuse(
        `bins delegates to the name prefix ${name_prefix}, expected ${BIN_NAME_PREFIX}, or ${BIN_NAME_PREFIX}2 and so on`,
      );
    }
    return {
      keys: delegations.keys,
      keyids,
      threshold,
      layout: new BinLayout(2 ** bit_length, generation),
      format: 'succinct',
    };
  }
  const roles = delegations?.roles ?? [];
  const first = roles[0];
  if (delegations === undefined || first === undefined) throw refuse('bins delegates to no role');
  const layout = new BinLayout(roles.length, generationOf(first.name));
  roles.forEach((role, index) => {
    checkPrefixRole(role, first, layout, index);
  });
  const { keyids, threshold } = first;
  return { keys: delegations.keys, keyids, threshold, layout, format: 'prefixes' };
}

function checkPrefixRole(role: DelegatedRole, first: DelegatedRole, layout: BinLayout, index: number): void {
  const bin = layout.first + index;
  const name = layout.name(bin);
  if (role.name !== name) throw refuse(`bins delegates to ${role.name} at ${index}, expected ${name}`);
  if (!role.terminating) throw refuse(`the delegation from bins to ${name} is not terminating`);
  if (!sameList(role.path_hash_prefixes ?? [], layout.hashPrefixes(bin))) {
    throw refuse(`the delegation from bins to ${name} has not the hash prefixes of this bin`);
  }
  if (role.threshold !== first.threshold || !sameList(role.keyids, first.keyids)) {
    throw refuse(`the delegation from bins to ${name} has other keys than that to ${first.name}`);
  }
}

function sameList(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.every((item, index) => item === b[index]);
}
