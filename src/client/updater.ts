// The client workflow (TUF 5, PEP 458 "How clients use the metadata"), with I/O: what to ask for, in which order, and
// what to keep. The checks themselves are in verified-roles.ts. A step that fails changes nothing of what was kept.
import type { Clock } from '../lib/clock.ts';
import { CountersignError, hasCode } from '../lib/errors.ts';
import { bytesToRead, MAX_METADATA_BYTES, MAX_ROOT_ROTATIONS } from '../tuf/metadata-limits.ts';
import { searchTarget } from './delegation-search.ts';
import { fetchWhole, type Fetcher } from './fetcher.ts';
import type { MetadataStore } from './metadata-store.ts';
import { quoteName } from './quoted-name.ts';
import { RoleCache } from './role-cache.ts';
import { checkReferencedBytes, type FileReference } from './roles/file-reference.ts';
import { placeOf } from './roles/role-file.ts';
import { checkThreshold, type RoleTrust } from './roles/role-keys.ts';
import type { RootFile } from './roles/root-file.ts';
import type { SnapshotFile } from './roles/snapshot-file.ts';
import type { Target, TargetsFile } from './roles/targets-file.ts';
import type { TimestampFile } from './roles/timestamp-file.ts';
import {
  checkNotExpired,
  isNewer,
  revokesOnlineKeys,
  verifyNextRoot,
  verifySnapshot,
  verifyStoredSnapshot,
  verifyTargets,
  verifyTimestamp,
  verifyTrustedRoot,
} from './verified-roles.ts';

export interface UpdaterPorts {
  readonly store: MetadataStore;
  readonly fetcher: Fetcher;
  readonly clock: Clock;
  /** Where `timestamp.json` is, with or without a final slash. */
  readonly metadataUrl: string;
}

/** The versions that are trusted after an update. */
export interface TrustedVersions {
  readonly root: number;
  readonly timestamp: number;
  readonly snapshot: number;
  readonly targets: number;
}

/** What one update has established; never changes. */
interface Trusted {
  /** Milliseconds since the epoch. TUF 5.1: fixed for everything in this update. */
  readonly now: number;
  readonly root: RootFile;
  readonly timestamp: TimestampFile;
  readonly snapshot: SnapshotFile;
  readonly targets: TargetsFile;
}

/** Bytes of delegated roles in memory. */
const CACHE_BYTES = 64 * 1024 * 1024;

/** How often an update starts again because another process has updated the same store meanwhile. */
const MAX_ATTEMPTS = 4;

export class Updater {
  readonly #ports: UpdaterPorts;
  readonly #base: string;
  readonly #cache = new RoleCache(CACHE_BYTES);
  #trusted: Trusted | undefined;
  #running: Promise<Trusted> | undefined;

  constructor(ports: UpdaterPorts) {
    this.#ports = ports;
    this.#base = ports.metadataUrl.endsWith('/') ? ports.metadataUrl : `${ports.metadataUrl}/`;
  }

  /**
   * Takes the root that came with the client (TUF 5.2) into an empty store; no request is made. The same root again
   * changes nothing.
   * @throws CountersignError `metadata-invalid`, `signature-invalid`; `file-exists` when the store trusts another root.
   */
  static async init(store: MetadataStore, rootBytes: Uint8Array): Promise<{ readonly root: number }> {
    const { version } = await verifyTrustedRoot(rootBytes);
    try {
      await store.exchange('root.json', undefined, rootBytes);
    } catch (error) {
      if (!hasCode(error, 'store-conflict')) throw error;
      throw new CountersignError('file-exists', 'there is a trusted root already, with other content', {
        cause: error,
      });
    }
    return { root: version };
  }

  /**
   * Updates root, timestamp, snapshot and targets: TUF 5.1 to 5.6.6. Calls at the same time share one update.
   * @throws CountersignError `metadata-missing`, `metadata-invalid`, `metadata-too-large`, `metadata-expired`,
   *   `signature-invalid`, `version-rollback`, `length-or-hash-mismatch`; `store-unavailable`, `store-conflict`.
   */
  async refresh(): Promise<TrustedVersions> {
    this.#running ??= this.#updateAgain().finally(() => {
      this.#running = undefined;
    });
    this.#trusted = await this.#running;
    const { root, timestamp, snapshot, targets } = this.#trusted;
    return {
      root: root.version,
      timestamp: timestamp.version,
      snapshot: snapshot.version,
      targets: targets.version,
    };
  }

  /**
   * What signed metadata says about a target path, as of the last refresh (of the first one now, when there was none):
   * TUF 5.6.7. Undefined when no role knows it (TUF 5.7.2).
   * @throws CountersignError as `refresh` does, and `too-many-delegations`.
   */
  async find(path: string): Promise<Target | undefined> {
    if (this.#trusted === undefined) await this.refresh();
    const trusted = this.#have();
    return searchTarget(path, trusted.targets, ({ role, trust }) => this.#targetsRole(trusted, role, trust));
  }

  /** Whether target files carry their hash in their name (TUF 5.7.3), as the trusted root says. */
  get consistentSnapshot(): boolean {
    return this.#have().root.consistentSnapshot;
  }

  /** When the first of the top-level roles expires, milliseconds since the epoch: what was refreshed is trusted until then. */
  get expires(): number {
    const { root, timestamp, snapshot, targets } = this.#have();
    return Math.min(root.expires, timestamp.expires, snapshot.expires, targets.expires);
  }

  #have(): Trusted {
    if (this.#trusted !== undefined) return this.#trusted;
    throw new CountersignError('internal', 'nothing is trusted before the first refresh');
  }

  async #updateAgain(): Promise<Trusted> {
    for (let attempt = 1; ; attempt++) {
      try {
        return await this.#update();
      } catch (error) {
        if (attempt === MAX_ATTEMPTS || !hasCode(error, 'store-conflict')) throw error;
      }
    }
  }

  async #update(): Promise<Trusted> {
    const now = this.#ports.clock.now(); // TUF 5.1
    const root = await this.#updateRoot(now);
    const timestamp = await this.#updateTimestamp(root, now);
    const snapshot = await this.#updateSnapshot(root, timestamp, now);
    const targets = await this.#targetsRole({ now, root, snapshot }, 'targets', root.trust.targets);
    return { now, root, timestamp, snapshot, targets };
  }

  /** TUF 5.3.1: every root from the trusted one to the newest, since each is signed with the keys of the one before. */
  async #updateRoot(now: number): Promise<RootFile> {
    const { store } = this.#ports;
    let bytes = await store.read('root.json');
    if (bytes === undefined) {
      throw new CountersignError(
        'metadata-missing',
        'there is no trusted root.json, the client is not initialised',
      );
    }
    let root = await verifyTrustedRoot(bytes); // TUF 5.2
    // TUF 5.3.9
    for (let rotations = 0; rotations < MAX_ROOT_ROTATIONS; rotations++) {
      const name = `${root.version + 1}.root.json`; // TUF 5.3.2
      const nextBytes = await this.#fetch(name, MAX_METADATA_BYTES.root); // TUF 5.3.3
      if (nextBytes === undefined) break;
      const next = await verifyNextRoot(root, nextBytes); // TUF 5.3.6: it may have expired, the last one must not
      // TUF 5.3.11. Before root is kept: after a crash in between, the next update comes here again.
      if (revokesOnlineKeys(root, next)) {
        for (const file of ['timestamp.json', 'snapshot.json']) {
          await store.exchange(file, await store.read(file), undefined);
        }
      }
      await store.exchange('root.json', bytes, nextBytes); // TUF 5.3.8
      root = next; // TUF 5.3.7
      bytes = nextBytes;
    }
    checkNotExpired('root', root, now); // TUF 5.3.10
    return root;
  }

  /** TUF 5.4 */
  async #updateTimestamp(root: RootFile, now: number): Promise<TimestampFile> {
    const { store } = this.#ports;
    const stored = await store.read('timestamp.json');
    const trusted = stored && (await ifSound(() => verifyTimestamp(root, stored)));
    const bytes = await this.#need('timestamp.json', MAX_METADATA_BYTES.timestamp); // TUF 5.4.1
    const next = await verifyTimestamp(root, bytes); // TUF 5.4.2
    if (trusted !== undefined && !isNewer(next, trusted)) {
      checkNotExpired('timestamp', trusted, now);
      return trusted;
    }
    checkNotExpired('timestamp', next, now); // TUF 5.4.4
    await store.exchange('timestamp.json', stored, bytes); // TUF 5.4.5
    return next;
  }

  /** TUF 5.5 */
  async #updateSnapshot(root: RootFile, timestamp: TimestampFile, now: number): Promise<SnapshotFile> {
    const { store } = this.#ports;
    const reference = timestamp.snapshot;
    const stored = await store.read('snapshot.json');
    const trusted = stored && (await ifSound(() => verifyStoredSnapshot(root, stored)));
    if (stored !== undefined && trusted?.version === reference.version && isReferenced(stored, reference)) {
      checkNotExpired('snapshot', trusted, now);
      return trusted;
    }
    const name = this.#fileName(root, 'snapshot', reference.version);
    const bytes = await this.#need(name, bytesToRead('snapshot', reference.length)); // TUF 5.5.1
    const next = await verifySnapshot(root, reference, bytes, trusted);
    checkNotExpired('snapshot', next, now); // TUF 5.5.6
    await store.exchange('snapshot.json', stored, bytes); // TUF 5.5.7
    return next;
  }

  /** TUF 5.6, for targets and for every role that is delegated to. */
  async #targetsRole(
    { now, root, snapshot }: Pick<Trusted, 'now' | 'root' | 'snapshot'>,
    role: string,
    trust: RoleTrust,
  ): Promise<TargetsFile> {
    const reference = snapshot.reference(role);
    if (reference === undefined) {
      throw new CountersignError('metadata-invalid', `role ${placeOf(role)} is not in the snapshot`);
    }
    const file =
      (await this.#remembered(role, trust, reference)) ??
      (await this.#stored(role, trust, reference, now)) ??
      (await this.#fetched(root, role, trust, reference, now));
    checkNotExpired(role, file, now); // TUF 5.6.5
    return file;
  }

  async #remembered(
    role: string,
    trust: RoleTrust,
    reference: FileReference,
  ): Promise<TargetsFile | undefined> {
    const cached = this.#cache.get(role);
    if (cached?.file.version !== reference.version || !isReferenced(cached.bytes, reference))
      return undefined;
    if (!cached.verifiedUnder.has(trust)) {
      await checkThreshold(role, trust, cached.file);
      cached.verifiedUnder.add(trust);
    }
    return cached.file;
  }

  async #stored(
    role: string,
    trust: RoleTrust,
    reference: FileReference,
    now: number,
  ): Promise<TargetsFile | undefined> {
    const bytes = await this.#ports.store.read(localName(role));
    const file = bytes && (await ifSound(() => verifyTargets(role, trust, reference, bytes)));
    // Without consistent snapshots another file may stand under this version meanwhile: only a fresh one is enough.
    if (bytes === undefined || file === undefined || now >= file.expires) return undefined;
    this.#cache.set(role, { bytes, file, verifiedUnder: new WeakSet([trust]) });
    return file;
  }

  async #fetched(
    root: RootFile,
    role: string,
    trust: RoleTrust,
    reference: FileReference,
    now: number,
  ): Promise<TargetsFile> {
    const name = this.#fileName(root, role, reference.version);
    const bytes = await this.#need(name, bytesToRead('targets', reference.length)); // TUF 5.6.1
    const file = await verifyTargets(role, trust, reference, bytes);
    checkNotExpired(role, file, now);
    await this.#ports.store.keep(localName(role), bytes); // TUF 5.6.6
    this.#cache.set(role, { bytes, file, verifiedUnder: new WeakSet([trust]) });
    return file;
  }

  /** TUF 5.3.12, 5.5.1, 5.6.1: with consistent snapshots the version stands before the name. */
  #fileName(root: RootFile, role: string, version: number): string {
    return root.consistentSnapshot ? `${version}.${localName(role)}` : localName(role);
  }

  #fetch(name: string, maxBytes: number): Promise<Uint8Array | undefined> {
    return fetchWhole(this.#ports.fetcher, `${this.#base}${name}`, maxBytes);
  }

  async #need(name: string, maxBytes: number): Promise<Uint8Array> {
    const bytes = await this.#fetch(name, maxBytes);
    if (bytes !== undefined) return bytes;
    throw new CountersignError('metadata-missing', `${this.#base}${name} does not exist`);
  }
}

/** One component, whatever the role is called: no name leaves the directory, and none is read as a query. */
function localName(role: string): string {
  return `${quoteName(role)}.json`;
}

/** What an earlier update left and does not verify any more (another key, a damaged disk) is as good as absent. */
async function ifSound<T>(verify: () => Promise<T>): Promise<T | undefined> {
  try {
    return await verify();
  } catch (error) {
    if (hasCode(error, 'metadata-invalid', 'signature-invalid', 'length-or-hash-mismatch')) return undefined;
    throw error;
  }
}

function isReferenced(bytes: Uint8Array, reference: FileReference): boolean {
  try {
    checkReferencedBytes('file', bytes, reference);
    return true;
  } catch (error) {
    if (hasCode(error, 'length-or-hash-mismatch', 'metadata-invalid')) return false;
    throw error;
  }
}
