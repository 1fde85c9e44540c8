// What the audit log says about the files of a store. Memory grows with the files that the store holds and with the
// number of bins, never with the age of the log.
import { signedBins, parseBins } from '../ledger/audit-record.ts';
import { layoutThatEndsWith, type BinLayout } from '../tuf/bins.ts';
import { versionedName, parseVersionedName } from '../tuf/layout.ts';
import type { SnapshotDocument } from '../tuf/snapshot-document.ts';
import type { ChainedRecord } from './audit-chain.ts';

export interface Account {
  readonly sha256: string;
  /** Number of the record. */
  readonly record: number;
}

export interface StoreView {
  /** Every name under `metadata/`. */
  readonly names: ReadonlySet<string>;
  /** The oldest and the newest snapshot in the store. */
  readonly oldest: SnapshotDocument;
  readonly newest: SnapshotDocument;
  /** Version of `timestamp.json`. */
  readonly timestamp: number;
}

export class Expectations {
  /** Records of files that are in the store, or should be, by name. */
  readonly #accounts = new Map<string, Account[]>();
  /** Names that were signed before the log began, or whose records were lost with a ledger. */
  readonly #uncovered = new Set<string>();
  readonly #timestamps: Account[] = [];
  readonly #store: StoreView;
  /** Versions of each bin in the store. */
  readonly #stored = new Map<number, number[]>();
  readonly #newestOf = new Map<number, number>();
  #began = 0;
  #lastSigned: { readonly snapshot: number; readonly timestamp: number } | undefined;
  #pending:
    | { readonly snapshot: number; readonly timestamp: number; readonly names: ReadonlySet<string> }
    | undefined;
  #pendingTimestamp = 0;
  records = 0;
  head = '';

  constructor(store: StoreView) {
    this.#store = store;
    for (const name of store.names) {
      const parsed = parseVersionedName(name);
      const bin = parsed && store.newest.parseName(parsed.role);
      if (parsed === undefined || bin === undefined) continue;
      this.#stored.set(bin, [...(this.#stored.get(bin) ?? []), parsed.version]);
    }
  }

  add({ line, record }: ChainedRecord): void {
    this.records = line.number;
    this.head = line.hash;
    switch (record.kind) {
      case 'began':
        this.#began = record.after;
        this.#lost(0, record.after + 1);
        return;
      case 'reconciling':
        this.#pendingTimestamp = record.timestamp;
        return;
      case 'helping':
        // Of what is announced already; the end says what was signed, whoever signed it.
        return;
      case 'announced':
      case 'resumed': {
        const { snapshot, timestamp } = record;
        const announced = parseBins(record.bins);
        // The first bins of a layout that is begun end with its last one.
        const begun = layoutThatEndsWith(announced.at(-1)?.bin ?? 0);
        const bins = announced.flatMap(({ bin, version }) => this.#name(bin, version, begun) ?? []);
        const names = new Set([...bins, versionedName('snapshot', snapshot)]);
        this.#pending = { snapshot, timestamp, names };
        return;
      }
      case 'adopted':
        this.#lost(record.follows, record.snapshot.version);
        break;
      case 'signed':
        break;
    }
    const { snapshot, timestamp } = record;
    this.#pending = undefined;
    this.#pendingTimestamp = 0;
    this.#lastSigned = { snapshot: snapshot.version, timestamp: timestamp.version };
    this.#account(versionedName('snapshot', snapshot.version), snapshot.sha256, line.number, {
      needed: snapshot.version >= this.#store.oldest.version,
    });
    if (timestamp.version === this.#store.timestamp) {
      this.#timestamps.push({ sha256: timestamp.sha256, record: line.number });
    }
    for (const { bin, version, sha256 } of signedBins(record)) {
      const before = this.#newestOf.get(bin);
      if (record.kind === 'adopted') this.#lostBins(bin, before ?? 0, version);
      else if (before === undefined && this.#began > 0) this.#lostBins(bin, 0, version);
      this.#newestOf.set(bin, version);
      const name = this.#name(bin, version);
      if (name === undefined) continue;
      // Older versions were collected, and so are layouts that the oldest snapshot no longer reads.
      const oldest = this.#store.oldest.keptVersion(bin) ?? (this.#isLater(bin) ? 1 : Infinity);
      this.#account(name, sha256, line.number, { needed: version >= oldest });
    }
  }

  /** Bins that no record speaks of have the version that they had when the log began. */
  end(): void {
    if (this.#began === 0) return;
    const { newest } = this.#store;
    for (const bin of this.#stored.keys()) {
      if (!this.#newestOf.has(bin)) this.#lostBins(bin, 0, newest.versionOf(bin) + 1);
    }
  }

  accounts(name: string): readonly Account[] {
    return this.#accounts.get(name) ?? [];
  }

  isUncovered(name: string): boolean {
    return this.#uncovered.has(name);
  }

  /** Announced, and not settled yet. */
  isPending(name: string): boolean {
    return this.#pending?.names.has(name) ?? false;
  }

  timestamp(): { readonly accounts: readonly Account[]; readonly excused: boolean } {
    const version = this.#store.timestamp;
    const excused =
      version === this.#pending?.timestamp ||
      version === this.#pendingTimestamp ||
      (this.#lastSigned === undefined && this.#began > 0);
    return { accounts: this.#timestamps, excused };
  }

  /** Version of the newest timestamp that was recorded. */
  get newestTimestamp(): number {
    return this.#lastSigned?.timestamp ?? 0;
  }

  get uncovered(): ReadonlySet<string> {
    return this.#uncovered;
  }

  /** Names that should be in the store and were not listed. */
  missing(): string[] {
    return [...this.#accounts.keys()].filter((name) => !this.#store.names.has(name));
  }

  #account(name: string, sha256: string, record: number, { needed }: { readonly needed: boolean }): void {
    if (!needed && !this.#store.names.has(name)) return;
    this.#accounts.set(name, [...(this.#accounts.get(name) ?? []), { sha256, record }]);
  }

  /** Undefined: a bin of a layout that has left the snapshot, whose names nobody can tell any more. */
  #name(bin: number, version: number, begun?: BinLayout): string | undefined {
    const known = [...this.#store.newest.layouts, ...(begun === undefined ? [] : [begun])];
    const layout = known.find((each) => each.has(bin));
    return layout && versionedName(layout.name(bin), version);
  }

  /** Whether a bin is of a layout that came after the oldest snapshot. */
  #isLater(bin: number): boolean {
    const { layout } = this.#store.oldest;
    return bin >= layout.first + layout.count;
  }

  #lost(after: number, before: number): void {
    for (const name of this.#store.names) {
      const parsed = parseVersionedName(name);
      if (parsed?.role !== 'snapshot') continue;
      if (parsed.version > after && parsed.version < before) this.#uncovered.add(name);
    }
  }

  #lostBins(bin: number, after: number, before: number): void {
    for (const version of this.#stored.get(bin) ?? []) {
      if (version <= after || version >= before) continue;
      const name = this.#name(bin, version);
      if (name !== undefined) this.#uncovered.add(name);
    }
  }
}
