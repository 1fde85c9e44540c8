// A TUF repository in memory that says whatever a test wants, correctly signed unless the test says otherwise, and not
// in countersign's own form: any TUF repository may look like this.
import {
  isoTime,
  keyTable,
  makeKey,
  signatures,
  type Fields,
  type TestKey,
} from '../../scripts/interop/attacks/test-keys.ts';
import type { Fetcher } from '../../src/client/fetcher.ts';
import type { MetadataStore } from '../../src/client/metadata-store.ts';
import { Updater } from '../../src/client/updater.ts';
import { equalBytes, sha256Hex } from '../../src/lib/bytes.ts';
import { CountersignError } from '../../src/lib/errors.ts';
import { ManualClock } from './manual-clock.ts';

export { isoTime, makeKey, type Fields, type TestKey };

/** 2026-01-01T00:00:00Z */
export const START = Date.UTC(2026, 0, 1);
export const DAY = 86_400_000;

/** A pretty-printed file, signed over its canonical form. */
export function signedFile(signed: Fields, keys: readonly TestKey[]): Buffer {
  return Buffer.from(`${JSON.stringify({ signatures: signatures(signed, keys), signed }, null, 1)}\n`);
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
    const keys = keyTable(Object.values(this.keys).flat());
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
