// Snapshot as a client reads it (TUF 4.4): countersign's own form without building an object for each of its 16,384
// bins (1 ms instead of 40), any other form through JSON.
import { CountersignError, hasCode } from '../../lib/errors.ts';
import type { MetadataFile } from '../../tuf/metadata-file.ts';
import { asMap, field } from '../../tuf/shape.ts';
import { SnapshotDocument } from '../../tuf/snapshot-document.ts';
import { readFileReference, type FileReference } from './file-reference.ts';
import { splitOwnFile } from './own-file.ts';
import { placeOf, readRoleFile, type RoleFile } from './role-file.ts';

export interface SnapshotFile extends RoleFile {
  /** What snapshot says about a targets role; undefined when it does not list it. */
  reference(role: string): FileReference | undefined;
  /** Every role with its version. */
  versions(): Iterable<readonly [role: string, version: number]>;
  /** Set when the file is in countersign's own form. */
  readonly document?: SnapshotDocument;
}

/**
 * The signed part and the signatures of a file that may be in the own form, which is canonical byte for byte: they can be
 * verified before the rest is read. Undefined for any other form.
 */
export function ownSignedPart(bytes: Uint8Array): MetadataFile | undefined {
  try {
    return splitOwnFile(bytes);
  } catch (error) {
    if (!hasCode(error, 'metadata-invalid')) throw error;
    return undefined;
  }
}

/**
 * @param own `ownSignedPart` of the same bytes: the `signedBytes` of a file that is in the own form are its `signed`.
 * @throws CountersignError `metadata-invalid`.
 */
export function readSnapshot(bytes: Uint8Array, own = ownSignedPart(bytes)): SnapshotFile {
  if (own === undefined) return readAnyForm(bytes);
  try {
    return readOwnForm(own);
  } catch (error) {
    if (!hasCode(error, 'metadata-invalid')) throw error;
    return readAnyForm(bytes);
  }
}

function readOwnForm({ signed, signatures }: MetadataFile): SnapshotFile {
  const document = SnapshotDocument.parse(signed);
  const { targetsVersion, binsVersion } = document;
  const versionOf = (role: string): number | undefined => {
    if (role === 'targets') return targetsVersion;
    if (role === 'bins') return binsVersion;
    const bin = document.parseName(role);
    return bin === undefined ? undefined : document.versionOf(bin);
  };
  return {
    version: document.version,
    expires: Date.parse(document.expires),
    signedBytes: signed,
    signatures,
    document,
    reference: (role) => {
      const version = versionOf(role);
      return version === undefined ? undefined : { version };
    },
    *versions() {
      yield ['targets', targetsVersion];
      yield ['bins', binsVersion];
      for (const layout of document.layouts) {
        for (let bin = document.firstListed(layout); layout.has(bin); bin++) {
          yield [layout.name(bin), document.versionOf(bin)];
        }
      }
    },
  };
}

function readAnyForm(bytes: Uint8Array): SnapshotFile {
  const { signed, ...file } = readRoleFile('snapshot', 'snapshot', bytes);
  const place = field(signed, 'snapshot', 'meta');
  const references = new Map<string, FileReference>();
  for (const [name, value] of asMap(place)) {
    const where = `${place.where}.${placeOf(name)}`;
    // TUF 4.4: METAPATH is the role's name with ".json".
    if (name.endsWith('.json')) references.set(name.slice(0, -5), readFileReference({ value, where }));
  }
  return {
    ...file,
    reference: (role) => references.get(role),
    *versions() {
      for (const [role, { version }] of references) yield [role, version];
    },
  };
}

/**
 * TUF 5.5.5: no role goes back and none leaves the snapshot. (The version of the snapshot itself: 5.4.3.2.)
 * @throws CountersignError `version-rollback`.
 */
export function checkSnapshotFollows(next: SnapshotFile, trusted: SnapshotFile): void {
  const ours = trusted.document;
  const theirs = next.document;
  if (ours !== undefined && theirs !== undefined && followsInOwnForm(theirs, ours)) return;
  for (const [role, version] of trusted.versions()) {
    const now = next.reference(role)?.version;
    if (now === undefined) {
      throw new CountersignError(
        'version-rollback',
        `role ${placeOf(role)} has left the snapshot, the trusted one lists version ${version}`,
      );
    }
    checkNotBelow(`${placeOf(role)} in snapshot`, now, version);
  }
}

/** In a millisecond; what is wrong is for the slow way to say. */
function followsInOwnForm(next: SnapshotDocument, trusted: SnapshotDocument): boolean {
  if (next.targetsVersion < trusted.targetsVersion || next.binsVersion < trusted.binsVersion) return false;
  return trusted.layouts.every((layout) => {
    let bin = trusted.firstListed(layout);
    if (next.firstListed(layout) > bin) return false;
    while (layout.has(bin) && next.versionOf(bin) >= trusted.versionOf(bin)) bin++;
    return !layout.has(bin);
  });
}

/** @throws CountersignError `version-rollback`. */
export function checkNotBelow(what: string, next: number, trusted: number): void {
  if (next >= trusted) return;
  throw new CountersignError(
    'version-rollback',
    `version ${next} of ${what} is below the trusted ${trusted}`,
  );
}
