// A mirror of a test repository, with the real store, journal and trusted state in a directory, and an upstream that a
// test may turn against it: every answer can be changed on its way.
import path from 'node:path';
import type { Fetcher } from '../../src/client/fetcher.ts';
import { Mirror, type MirrorPorts, type SyncReport } from '../../src/client/mirror/mirror.ts';
import { RootArchive } from '../../src/client/mirror/root-archive.ts';
import { selectionOf } from '../../src/client/mirror/selection.ts';
import { Upstream } from '../../src/client/mirror/upstream.ts';
import type { Clock } from '../../src/lib/clock.ts';
import { CountersignError } from '../../src/lib/errors.ts';
import { promiseRetention } from '../../src/publish/promise-retention.ts';
import { openFileLargeObjects } from '../../src/storage/file-large-objects.ts';
import { openFileStore } from '../../src/storage/file-store.ts';
import { MetadataDirectory } from '../../src/storage/metadata-directory.ts';
import { SqliteMirrorJournal } from '../../src/storage/sqlite-mirror-journal.ts';
import type { ObjectStore } from '../../src/storage/store.ts';
import { parseHashedTargetPath } from '../../src/tuf/layout.ts';
import { expectSound } from './oracle.ts';
import type { TestRepository } from './repository.ts';
import { tempDir } from './temp-dir.ts';

export const GRACE_MS = 3_600_000;

/** What an attacker, a CDN or a broken index makes of an answer. Undefined: 404. */
export type Tamper = (
  name: string,
  honest: Uint8Array | undefined,
) => Uint8Array | undefined | AsyncIterable<Uint8Array> | Promise<Uint8Array | undefined>;

/** Upstream over a store and the convention of publishPaths: the content of a file is its path. */
export class BenchUpstream {
  readonly requests: string[] = [];
  tamper: Tamper = (_name, honest) => honest;
  readonly #store: Pick<ObjectStore, 'get'>;

  constructor(store: Pick<ObjectStore, 'get'>) {
    this.#store = store;
  }

  /** Names asked for since the last call. */
  take(): string[] {
    return this.requests.splice(0);
  }

  readonly fetcher: Fetcher = {
    get: async (url) => {
      const name = decodeURIComponent(url.replace(/^mem:\//, ''));
      this.requests.push(name);
      const answer = await this.tamper(name, await this.#honest(name));
      if (answer === undefined) return undefined;
      return answer instanceof Uint8Array ? chunks(answer) : answer;
    },
  };

  async #honest(name: string): Promise<Uint8Array | undefined> {
    if (!name.startsWith('targets/')) return (await this.#store.get(name, 50_000_000))?.bytes;
    const asked = parseHashedTargetPath(name.slice('targets/'.length));
    return asked && Buffer.from(asked.path);
  }
}

async function* chunks(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  await Promise.resolve();
  for (let at = 0; at < bytes.length; at += 1000) yield bytes.subarray(at, at + 1000);
}

export interface Bench {
  readonly directory: string;
  readonly upstream: BenchUpstream;
  readonly warnings: string[];
  /** Opens the mirror as a new process would, syncs once, and ends it. */
  sync(change?: Partial<MirrorPorts>): Promise<SyncReport>;
  /** A store on what the mirror shows. */
  store(): Promise<ObjectStore>;
  /** What the mirror shows is a sound repository. */
  expectSound(): Promise<void>;
}

export interface BenchOptions {
  readonly clock?: Clock;
  readonly directory?: string;
  readonly rootBytes?: Uint8Array;
}

export async function mirrorBench(
  repository: Pick<TestRepository<ObjectStore>, 'store' | 'rootBytes' | 'clock'>,
  options: BenchOptions = {},
): Promise<Bench> {
  const { clock = repository.clock, rootBytes = repository.rootBytes } = options;
  const directory = options.directory ?? (await tempDir());
  const upstream = new BenchUpstream(repository.store);
  const warnings: string[] = [];
  const state = path.join(directory, '.mirror');
  return {
    directory,
    upstream,
    warnings,
    store: () => openFileStore(directory),
    expectSound: async () => {
      await expectSound({ store: await openFileStore(directory), clock, rootBytes, mirror: true });
    },
    sync: async (change) => {
      const journal = SqliteMirrorJournal.open(path.join(state, 'journal.db'));
      try {
        const store = await openFileStore(directory);
        const mirror = new Mirror({
          store,
          files: await openFileLargeObjects(directory),
          journal,
          archive: new RootArchive(MetadataDirectory.open(path.join(state, 'trusted'))),
          upstream: new Upstream({
            fetcher: upstream.fetcher,
            // The pauses between repeated requests are those of the test's clock, which stands still.
            clock: { now: () => clock.now(), sleep: () => Promise.resolve() },
            random: () => 0,
            metadataUrl: 'mem:/metadata',
            targetBaseUrl: 'mem:/targets',
          }),
          clock,
          observe: {
            progress: () => undefined,
            stored: () => undefined,
            warn: (message) => warnings.push(message),
          },
          rootBytes,
          selection: selectionOf({}),
          jobs: 4,
          promise: (now) => promiseRetention(store, GRACE_MS, now),
          publishIncomplete: false,
          signal: new AbortController().signal,
          ...change,
        });
        return await mirror.sync();
      } finally {
        journal.close();
      }
    },
  };
}

/** The code of the error that `work` ends with. */
export async function codeOf(work: Promise<unknown>): Promise<string> {
  try {
    await work;
  } catch (error) {
    if (error instanceof CountersignError) return error.code;
    throw error;
  }
  return 'none';
}
