// The shapes of TUF metadata (specification section 4) as countersign writes them. Snapshot and bin-n files have
// linear documents of their own (snapshot-document.ts, bin-document.ts): these types describe the small roles.

/** The specification version that every file names. TUF 4.3: clients accept the same major version. */
export const SPEC_VERSION = '1.0.31';

export type Json = null | boolean | number | string | readonly Json[] | JsonObject;
export interface JsonObject {
  readonly [key: string]: Json;
}

/** TUF 4.2: a public key as it stands in root and in delegations. */
export interface PublicKey {
  readonly keytype: 'ed25519' | 'ecdsa' | 'rsa';
  readonly scheme: 'ed25519' | 'ecdsa-sha2-nistp256' | 'ecdsa-sha2-nistp384' | 'rsassa-pss-sha256';
  /** Ed25519: 64 lower-case hex digits. ECDSA and RSA: PEM (SubjectPublicKeyInfo). */
  readonly keyval: { readonly public: string };
}

export interface Signature {
  readonly keyid: string;
  /** Lower-case hex. */
  readonly sig: string;
}

export interface RoleKeys {
  readonly keyids: readonly string[];
  readonly threshold: number;
}

export type TopLevelRole = 'root' | 'timestamp' | 'snapshot' | 'targets';

export interface Root {
  readonly _type: 'root';
  readonly spec_version: string;
  readonly consistent_snapshot: true;
  readonly version: number;
  /** `YYYY-MM-DDTHH:MM:SSZ`, no fraction: python-tuf refuses one (interop rule 2). */
  readonly expires: string;
  readonly keys: ReadonlyMap<string, PublicKey>;
  readonly roles: Readonly<Record<TopLevelRole, RoleKeys>>;
}

/** A target file as a bin lists it. Exactly one hash, sha256: go-tuf picks a random one of several (interop rule 4). */
export interface TargetFile {
  /** Bytes, at least 1: no client accepts 0 everywhere (interop rule 13). */
  readonly length: number;
  readonly hashes: { readonly sha256: string };
  readonly custom?: JsonObject;
}

/** TAP 15. */
export interface SuccinctRoles extends RoleKeys {
  readonly bit_length: number;
  readonly name_prefix: string;
}

export interface DelegatedRole extends RoleKeys {
  readonly name: string;
  readonly terminating: boolean;
  readonly paths?: readonly string[];
  readonly path_hash_prefixes?: readonly string[];
}

export interface Delegations {
  readonly keys: ReadonlyMap<string, PublicKey>;
  /** Exactly one of the two is present. */
  readonly roles?: readonly DelegatedRole[];
  readonly succinct_roles?: SuccinctRoles;
}

export interface Targets {
  readonly _type: 'targets';
  readonly spec_version: string;
  readonly version: number;
  readonly expires: string;
  readonly targets: ReadonlyMap<string, TargetFile>;
  readonly delegations?: Delegations;
}

export interface SnapshotReference {
  readonly version: number;
  readonly length: number;
  readonly hashes: { readonly sha256: string };
}

export interface Timestamp {
  readonly _type: 'timestamp';
  readonly spec_version: string;
  readonly version: number;
  readonly expires: string;
  readonly meta: { readonly 'snapshot.json': SnapshotReference };
}
