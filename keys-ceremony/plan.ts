// The plan of a ceremony, parsed: what shall be after it. parse-plan.ts reads it out of plan.yaml, lint rules judge it.
import type { DelegationFormat } from '../src/tuf/delegations.ts';

export const PLAN_FORMAT = 'countersign-plan/1';

/** Names of ceremonies and holders: they stand in file names and are read out. */
export const PLAN_NAME = /^[a-z0-9](?:[a-z0-9-]{0,62}[a-z0-9])?$/;

export const CEREMONY_KINDS = ['genesis', 'update'] as const;
export type CeremonyKind = (typeof CEREMONY_KINDS)[number];

/**
 * Kinds of keys that not every TUF client can read, and that a plan may allow to sign offline roles all the same. There
 * is one: for holders whose policy asks for it, and repositories whose clients can read it.
 */
export const UNUSUAL_ALGORITHMS = ['ecdsa-p384'] as const;
export type UnusualAlgorithm = (typeof UNUSUAL_ALGORITHMS)[number];

/** A root key holder; the key file stands in the ceremony's folder. */
export interface PlannedHolder {
  readonly name: string;
  /** Relative to the folder, `holders/NAME.pub.json`. */
  readonly keyFile: string;
}

export interface PlannedRoot {
  readonly threshold: number;
  /** Milliseconds after the date of the ceremony. */
  readonly lifetimeMs: number;
  /** Names of the holders whose keys sign root. */
  readonly holders: readonly string[];
}

/** Who signs targets or bins: keys that exist for this ceremony only (all of them sign), or keys of holders. */
export type PlannedSigners =
  | { readonly use: 'one-time'; readonly keys: number }
  | { readonly use: 'holders'; readonly holders: readonly string[]; readonly threshold: number };

interface PlannedRole {
  readonly signers: PlannedSigners;
  /** Milliseconds after the date of the ceremony. */
  readonly lifetimeMs: number;
}

export interface PlannedTargets extends PlannedRole {
  /** Whether root names the keys that signed the targets before for one more generation, so that no client fails. */
  readonly overlap: boolean;
}

export interface PlannedBins extends PlannedRole {
  readonly count: number;
  readonly format: DelegationFormat;
}

export interface Plan {
  readonly ceremony: string;
  readonly kind: CeremonyKind;
  /** One or more sentences. */
  readonly why: string;
  /** Milliseconds since the epoch: the time from which every lifetime counts. */
  readonly date: number;
  /** Milliseconds since the epoch: when the key holders mean to meet again. */
  readonly nextCeremony: number;
  /** In the order of the plan; at least one, unless root stays as it is. */
  readonly holders: readonly PlannedHolder[];
  /** `keep`: the file of the ceremony before stays in use. */
  readonly root: PlannedRoot | 'keep';
  readonly targets: PlannedTargets | 'keep';
  readonly bins: PlannedBins | 'keep';
  /** Files with public keys, relative to the folder: one key, or two while the service changes from one to another. */
  readonly online: readonly string[];
  readonly allowAlgorithms: readonly UnusualAlgorithm[];
}
