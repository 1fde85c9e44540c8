// What is in the store, by role: names alone, no content.
import {
  METADATA_PREFIX,
  parseHashedTargetPath,
  parseStagedName,
  parseVersionedName,
  RETENTION_NAME,
  TIMESTAMP_NAME,
  versionedName,
} from '../../tuf/layout.ts';
import { generationOf } from '../../tuf/bins.ts';
import type { SnapshotDocument } from '../../tuf/snapshot-document.ts';
import type { RepositorySource } from '../source.ts';
import type { Findings } from './findings.ts';

const TARGETS_PREFIX = 'targets/';

export class Listing {
  readonly #versions = new Map<string, Set<number>>();

  /** Undefined when the source cannot list. Names that mean nothing are findings. */
  static async read(source: RepositorySource, findings: Findings): Promise<Listing | undefined> {
    if (source.list === undefined) return undefined;
    const listing = new Listing();
    for await (const { name } of source.list('')) {
      if (name.startsWith(TARGETS_PREFIX)) {
        if (parseHashedTargetPath(name) === undefined) {
          findings.add('interop-10', name, 'has no hash before the file name');
        }
        continue;
      }
      // No client reads it, and whoever signs it compares it with the order in the ledger.
      if (parseStagedName(name) !== undefined) continue;
      const parsed = parseVersionedName(name);
      if (parsed !== undefined) listing.#add(parsed.role, parsed.version);
      else if (name !== TIMESTAMP_NAME && name !== RETENTION_NAME) {
        findings.add('storage-unknown-name', name, `is no object of a repository (${METADATA_PREFIX}…)`);
      }
    }
    return listing;
  }

  #add(role: string, version: number): void {
    const versions = this.#versions.get(role) ?? new Set();
    this.#versions.set(role, versions.add(version));
  }

  has(role: string, version: number): boolean {
    return this.#versions.get(role)?.has(version) ?? false;
  }

  /** Ascending. */
  versions(role: string): number[] {
    return [...(this.#versions.get(role) ?? [])].sort((a, b) => a - b);
  }

  /**
   * Unknown roles, and objects further ahead than a publication in progress can be. `slack`: publications that were
   * completed while the store was being listed.
   */
  check(findings: Findings, current: SnapshotDocument, slack: number): void {
    for (const [role, versions] of this.#versions) {
      const version = currentVersion(role, current);
      for (const each of versions) {
        const name = versionedName(role, each);
        if (version === undefined) {
          findings.add('storage-unknown-name', name, `snapshot ${current.version} has no role ${role}`);
        } else if (each > version + slack + 1) {
          findings.add(
            'storage-ahead',
            name,
            `is more than one publication ahead of version ${version}, which is current`,
          );
        }
      }
    }
  }
}

function currentVersion(role: string, snapshot: SnapshotDocument): number | undefined {
  switch (role) {
    case 'root':
      // Clients follow every root that is there: none is ahead.
      return Number.MAX_SAFE_INTEGER;
    case 'targets':
      return snapshot.targetsVersion;
    case 'bins':
      return snapshot.binsVersion;
    case 'snapshot':
      return snapshot.version;
    default: {
      const bin = snapshot.parseName(role);
      if (bin !== undefined) return snapshot.versionOf(bin);
      const generation = generationOf(role) ?? snapshot.layout.generation;
      if (generation === snapshot.layout.generation) return undefined;
      // The first bins of a layout that is to come may be written, and their snapshot not yet. Names of a former one
      // may have left the snapshot, and their files not yet the store.
      return generation > snapshot.layout.generation ? 0 : Number.MAX_SAFE_INTEGER;
    }
  }
}
