// Who reads and writes the bins of a publication: they are looked into before it is planned, and edited, signed and
// written after it was committed. On this thread, or on others (./bin-threads.ts).
//
// Next: ./verified-reads.ts, ./write-bins.ts
import { mapConcurrent } from '../lib/concurrency.ts';
import { hasCode } from '../lib/errors.ts';
import { returnMemory } from '../lib/memory.ts';
import type { BinVersion } from '../ledger/ledger.ts';
import type { ObjectStore } from '../storage/store.ts';
import type { BinDocument, BinEdits, BinOutline } from '../tuf/bin-document.ts';
import { BinLayout } from '../tuf/bins.ts';
import type { Statement } from './apply-events.ts';
import { rebuilder } from './rebuilt-bins.ts';
import type { Signers } from './signers.ts';
import { loadBin, type OfflineRoles, type PublicBin } from './verified-reads.ts';
import { writeBins } from './write-bins.ts';

/** Bins read at once, by each thread. */
export const READS_IN_FLIGHT = 16;

/** The same where this thread does everything: its store may be a bucket, and each request take 20 ms and more. */
const READS_IN_FLIGHT_HERE = 48;

/** Bytes of bins kept from reading to sealing; the others of a large batch are read, and compared, a second time. */
export const KEPT_BYTES = 32 * 1024 * 1024;

/** Where the bins are, and who signs them; without signers they can only be read. */
export interface BinPorts {
  readonly store: ObjectStore;
  readonly roles: OfflineRoles;
  readonly signers?: Signers;
}

/** A bin, and the paths about which it is asked. */
export interface BinQuestion extends PublicBin {
  readonly paths: readonly string[];
}

/** What a verified bin says, path by path, and the bytes of its signed part; or why it is not the public one. */
export type BinLook =
  { readonly size: number; readonly statements: readonly Statement[] } | { readonly altered: string };

export interface BinToWrite extends PublicBin {
  /** The version that is written. */
  readonly next: number;
  readonly edits: BinEdits;
}

export interface BinsToWrite {
  readonly bins: readonly BinToWrite[];
  /** Time T of the publication, milliseconds since the epoch. */
  readonly at: number;
  readonly expires: string;
  readonly keyids?: readonly string[];
}

/** Bins of a layout to come, made of those that are public. */
export interface BinsToRebuild {
  readonly layout: Pick<BinLayout, 'count' | 'generation'>;
  readonly bins: readonly BinVersion[];
  /** Every bin of the current layout that holds something of theirs. */
  readonly sources: readonly PublicBin[];
  /** Time T of the publication, milliseconds since the epoch. */
  readonly at: number;
  readonly expires: string;
  readonly keyids?: readonly string[];
}

/** The bins of one publication. What was looked at may be kept until it is written. */
export interface BinSession {
  /**
   * Reads and verifies; answers in the order of the questions.
   * @throws CountersignError `store-unavailable`; never `bin-altered`.
   */
  look(questions: readonly BinQuestion[]): Promise<readonly BinLook[]>;

  /**
   * Edits, signs and writes; answers the SHA-256 of each file, in the order of `bins`. Idempotent. `roles`: those that
   * the publication makes public.
   * @throws CountersignError `bin-altered` when a bin had to be read again; the errors of ./seal.ts and ./write.ts.
   */
  write(roles: OfflineRoles, work: BinsToWrite): Promise<readonly string[]>;

  /** Makes, signs and writes bins of a layout to come; answers as `write`, and throws the same. Idempotent. */
  rebuild(work: BinsToRebuild): Promise<readonly string[]>;
}

export interface BinDesk {
  begin(ports: BinPorts): BinSession;
}

/** Everything on this thread. */
export const binsHere: BinDesk = { begin: (ports) => new BinWork(ports, KEPT_BYTES, READS_IN_FLIGHT_HERE) };

export class BinWork implements BinSession {
  readonly #ports: BinPorts;
  readonly #readsInFlight: number;
  #room: number;
  readonly #kept = new Map<number, BinDocument>();
  /** Of bins that were read and not kept, by the SHA-256 of their files. */
  readonly #outlines = new Map<string, BinOutline>();

  /** `keptBytes`: of verified bins, at most, that are kept until they are written. */
  constructor(ports: BinPorts, keptBytes: number, readsInFlight = READS_IN_FLIGHT) {
    this.#ports = ports;
    this.#readsInFlight = readsInFlight;
    this.#room = keptBytes;
  }

  look(questions: readonly BinQuestion[]): Promise<readonly BinLook[]> {
    return mapConcurrent(questions, this.#readsInFlight, async (question): Promise<BinLook> => {
      try {
        const document = await this.#load(question);
        const { signed } = document;
        const look = { size: signed.length, statements: question.paths.map((path) => document.get(path)) };
        this.#room -= signed.length;
        if (this.#room >= 0) this.#kept.set(question.bin, document);
        else {
          this.#outlines.set(question.sha256, document.outline);
          returnMemory(signed);
        }
        return look;
      } catch (error) {
        if (!hasCode(error, 'bin-altered')) throw error;
        return { altered: error.message };
      }
    });
  }

  async write(roles: OfflineRoles, { bins, at, expires, keyids }: BinsToWrite): Promise<readonly string[]> {
    const wanted = new Map(bins.map((bin) => [bin.bin, bin]));
    const versions = bins.map(({ bin, next }) => ({ bin, version: next }));
    const intent = { bins: versions, at, ...(keyids === undefined ? {} : { keyids }) };
    const { store, signers } = this.#ports;
    if (signers === undefined) throw new TypeError('nobody signs here');
    return writeBins({ store, ...signers }, roles, intent, async ({ bin, version }) => {
      const given = wanted.get(bin);
      if (given === undefined) throw new RangeError(`bin ${bin}`);
      const document = this.#kept.get(bin) ?? (await this.#load(given));
      this.#kept.delete(bin);
      const edited = document.edit(given.edits, version, expires);
      returnMemory(document.signed);
      return edited;
    });
  }

  async rebuild({ layout, bins, sources, at, expires, keyids }: BinsToRebuild): Promise<readonly string[]> {
    const { store, roles, signers } = this.#ports;
    if (signers === undefined) throw new TypeError('nobody signs here');
    const next = new BinLayout(layout.count, layout.generation);
    const known = new Map(sources.map((source) => [source.bin, source]));
    const base = async (bin: number): Promise<BinDocument> => {
      const source = known.get(bin);
      if (source === undefined) throw new RangeError(`bin ${bin}`);
      const kept = this.#kept.get(bin);
      this.#kept.delete(bin);
      return kept ?? this.#load(source);
    };
    const make = rebuilder(roles.binTrust.layout, next, base);
    const trust = { ...roles, binTrust: { ...roles.binTrust, layout: next } };
    const intent = { bins, at, ...(keyids === undefined ? {} : { keyids }) };
    return writeBins({ store, ...signers }, trust, intent, ({ bin, version }) => make(bin, version, expires));
  }

  #load(bin: PublicBin): Promise<BinDocument> {
    const { store, roles } = this.#ports;
    return loadBin(store, roles.binTrust.layout, bin, this.#outlines.get(bin.sha256));
  }
}
