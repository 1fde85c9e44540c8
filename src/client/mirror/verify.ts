// Whether a copy of a repository is what its metadata say, from its files alone: no network, and nothing that any program
// remembers. It goes the way of a client, from a root that somebody trusts, and then on to all that a client could ask for.
import { sha256Hex } from '../../lib/bytes.ts';
import type { Clock } from '../../lib/clock.ts';
import { mapConcurrent } from '../../lib/concurrency.ts';
import { CountersignError, hasCode, type ErrorCode } from '../../lib/errors.ts';
import { METADATA_PREFIX, versionedName } from '../../tuf/layout.ts';
import { MAX_STATED_BYTES } from '../../tuf/metadata-limits.ts';
import type { Fetcher } from '../fetcher.ts';
import type { MetadataStore } from '../metadata-store.ts';
import type { RootFile } from '../roles/root-file.ts';
import type { Target, TargetsFile } from '../roles/targets-file.ts';
import { Updater } from '../updater.ts';
import { checkNotExpired } from '../verified-roles.ts';
import { nextLevel, topRole, type Delegator, type ReachedRole } from './role-walk.ts';
import { isPresent } from './take-targets.ts';
import { readTrustedState, type TrustedState } from './trusted-state.ts';
import { verifyOlder } from './root-archive.ts';
import { verifyRole } from './verify-role.ts';

/** Roles, and target files, in hand at once. */
const IN_FLIGHT = 16;

const METADATA_URL = 'file:metadata/';

/** Where the copy is. Nothing is written there. */
export interface CopyFiles {
  size(name: string): Promise<number | undefined>;
  read(name: string): AsyncIterable<Uint8Array>;
}

export interface VerifyOptions {
  readonly metadata: CopyFiles;
  readonly rootBytes: Uint8Array;
  readonly clock: Clock;
  /** Where target files are, and under which names; absent: only metadata are looked at. */
  readonly targets?: { readonly files: CopyFiles; objects(target: Target): string[] };
  /** Only target files whose path begins so are looked at; absent: all. */
  readonly below?: string;
  /** Every target file that metadata name must be there; otherwise those that are not are counted. */
  readonly complete: boolean;
  readonly progress: (done: number, total: number) => void;
  /** Called with everything that is wrong. */
  readonly fault: (fault: Fault) => void;
}

export interface Fault {
  /** The object, or the role. */
  readonly name: string;
  readonly code: ErrorCode;
  readonly message: string;
}

export interface Verified {
  readonly trusted: TrustedState;
  readonly roles: number;
  readonly named: number;
  readonly present: number;
  readonly absent: number;
  /** Where metadata name files: first segments of target paths. */
  readonly folders: ReadonlySet<string>;
  /** Reads the files of roles again: what they name. */
  readonly lookUp: (path: string) => Promise<Target | undefined>;
}

/**
 * Verifies a copy. Faults of single roles and files go to `fault`.
 * @throws CountersignError what the client workflow throws for top-level roles; `store-unavailable`.
 */
export async function verifyCopy(options: VerifyOptions): Promise<Verified> {
  const { metadata, clock, rootBytes } = options;
  const store = new MemoryStore();
  await Updater.init(store, rootBytes);
  const updater = new Updater({ store, fetcher: fileFetcher(metadata), clock, metadataUrl: METADATA_URL });
  await updater.refresh();
  const trusted = await readTrustedState(store);
  await checkOlderRoots(options, trusted);
  const walk = new Walk(options, clock.now());
  const roles = await walk.all(trusted);
  const { named, present, absent, folders } = walk;
  return { trusted, roles, named, present, absent, folders, lookUp: (path) => updater.find(path) };
}

/** Interop rule 9: clients that come with an old root need every one that follows, each signed by the one before. */
async function checkOlderRoots({ metadata, fault }: VerifyOptions, { root }: TrustedState): Promise<void> {
  let newer: RootFile | undefined = root;
  for (let version = root.version - 1; version >= 1; version--) {
    const name = versionedName('root', version);
    let older: RootFile | undefined;
    try {
      if ((await metadata.size(name)) === undefined) {
        fault({ name, code: 'metadata-missing', message: 'is absent: clients that trust it cannot go on' });
      } else if (newer !== undefined) older = await verifyOlder(await whole(metadata, name), version, newer);
    } catch (error) {
      if (!hasCode(error, 'metadata-invalid', 'metadata-too-large', 'signature-invalid')) throw error;
      fault({ name, code: error.code, message: `leads clients that trust it nowhere: ${error.message}` });
    }
    newer = older;
  }
}

class Walk {
  named = 0;
  present = 0;
  absent = 0;
  readonly folders = new Set<string>();
  readonly #options: VerifyOptions;
  readonly #now: number;

  constructor(options: VerifyOptions, now: number) {
    this.#options = options;
    this.#now = now;
  }

  async all({ root, snapshot }: TrustedState): Promise<number> {
    const seen = new Set(['targets']);
    let level: ReachedRole[] = [topRole(root.trust.targets, snapshot)];
    while (level.length > 0) {
      const delegators: Delegator[] = [];
      let done = 0;
      await mapConcurrent(level, IN_FLIGHT, async (reached) => {
        const file = await this.#role(reached);
        if (file !== undefined) {
          delegators.push({ reached, file });
          await this.#targets(reached, file);
        }
        this.#options.progress(++done, level.length);
      });
      level = nextLevel(delegators, snapshot, seen);
    }
    return seen.size;
  }

  async #role(reached: ReachedRole): Promise<TargetsFile | undefined> {
    const { role, reference } = reached;
    const name = versionedName(role, reference.version);
    try {
      const file = await verifyRole(reached, await whole(this.#options.metadata, name));
      checkNotExpired(role, file, this.#now);
      return file;
    } catch (error) {
      this.#note(name, error);
      return undefined;
    }
  }

  async #targets(reached: ReachedRole, file: TargetsFile): Promise<void> {
    const { targets, below = '', complete, fault } = this.#options;
    for (const target of file.targets()) {
      if (!target.path.startsWith(below) || !reached.covers(target.path)) continue;
      this.named += 1;
      this.folders.add(target.path.slice(0, target.path.indexOf('/') + 1));
      for (const name of targets?.objects(target) ?? []) {
        try {
          if ((await targets?.files.size(name)) === undefined) {
            this.absent += 1;
            if (complete) fault({ name, code: 'not-found', message: `is absent, ${reached.role} names it` });
          } else if (targets !== undefined && (await isPresent(targets.files, name, target)))
            this.present += 1;
          else {
            this.present += 1;
            fault({
              name,
              code: 'length-or-hash-mismatch',
              message: 'is not the file that signed metadata name',
            });
          }
        } catch (error) {
          this.#note(name, error);
        }
      }
    }
  }

  #note(name: string, error: unknown): void {
    if (!(error instanceof CountersignError) || error.code === 'store-unavailable') throw error;
    this.#options.fault({ name, code: error.code, message: error.message });
  }
}

async function whole(files: CopyFiles, name: string): Promise<Uint8Array> {
  const size = await files.size(name);
  if (size === undefined) throw new CountersignError('metadata-missing', `${name} is absent`);
  if (size > MAX_STATED_BYTES) throw new CountersignError('metadata-too-large', `${name} has ${size} bytes`);
  const chunks: Uint8Array[] = [];
  for await (const chunk of files.read(name)) chunks.push(chunk);
  return Buffer.concat(chunks);
}

/** The copy as a client's other side. */
function fileFetcher(files: CopyFiles): Fetcher {
  return {
    get: async (url) => {
      const name = METADATA_PREFIX + decodeURIComponent(url.slice(METADATA_URL.length));
      try {
        return (await files.size(name)) === undefined ? undefined : files.read(name);
      } catch (error) {
        if (hasCode(error, 'metadata-invalid')) return undefined;
        throw error;
      }
    },
  };
}

const TOP_LEVEL = new Set(['root.json', 'timestamp.json', 'snapshot.json', 'targets.json']);

/** What one verification trusts. */
class MemoryStore implements MetadataStore {
  readonly #files = new Map<string, { bytes: Uint8Array; sha256: string }>();

  read(name: string): Promise<Uint8Array | undefined> {
    return Promise.resolve(this.#files.get(name)?.bytes);
  }

  async exchange(
    name: string,
    expected: Uint8Array | undefined,
    next: Uint8Array | undefined,
  ): Promise<void> {
    const current = this.#files.get(name)?.sha256;
    if (current !== (expected && sha256Hex(expected))) {
      throw new CountersignError('store-conflict', `${name} was changed during the verification`);
    }
    if (next === undefined) this.#files.delete(name);
    else await this.keep(name, next);
  }

  keep(name: string, bytes: Uint8Array): Promise<void> {
    // Roles that are delegated to are read again when they are asked about: all of them would not fit into memory.
    if (!TOP_LEVEL.has(name)) return Promise.resolve();
    this.#files.set(name, { bytes, sha256: sha256Hex(bytes) });
    return Promise.resolve();
  }
}
