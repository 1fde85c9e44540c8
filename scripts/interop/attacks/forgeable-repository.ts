// A package index's repository in memory, in the form that countersign publishes (root, targets, bins, hashed bins,
// consistent snapshots), whose keys are all at hand: whoever attacks may sign with those that the attack has stolen.
import { sha256Hex } from '../../../src/lib/bytes.ts';
import { BinLayout } from '../../../src/tuf/bins.ts';
import { canonicalBytes } from '../../../src/tuf/canonical-json.ts';
import { binsPathPatterns } from '../../../src/tuf/delegations.ts';
import { envelopeFile } from '../../../src/tuf/envelope.ts';
import { hashedTargetPath, TIMESTAMP_NAME, versionedName } from '../../../src/tuf/layout.ts';
import { isoTime, keyTable, makeKey, signatures, type Fields, type TestKey } from './test-keys.ts';

const DAY_MS = 86_400_000;
const BINS = 16;

export interface RepositoryKeys {
  /** Two of them must sign. */
  readonly root: readonly TestKey[];
  /** Both must sign. */
  readonly targets: readonly TestKey[];
  /** Both must sign. */
  readonly bins: readonly TestKey[];
  /** Signs timestamp, snapshot and every bin. */
  readonly online: TestKey;
}

export function makeKeys(): RepositoryKeys {
  const several = (count: number): TestKey[] => Array.from({ length: count }, () => makeKey());
  return { root: several(3), targets: several(2), bins: several(2), online: makeKey() };
}

/** What a file says besides the ordinary, and who signs it. */
export interface Twist {
  /** Milliseconds since the epoch. */
  readonly expires?: number;
  readonly change?: Fields;
  readonly signers?: readonly TestKey[];
}

export interface Versions {
  root: number;
  targets: number;
  bins: number;
  snapshot: number;
  timestamp: number;
  /** One a bin. */
  readonly bin: number[];
}

export class ForgeableRepository {
  readonly layout: BinLayout;
  keys: RepositoryKeys;
  /** Milliseconds since the epoch: when everything is signed from here on. */
  now: number;
  readonly versions: Versions;
  /** Everything that is public, by its name in the store. */
  readonly files: Map<string, Uint8Array>;
  /** Content by target path, as the bins say it. */
  readonly content: Map<string, Uint8Array>;

  private constructor(
    from: Pick<ForgeableRepository, 'layout' | 'keys' | 'now' | 'versions' | 'files' | 'content'>,
  ) {
    this.layout = from.layout;
    this.keys = from.keys;
    this.now = from.now;
    this.versions = { ...from.versions, bin: [...from.versions.bin] };
    this.files = new Map(from.files);
    this.content = new Map(from.content);
  }

  /** Snapshot 1: every bin is empty. */
  static found(keys: RepositoryKeys, now: number, bins = BINS): ForgeableRepository {
    const layout = new BinLayout(bins);
    const bin = Array.from({ length: layout.count }, () => 1);
    const versions: Versions = { root: 1, targets: 1, bins: 1, snapshot: 1, timestamp: 1, bin };
    const repository = new ForgeableRepository({
      layout,
      keys,
      now,
      versions,
      files: new Map(),
      content: new Map(),
    });
    repository.signRoot();
    repository.signTargets();
    repository.signBins();
    repository.signEveryBin();
    repository.signSnapshot();
    repository.signTimestamp();
    return repository;
  }

  /** The same repository, to be changed by itself. */
  copy(): ForgeableRepository {
    return new ForgeableRepository(this);
  }

  /** The public name of the role that answers for a target path, with its version. */
  binName(path: string, version = this.versions.bin[this.layout.indexOf(path)] ?? 0): string {
    return versionedName(this.layout.name(this.layout.indexOf(path)), version);
  }

  file(name: string): Uint8Array {
    const bytes = this.files.get(name);
    if (bytes === undefined) throw new Error(`${name} is not published`);
    return bytes;
  }

  /** Adds or replaces target files: their bins, a snapshot, a timestamp. */
  publish(changes: ReadonlyMap<string, Uint8Array>): void {
    const bins = new Set<number>();
    for (const [path, bytes] of changes) {
      this.content.set(path, bytes);
      this.files.set(`targets/${hashedTargetPath(path, sha256Hex(bytes))}`, bytes);
      bins.add(this.layout.indexOf(path));
    }
    for (const index of bins) {
      this.versions.bin[index] = (this.versions.bin[index] ?? 0) + 1;
      this.signBin(index);
    }
    this.publishSnapshot();
  }

  /** The next snapshot and timestamp over the bins as they are. */
  publishSnapshot(): void {
    this.versions.snapshot += 1;
    this.versions.timestamp += 1;
    this.signSnapshot();
    this.signTimestamp();
  }

  /** Two root keys sign by default. */
  signRoot(twist: Twist = {}): void {
    const { root, targets, online } = this.keys;
    const role = (keys: readonly TestKey[], threshold: number): Fields => ({
      keyids: keys.map(({ id }) => id),
      threshold,
    });
    const fields: Fields = {
      consistent_snapshot: true,
      keys: keyTable([...root, ...targets, online]),
      roles: {
        root: role(root, 2),
        timestamp: role([online], 1),
        snapshot: role([online], 1),
        targets: role(targets, 2),
      },
    };
    const { version, name } = this.#named('root');
    this.#sign(name, 'root', version, fields, 365, { signers: root.slice(0, 2), ...twist });
  }

  signTargets(twist: Twist = {}): void {
    const { bins, targets } = this.keys;
    const delegation = {
      name: 'bins',
      keyids: bins.map(({ id }) => id),
      threshold: 2,
      terminating: true,
      paths: binsPathPatterns(),
    };
    const fields = { targets: {}, delegations: { keys: keyTable(bins), roles: [delegation] } };
    const { version, name } = this.#named('targets');
    this.#sign(name, 'targets', version, fields, 365, { signers: targets, ...twist });
  }

  signBins(twist: Twist = {}): void {
    const { bins, online } = this.keys;
    const succinct = { ...this.layout.succinctRoles([online.id], 1) };
    const fields = { targets: {}, delegations: { keys: keyTable([online]), succinct_roles: succinct } };
    const { version, name } = this.#named('bins');
    this.#sign(name, 'targets', version, fields, 365, { signers: bins, ...twist });
  }

  signEveryBin(): void {
    for (let index = 0; index < this.layout.count; index++) this.signBin(index);
  }

  /** `where`: an index, or a target path of the bin. */
  signBin(where: number | string, twist: Twist = {}): void {
    const index = typeof where === 'number' ? where : this.layout.indexOf(where);
    const entries = [...this.content].filter(([path]) => this.layout.indexOf(path) === index);
    const targets = Object.fromEntries(
      entries.map(([path, bytes]) => [path, { length: bytes.length, hashes: { sha256: sha256Hex(bytes) } }]),
    );
    const version = this.versions.bin[index] ?? 0;
    const name = versionedName(this.layout.name(index), version);
    this.#sign(name, 'targets', version, { targets }, 1, { signers: [this.keys.online], ...twist });
  }

  /** `versions`: what it says instead of the current ones, by role name. */
  signSnapshot(twist: Twist = {}, versions: Readonly<Record<string, number | undefined>> = {}): void {
    const bins = this.versions.bin.map((version, index) => [this.layout.name(index), version] as const);
    const current = { bins: this.versions.bins, targets: this.versions.targets, ...Object.fromEntries(bins) };
    const named: Record<string, number | undefined> = { ...current, ...versions };
    const meta = Object.fromEntries(
      Object.entries(named).flatMap(([role, version]) =>
        version === undefined ? [] : [[`${role}.json`, { version }]],
      ),
    );
    const { version, name } = this.#named('snapshot');
    this.#sign(name, 'snapshot', version, { meta }, 1, { signers: [this.keys.online], ...twist });
  }

  /** Names the snapshot file of version `snapshot` as it is published now. */
  signTimestamp(twist: Twist = {}, snapshot = this.versions.snapshot): void {
    const bytes = this.file(versionedName('snapshot', snapshot));
    const reference = { version: snapshot, length: bytes.length, hashes: { sha256: sha256Hex(bytes) } };
    const fields = { meta: { 'snapshot.json': reference } };
    this.#sign(TIMESTAMP_NAME, 'timestamp', this.versions.timestamp, fields, 1, {
      signers: [this.keys.online],
      ...twist,
    });
  }

  #named(role: 'root' | 'targets' | 'bins' | 'snapshot'): { version: number; name: string } {
    const version = this.versions[role];
    return { version, name: versionedName(role, version) };
  }

  #sign(name: string, type: string, version: number, fields: Fields, days: number, twist: Twist): void {
    const { expires = this.now + days * DAY_MS, change = {}, signers = [] } = twist;
    const signed: Fields = {
      _type: type,
      spec_version: '1.0.31',
      version,
      expires: isoTime(expires),
      ...fields,
      ...change,
    };
    const signedBytes = canonicalBytes(signed);
    this.files.set(name, envelopeFile({ signedBytes, signatures: signatures(signed, signers) }));
  }
}

/** The name of the bin of a target path, without a version, in a repository of the usual number of bins. */
export function binOf(path: string): string {
  const layout = new BinLayout(BINS);
  return layout.name(layout.indexOf(path));
}
