// Every name in the store, and back (docs/storage-layout.md). No other module formats or parses one.

export const TIMESTAMP_NAME = 'metadata/timestamp.json';
/** How long superseded metadata stay readable: retention-promise.ts. */
export const RETENTION_NAME = 'metadata/retention.json';
export const METADATA_PREFIX = 'metadata/';
export const TARGETS_PREFIX = 'targets/';
/** What "countersign backsign" has sorted, until it is published: src/backsign/staging.ts. */
export const STAGING_PREFIX = 'backsign/';

/** `metadata/7.snapshot.json`. TUF 6.2: consistent snapshots put the version before the role name. */
export function versionedName(role: string, version: number): string {
  return `${METADATA_PREFIX}${version}.${role}.json`;
}

/** `backsign/DIGEST/17`. */
export function stagedName(digest: string, part: string): string {
  return `${STAGING_PREFIX}${digest}/${part}`;
}

/** What a staged name says; undefined for any other name. `begunAt`: when a run began to stage, milliseconds. */
export function parseStagedName(name: string): { digest: string; begunAt?: number } | undefined {
  const [, digest, , begun] =
    /^backsign\/([0-9a-f]{64})\/(index|[0-9]+|begun-([0-9]{1,15}))$/.exec(name) ?? [];
  if (digest === undefined) return undefined;
  return { digest, ...(begun === undefined ? {} : { begunAt: Number(begun) }) };
}

export interface VersionedName {
  readonly role: string;
  readonly version: number;
}

/** The role and version that a store name speaks of, or undefined for any other name. */
export function parseVersionedName(name: string): VersionedName | undefined {
  const match = /^metadata\/([1-9]\d{0,14})\.([a-z][a-z0-9-]*)\.json$/.exec(name);
  if (match?.[1] === undefined || match[2] === undefined) return undefined;
  return { role: match[2], version: Number(match[1]) };
}

/**
 * The path under which a client asks for a target file: `dir/HASH.file` (python-tuf, tuf-js, go-tuf; interop rule 10).
 */
export function hashedTargetPath(path: string, sha256: string): string {
  const slash = path.lastIndexOf('/') + 1;
  return `${path.slice(0, slash)}${sha256}.${path.slice(slash)}`;
}

/** Where the store keeps a target file that this service made itself: `targets/dir/HASH.file`. */
export function targetObjectName(path: string, sha256: string): string {
  return `${TARGETS_PREFIX}${hashedTargetPath(path, sha256)}`;
}

export interface HashedTarget {
  readonly path: string;
  readonly sha256: string;
}

/** The target path and hash in `dir/HASH.file`, or undefined when the name has no hash. */
export function parseHashedTargetPath(name: string): HashedTarget | undefined {
  const slash = name.lastIndexOf('/') + 1;
  const match = /^([0-9a-f]{64})\.(.+)$/s.exec(name.slice(slash));
  if (match?.[1] === undefined || match[2] === undefined) return undefined;
  return { path: name.slice(0, slash) + match[2], sha256: match[1] };
}

/**
 * What a client may mean by the name of a target file: `dir/HASH.file`, or `HASH.dir/file` as tough asks, which puts the
 * hash before the whole path (interop rule 10). A name can be read in both ways; only a path that exists has the hash.
 */
export function askedTargets(name: string): HashedTarget[] {
  const usual = parseHashedTargetPath(name);
  const whole = /^([0-9a-f]{64})\.(.+\/.+)$/s.exec(name);
  return [
    ...(usual === undefined ? [] : [usual]),
    ...(whole?.[1] === undefined || whole[2] === undefined ? [] : [{ path: whole[2], sha256: whole[1] }]),
  ];
}
