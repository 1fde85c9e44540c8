// The object store in memory, and a spy: it fails the test when somebody uses a store in a way that would hurt a
// client. What it watches over is what PEP 458 "Producing consistent snapshots" promises.
import { onTestFinished } from 'vitest';
import { sha256Hex } from '../../src/lib/bytes.ts';
import type { Clock } from '../../src/lib/clock.ts';
import { CountersignError } from '../../src/lib/errors.ts';
import type { ObjectInfo, ObjectStore, StoredObject, VersionToken } from '../../src/storage/store.ts';
import { parseVersionedName, TIMESTAMP_NAME, versionedName } from '../../src/tuf/layout.ts';

interface TimestampFile {
  readonly signed: {
    readonly version: number;
    readonly meta: {
      readonly 'snapshot.json': { version: number; length?: number; hashes?: { sha256?: string } };
    };
  };
}

interface SnapshotFile {
  readonly signed: { readonly version: number; readonly meta: Readonly<Record<string, { version: number }>> };
}

export class MemoryStore implements ObjectStore {
  /** What was done wrong, in words; the test that made the store fails when there is any. */
  readonly violations: string[] = [];
  /** A thief writes timestamps: what stands there is no measure for the next one. */
  thief = false;
  /** Tells when objects are written; without one nobody can tell. */
  clock?: Pick<Clock, 'now'>;
  readonly #writtenAt = new Map<string, number>();
  readonly #objects = new Map<string, Uint8Array>();
  /** SHA-256 of everything that was ever put under a write-once name, also when it was removed since. */
  readonly #everPut = new Map<string, string>();
  readonly #replaceable = new Set<string>();
  readonly #tampered = new Set<string>();
  /** SHA-256 of what was staged, as it was then. */
  readonly #staged = new WeakMap<Uint8Array, string>();
  /** What the present timestamp.json reaches: its snapshot, the versions listed there, and the layout of the bins. */
  #reached: {
    readonly snapshot: number;
    readonly listed: ReadonlyMap<string, number>;
    readonly generation: number;
  } = { snapshot: 0, listed: new Map(), generation: 0 };

  async get(name: string, maxBytes: number): Promise<StoredObject | undefined> {
    await Promise.resolve();
    checkName(name);
    const bytes = this.#objects.get(name);
    if (bytes === undefined) return undefined;
    if (bytes.length > maxBytes) {
      throw new CountersignError(
        'metadata-too-large',
        `${name} has ${bytes.length} bytes, at most ${maxBytes}`,
      );
    }
    return { bytes: Uint8Array.from(bytes), token: tokenOf(bytes) };
  }

  async putImmutable(name: string, bytes: Uint8Array): Promise<'created' | 'exists'> {
    const copy = this.#copyOf(name, bytes);
    await Promise.resolve();
    checkName(name);
    if (name === TIMESTAMP_NAME) this.#violation(`${name} was written as a write-once object`);
    if (this.#objects.has(name)) return 'exists';
    const hash = sha256Hex(copy);
    const before = this.#everPut.get(name);
    if (before !== undefined && before !== hash) {
      this.#violation(`write-once object ${name} was created again with other content`);
    }
    this.#everPut.set(name, hash);
    this.#set(name, copy);
    return 'created';
  }

  async replace(name: string, bytes: Uint8Array, token: VersionToken | undefined): Promise<VersionToken> {
    const copy = this.#copyOf(name, bytes);
    await Promise.resolve();
    checkName(name);
    if (this.#everPut.has(name)) this.#violation(`write-once object ${name} was replaced`);
    const current = this.#objects.get(name);
    if ((current === undefined ? undefined : tokenOf(current)) !== token) {
      throw new CountersignError('store-conflict', `${name} is not the version that was read`);
    }
    if (name === TIMESTAMP_NAME) this.#checkTimestamp(copy, current);
    this.#replaceable.add(name);
    this.#set(name, copy);
    return tokenOf(copy);
  }

  async stage(name: string, bytes: Uint8Array): Promise<void> {
    this.#staged.set(bytes, sha256Hex(bytes));
    await Promise.resolve();
    checkName(name);
  }

  async *list(prefix: string): AsyncIterable<ObjectInfo> {
    await Promise.resolve();
    for (const [name, { length }] of [...this.#objects]) {
      const writtenAt = this.#writtenAt.get(name);
      if (name.startsWith(prefix)) {
        yield { name, size: length, ...(writtenAt === undefined ? {} : { writtenAt }) };
      }
    }
  }

  async remove(name: string): Promise<void> {
    await Promise.resolve();
    checkName(name);
    if (this.#objects.has(name)) {
      if (this.#replaceable.has(name)) this.#violation(`${name} was removed`);
      if (this.#reaches(name)) this.#violation(`${name} was removed while the timestamp reaches it`);
    }
    this.#objects.delete(name);
  }

  /** Changes or removes an object behind everybody's back, as one who can write to the bucket does. */
  tamper(name: string, bytes: Uint8Array | undefined): void {
    this.#tampered.add(name);
    if (bytes === undefined) this.#objects.delete(name);
    else this.#objects.set(name, Uint8Array.from(bytes));
  }

  /** All names, sorted. */
  names(): string[] {
    return [...this.#objects.keys()].sort();
  }

  #set(name: string, bytes: Uint8Array): void {
    this.#objects.set(name, bytes);
    if (this.clock !== undefined) this.#writtenAt.set(name, this.clock.now());
  }

  /** A store that stages has written the bytes already: whoever changes them meanwhile publishes the former ones. */
  #copyOf(name: string, bytes: Uint8Array): Uint8Array {
    const staged = this.#staged.get(bytes);
    if (staged !== undefined && staged !== sha256Hex(bytes)) {
      this.#violation(`${name} was changed after it had been staged`);
    }
    return Uint8Array.from(bytes);
  }

  #checkTimestamp(bytes: Uint8Array, current: Uint8Array | undefined): void {
    const { signed } = parse(bytes) as TimestampFile;
    if (current !== undefined && !this.thief) {
      const before = (parse(current) as TimestampFile).signed;
      if (signed.version < before.version) {
        this.#violation(`timestamp went back from version ${before.version} to ${signed.version}`);
      }
      const [was, is] = [before.meta['snapshot.json'].version, signed.meta['snapshot.json'].version];
      if (is < was) this.#violation(`snapshot went back from version ${was} to ${is}`);
    }
    const { version, length, hashes } = signed.meta['snapshot.json'];
    const name = versionedName('snapshot', version);
    const snapshot = this.#objects.get(name);
    if (snapshot === undefined) this.#violation(`timestamp ${signed.version} was written before ${name}`);
    if (
      (length !== undefined && length !== snapshot.length) ||
      (hashes?.sha256 !== undefined && hashes.sha256 !== sha256Hex(snapshot))
    ) {
      this.#violation(`timestamp ${signed.version} does not describe the ${name} that is in the store`);
    }
    const { meta } = (parse(snapshot) as SnapshotFile).signed;
    const files = Object.keys(meta);
    const before = this.#reached;
    const sameNames = files.length === before.listed.size && files.every((file) => before.listed.has(file));
    const generation = sameNames ? before.generation : currentGeneration(files);
    const listed = new Map<string, number>();
    for (const file of files) {
      const entry = meta[file]?.version ?? 0;
      listed.set(file, entry);
      // What was reached before was looked at then, and cannot be removed: there are 16,384 bins in some tests.
      if (sameNames && before.listed.get(file) === entry) continue;
      // The names of former layouts are listed for ever, and nobody reads them.
      if (generationIn(file) < generation) continue;
      const member = versionedName(file.replace(/\.json$/, ''), entry);
      // What the test itself took away is not the publisher's fault.
      if (!this.#objects.has(member) && !this.#tampered.has(member)) {
        this.#violation(`timestamp ${signed.version} was written before ${member}, which ${name} names`);
      }
    }
    this.#reached = { snapshot: version, listed, generation };
  }

  #reaches(name: string): boolean {
    const parsed = parseVersionedName(name);
    if (parsed === undefined) return false;
    const { snapshot, listed, generation } = this.#reached;
    if (parsed.role === 'snapshot') return parsed.version === snapshot;
    const file = `${parsed.role}.json`;
    return listed.get(file) === parsed.version && generationIn(file) >= generation;
  }

  #violation(text: string): never {
    this.violations.push(text);
    throw new Error(`store misused: ${text}`);
  }
}

/** `bin2-00.json` is of the second layout of a repository; what is no bin is of none that was before. */
function generationIn(file: string): number {
  const [, digits] = /^bin(\d*)-/.exec(file) ?? [];
  return digits === undefined ? Number.POSITIVE_INFINITY : Number(digits === '' ? 1 : digits);
}

/** Clients read the newest layout that has a first bin: it is published with the delegation. */
function currentGeneration(files: readonly string[]): number {
  return Math.max(...files.filter((file) => /^bin\d*-0+\.json$/.test(file)).map(generationIn));
}

/** A store for the running test, which fails at its end if the store was misused, whoever caught the error. */
export function memoryStore(): MemoryStore {
  const store = new MemoryStore();
  onTestFinished(() => {
    if (store.violations.length > 0) throw new Error(`store misused: ${store.violations.join('; ')}`);
  });
  return store;
}

function tokenOf(bytes: Uint8Array): VersionToken {
  return sha256Hex(bytes) as VersionToken;
}

function parse(bytes: Uint8Array): unknown {
  return JSON.parse(Buffer.from(bytes).toString('utf8'));
}

function checkName(name: string): void {
  const plain = !/[\\\0]/.test(name);
  if (plain && name.split('/').every((segment) => !['', '.', '..'].includes(segment))) return;
  throw new CountersignError('metadata-invalid', `object name ${JSON.stringify(name)} is not a plain path`);
}
