// What the mirror trusts, kept by the client's own workflow, and beside it every root on the way: clients that come with
// an old one need all of them, for ever (interop rule 9).
import { equalBytes } from '../../lib/bytes.ts';
import { CountersignError, hasCode } from '../../lib/errors.ts';
import { MAX_METADATA_BYTES } from '../../tuf/metadata-limits.ts';
import type { MetadataStore } from '../metadata-store.ts';
import { checkThreshold } from '../roles/role-keys.ts';
import { readRoot, type RootFile } from '../roles/root-file.ts';
import { Updater } from '../updater.ts';
import { checkVersion, verifyTrustedRoot } from '../verified-roles.ts';
import type { Upstream } from './upstream.ts';

export class RootArchive implements MetadataStore {
  readonly #store: MetadataStore;

  constructor(store: MetadataStore) {
    this.#store = store;
  }

  /** Takes the operator's root into an empty store. */
  async init(rootBytes: Uint8Array): Promise<void> {
    if ((await this.#store.read('root.json')) !== undefined) return;
    const { version } = await verifyTrustedRoot(rootBytes);
    await this.#store.keep(`${version}.root.json`, rootBytes);
    await Updater.init(this.#store, rootBytes);
  }

  read(name: string): Promise<Uint8Array | undefined> {
    return this.#store.read(name);
  }

  async exchange(
    name: string,
    expected: Uint8Array | undefined,
    next: Uint8Array | undefined,
  ): Promise<void> {
    // Before it is trusted: a root that is trusted and not archived would be a gap that nothing fills.
    if (name === 'root.json' && next !== undefined) {
      await this.#store.keep(`${readRoot(next).version}.root.json`, next);
    }
    await this.#store.exchange(name, expected, next);
  }

  keep(name: string, bytes: Uint8Array): Promise<void> {
    return this.#store.keep(name, bytes);
  }

  /**
   * All roots from version 1 to the trusted one, where upstream still has the older ones, ascending. The operator's
   * root must be among them.
   * @throws CountersignError `mirror-refused` when it is not, or is newer than what upstream leads to.
   */
  async roots(upstream: Upstream, given: Uint8Array): Promise<{ version: number; bytes: Uint8Array }[]> {
    const trusted = await this.#store.read('root.json');
    if (trusted === undefined) throw new CountersignError('metadata-missing', 'no root is trusted yet');
    let { version } = readRoot(trusted);
    const wanted = readRoot(given).version;
    if (wanted > version) {
      throw new CountersignError(
        'mirror-refused',
        `the given root has version ${wanted}, the repository leads to version ${version} only`,
      );
    }
    const roots = [{ version, bytes: trusted }];
    for (let newer = readRoot(trusted); version > 1;) {
      version -= 1;
      const older = await this.#older(upstream, version, newer);
      if (older === undefined) break;
      roots.unshift({ version, bytes: older.bytes });
      newer = older.root;
    }
    const same = roots.find((root) => root.version === wanted);
    if (same !== undefined && equalBytes(same.bytes, given)) return roots;
    throw new CountersignError(
      'mirror-refused',
      `the given root of version ${wanted} is not the one that this mirror began with: another repository, or another directory`,
    );
  }

  /** The root of `version`, verified by the one that followed it. */
  async #older(
    upstream: Upstream,
    version: number,
    newer: RootFile,
  ): Promise<{ root: RootFile; bytes: Uint8Array } | undefined> {
    const name = `${version}.root.json`;
    const kept = await this.#store.read(name);
    try {
      if (kept !== undefined) return { root: await verifyOlder(kept, version, newer), bytes: kept };
    } catch (error) {
      // A power cut may leave it empty: as good as absent.
      if (!hasCode(error, 'metadata-invalid', 'signature-invalid')) throw error;
    }
    try {
      const bytes = await upstream.metadata(name, MAX_METADATA_BYTES.root);
      if (bytes === undefined) return undefined;
      const root = await verifyOlder(bytes, version, newer);
      await this.#store.keep(name, bytes);
      return { root, bytes };
    } catch (error) {
      if (hasCode(error, 'metadata-too-large')) return undefined;
      throw error;
    }
  }
}

/**
 * The root before `newer`, by its version.
 * @throws CountersignError `metadata-invalid`, `signature-invalid`.
 */
export async function verifyOlder(bytes: Uint8Array, version: number, newer: RootFile): Promise<RootFile> {
  const root = readRoot(bytes);
  checkVersion('root', root.version, version);
  // TUF 5.3.4, looked at from the other side: the newer one is signed by this one.
  await checkThreshold('root', root.trust.root, newer);
  await checkThreshold('root', root.trust.root, root);
  return root;
}
