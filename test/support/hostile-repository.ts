// A TUF repository in memory that says whatever a test wants, correctly signed unless the test says otherwise, and not
// in countersign's own form: any TUF repository may look like this.
import { createHash, generateKeyPairSync, sign, type KeyObject } from 'node:crypto';
import type { Fetcher } from '../../src/client/fetcher.ts';
import type { MetadataStore } from '../../src/client/metadata-store.ts';
import { Updater } from '../../src/client/updater.ts';
import { equalBytes, sha256Hex } from '../../src/lib/bytes.ts';
import { CountersignError } from '../../src/lib/errors.ts';
import { canonicalBytes, type Canonicalizable } from '../../src/tuf/canonical-json.ts';
import { ManualClock } from './manual-clock.ts';

export type Fields = Record<string, Canonicalizable>;

export interface TestKey {
  readonly id: string;
  readonly public: Fields;
  readonly secret: KeyObject;
}

export function makeKey(id?: string): TestKey {
  const { publicKey, privateKey } = generateKeyPairSync('ed25519');
  const hex = publicKey.export({ type: 'spki', format: 'der' }).subarray(-32).toString('hex');
  const fields = { keytype: 'ed25519', scheme: 'ed25519', keyval: { public: hex } };
  const computed = createHash('sha256').update(canonicalBytes(fields)).digest('hex');
  return { id: id ?? computed, public: fields, secret: privateKey };
}

/** 2026-01-01T00:00:00Z */
export const START = Date.UTC(2026, 0, 1);
export const DAY = 86_400_000;

export function isoTime(ms: number): string {
  return `${new Date(ms).toISOString().slice(0, 19)}Z`;
}

/** A pretty-printed file, signed over its canonical form. */
export function signedFile(signed: Fields, keys: readonly TestKey[]): Buffer {
  const message = canonicalBytes(signed);
  const signatures = keys.map(({ id, secret }) => ({
    keyid: id,
    sig: sign(null, message, secret).toString('hex'),
  }));
  return Buffer.from(`${JSON.stringify({ signatures, signed }, null, 1)}\n`);
}

export class MemoryMetadata implements MetadataStore {
  readonly files = new Map<string, Uint8Array>();

  read(name: string): Promise<Uint8Array | undefined> {
    return Promise.resolve(this.files.get(name));
  }

  exchange(name: string, expected?: Uint8Array, next?: Uint8Array): Promise<void> {
    const current = this.files.get(name);
    const same =
      current === undefined || expected === undefined ? current === expected : equalBytes(current, expected);
    if (!same) return Promise.reject(new CountersignError('store-conflict', `${name} was changed`));
    if (next === undefined) this.files.delete(name);
    else this.files.set(name, next);
    return Promise.resolve();
  }

  keep(name: string, bytes: Uint8Array): Promise<void> {
    this.files.set(name, bytes);
    return Promise.resolve();
  }
}

type RoleName = 'root' | 'timestamp' | 'snapshot' | 'targets';

export class HostileRepository {
  readonly clock = new ManualClock(START);
  readonly store = new MemoryMetadata();
  /** What the mirror answers, by URL. */
  readonly served = new Map<string, Uint8Array>();
  readonly requests: string[] = [];
  readonly keys: Record<RoleName, TestKey[]> = {
    root: [makeKey(), makeKey()],
    timestamp: [makeKey()],
    snapshot: [makeKey()],
    targets: [makeKey()],
  };

  readonly fetcher: Fetcher = {
    get: (url) => {
      this.requests.push(url);
      const bytes = this.served.get(url);
      if (bytes === undefined) return Promise.resolve(undefined);
      return Promise.resolve(
        (async function* () {
          await Promise.resolve();
          for (let at = 0; at < bytes.length; at += 1000) yield bytes.subarray(at, at + 1000);
        })(),
      );
    },
  };

  constructor() {
    this.publishRoot(1);
    this.publishTargets(1);
    this.publishSnapshot(1, { 'targets.json': { version: 1 } });
    this.publishTimestamp(1, { version: 1 });
  }

  /** A client that was given root 1. */
  async client(): Promise<Updater> {
    await Updater.init(this.store, this.at('1.root.json'));
    return this.updater();
  }

  updater(): Updater {
    const { store, fetcher, clock } = this;
    return new Updater({ store, fetcher, clock, metadataUrl: 'mem:/metadata' });
  }

  at(name: string): Uint8Array {
    const bytes = this.served.get(`mem:/metadata/${name}`);
    if (bytes === undefined) throw new Error(`${name} is not served`);
    return bytes;
  }

  serve(name: string, bytes: Uint8Array): void {
    this.served.set(`mem:/metadata/${name}`, bytes);
  }

  publishRoot(version: number, change: Fields = {}, signers: readonly TestKey[] = this.keys.root): void {
    const roles = Object.fromEntries(
      Object.entries(this.keys).map(([role, keys]) => [
        role,
        { keyids: keys.map(({ id }) => id), threshold: role === 'root' ? 2 : 1 },
      ]),
    );
    const keys = Object.fromEntries(
      Object.values(this.keys)
        .flat()
        .map((key) => [key.id, key.public]),
    );
    const fields = { consistent_snapshot: true, keys, roles };
    this.serve(`${version}.root.json`, this.file('root', version, { ...fields, ...change }, signers));
  }

  publishTimestamp(
    version: number,
    snapshot: Fields,
    change: Fields = {},
    signers = this.keys.timestamp,
  ): void {
    const fields = { meta: { 'snapshot.json': snapshot }, ...change };
    this.serve('timestamp.json', this.file('timestamp', version, fields, signers));
  }

  publishSnapshot(version: number, meta: Fields, change: Fields = {}, signers = this.keys.snapshot): void {
    this.serve(`${version}.snapshot.json`, this.file('snapshot', version, { meta, ...change }, signers));
  }

  publishTargets(version: number, change: Fields = {}, signers = this.keys.targets): void {
    this.serve(`${version}.targets.json`, this.file('targets', version, { targets: {}, ...change }, signers));
  }

  /** Snapshot and timestamp of the next version `version`, over what `meta` says. */
  publishOnline(version: number, meta: Fields): void {
    this.publishSnapshot(version, meta);
    this.publishTimestamp(version, { version });
  }

  file(type: string, version: number, fields: Fields, signers: readonly TestKey[]): Buffer {
    const common = { _type: type, spec_version: '1.0.31', version, expires: isoTime(START + 30 * DAY) };
    return signedFile({ ...common, ...fields }, signers);
  }
}

/** What a targets role says about a file with this content. */
export function targetEntry(content: string): Fields {
  return { length: Buffer.byteLength(content), hashes: { sha256: sha256Hex(content) } };
}
