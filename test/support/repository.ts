// A whole repository for tests: a ceremony's bundle, bootstrapped into a store and a ledger by the code that does it in
// production, and publications made by real terms. Keys follow from a seed and time stands still: the same bytes in
// every run.
import { createHash } from 'node:crypto';
import { onTestFinished } from 'vitest';
import { CeremonyKey } from '../../keys-ceremony/ceremony-key.ts';
import { signGenesis } from '../../keys-ceremony/genesis.ts';
import type { Change, Receipt } from '../../src/ledger/ledger.ts';
import { openSqliteLedger, type SqliteLedger } from '../../src/ledger/sqlite-ledger.ts';
import { sha256Hex } from '../../src/lib/bytes.ts';
import { silentLogger } from '../../src/lib/log.ts';
import { AlteredBins } from '../../src/publish/altered-bins.ts';
import { bootstrap } from '../../src/publish/bootstrap.ts';
import { takeLease, type LeaseTaker } from '../../src/publish/lease.ts';
import type { Lifetimes, PublishSettings } from '../../src/publish/settings.ts';
import { Term, type PublicationReport, type TermPorts } from '../../src/publish/term.ts';
import type { Signer } from '../../src/signing/signer.ts';
import type { ObjectStore } from '../../src/storage/store.ts';
import { BinLayout } from '../../src/tuf/bins.ts';
import { parseBundle, serializeBundle, type Bundle } from '../../src/tuf/bundle.ts';
import type { DelegationFormat } from '../../src/tuf/delegations.ts';
import { envelopeFile } from '../../src/tuf/envelope.ts';
import type { TargetFile } from '../../src/tuf/metadata.ts';
import { ManualClock } from './manual-clock.ts';
import { memoryStore, type MemoryStore } from './memory-store.ts';
import { throwawaySigner, type ThrowawayAlgorithm } from './throwaway-signer.ts';

const DAY_MS = 86_400_000;

/** 2026-03-01T12:00:00Z, when repositories are founded unless a test says otherwise. */
export const FOUNDED_AT = Date.UTC(2026, 2, 1, 12);

export const DAILY: Lifetimes = { timestampMs: DAY_MS, snapshotMs: DAY_MS, binMs: DAY_MS };

export interface OfflineKeys {
  readonly root: readonly CeremonyKey[];
  readonly targets: readonly CeremonyKey[];
  readonly bins: readonly CeremonyKey[];
}

export interface FoundOptions<S extends ObjectStore> {
  /** Default 16. */
  readonly bins?: number;
  readonly format?: DelegationFormat;
  /** Other seeds make other keys. */
  readonly seed?: number;
  readonly algorithm?: ThrowawayAlgorithm;
  readonly clock?: ManualClock;
  readonly settings?: Partial<PublishSettings>;
  readonly store?: S;
  /** The result of a ceremony, and the signer that it names, in the place of keys that follow from the seed. */
  readonly held?: { readonly bundleBytes: Buffer; readonly signer: Signer };
  /** SQLite file of the ledger; in memory by default. */
  readonly ledgerPath?: string;
}

export interface TestRepository<S extends ObjectStore = MemoryStore> {
  readonly store: S;
  readonly ledger: SqliteLedger;
  readonly signer: Signer;
  readonly clock: ManualClock;
  readonly layout: BinLayout;
  readonly offlineKeys: OfflineKeys;
  readonly bundle: Bundle;
  readonly bundleBytes: Buffer;
  /** The first root, with which a client starts. */
  readonly rootBytes: Buffer;
  /** For Term.begin, Publisher and the like. */
  readonly ports: TermPorts & LeaseTaker;
}

/** Founds a repository within the running test: snapshot 1, every bin empty. Closed when the test ends. */
export async function foundRepository(options?: FoundOptions<MemoryStore>): Promise<TestRepository>;
export async function foundRepository<S extends ObjectStore>(
  options: FoundOptions<S> & { readonly store: S },
): Promise<TestRepository<S>>;
export async function foundRepository(
  options: FoundOptions<ObjectStore> = {},
): Promise<TestRepository<ObjectStore>> {
  const { bins = 16, format = 'succinct', seed = 1 } = options;
  const clock = options.clock ?? new ManualClock(FOUNDED_AT);
  const store = options.store ?? memoryStore();
  const ledger = await openSqliteLedger(options.ledgerPath ?? ':memory:');
  onTestFinished(() => ledger.close());
  const signer = options.held?.signer ?? throwawaySigner(seed, options.algorithm);
  const layout = new BinLayout(bins);
  const offlineKeys = await makeOfflineKeys(seed);
  const bundle =
    options.held === undefined
      ? await testBundle({ offlineKeys, signer, layout, format, now: clock.now() })
      : parseBundle(options.held.bundleBytes);
  const bundleBytes = options.held?.bundleBytes ?? serializeBundle(bundle);
  const settings: PublishSettings = {
    maxEvents: 10_000,
    minIntervalMs: 0,
    lifetimes: DAILY,
    ...options.settings,
  };
  const ports: TestRepository['ports'] = {
    ledger,
    history: ledger,
    store,
    signer,
    clock,
    settings,
    altered: new AlteredBins(),
    log: silentLogger(),
    holder: 'test:1:1',
    isGone: () => false,
  };
  await bootstrap(bundleBytes, { ...ports, lifetimes: settings.lifetimes });
  const [root] = bundle.roots;
  if (root === undefined) throw new Error('a bundle without a root');
  const rootBytes = envelopeFile(root);
  return { store, ledger, signer, clock, layout, offlineKeys, bundle, bundleBytes, rootBytes, ports };
}

/** Three root keys of which two must sign, two one-time keys each for targets and bins. */
export async function makeOfflineKeys(seed: number): Promise<OfflineKeys> {
  const keys = (role: string, count: number): Promise<CeremonyKey[]> =>
    Promise.all(
      Array.from({ length: count }, (_, index) =>
        CeremonyKey.generate(() => createHash('sha256').update(`${role} ${seed} ${index}`).digest()),
      ),
    );
  return { root: await keys('root', 3), targets: await keys('targets', 2), bins: await keys('bins', 2) };
}

export interface BundlePlan {
  readonly offlineKeys: OfflineKeys;
  readonly signer: Signer;
  readonly layout: BinLayout;
  readonly format: DelegationFormat;
  /** Milliseconds since the epoch; the offline roles expire a year later. */
  readonly now: number;
}

export function testBundle({ offlineKeys, signer, layout, format, now }: BundlePlan): Promise<Bundle> {
  const expires = now + 365 * DAY_MS;
  return signGenesis({
    rootKeys: offlineKeys.root,
    rootThreshold: 2,
    targetsKeys: offlineKeys.targets,
    binsKeys: offlineKeys.bins,
    onlineKey: signer.publicKey,
    onlineKeyid: signer.keyid,
    layout,
    format,
    expires: { root: expires, targets: expires, bins: expires },
  });
}

/** Takes the lease and publishes until nothing is left to do. The reports, one a publication. */
export async function publishAll({
  ports,
}: Pick<TestRepository<ObjectStore>, 'ports'>): Promise<PublicationReport[]> {
  const term = await Term.begin(ports, await takeLease(ports.ledger, ports.clock, ports));
  const reports: PublicationReport[] = [];
  for (let report = await term.publish(); report !== undefined; report = await term.publish()) {
    reports.push(report);
  }
  return reports;
}

/** What a file with this content is to a client. */
export function targetOf(content: string): TargetFile {
  return { length: Buffer.byteLength(content), hashes: { sha256: sha256Hex(content) } };
}

/** Accepts one event with these changes; nothing is published yet. Its id is made of its changes by default. */
export async function accept(
  { ledger, clock }: Pick<TestRepository<ObjectStore>, 'ledger' | 'clock'>,
  changes: readonly Change[],
  id = sha256Hex(JSON.stringify(changes)).slice(0, 32),
): Promise<Receipt> {
  const [receipt] = await ledger.append([{ id, changes }], clock.now());
  if (receipt === undefined) throw new Error('the ledger answered no receipt');
  return receipt;
}

/** Adds a file for each path, with the path as its content, in one event, and publishes. */
export async function publishPaths(
  repository: TestRepository<ObjectStore>,
  paths: readonly string[],
): Promise<PublicationReport[]> {
  await accept(
    repository,
    paths.map((path) => ({ op: 'add', path, target: targetOf(path) })),
  );
  return publishAll(repository);
}
