// The ledger: countersign's only private state, the transaction log of PEP 458 "Producing Consistent Snapshots".
// It holds accepted events, the head, every publication and the publisher lease. `Ledger` is the write side that
// intake and publisher use, `History` what status pages and readers ask. test/contracts/ledger.contract.ts is the
// suite that every adapter passes.
//
// All methods may be called concurrently, from several processes. What they wrote is durable when they resolve.
// They never retry: a failure is `ledger-unavailable`, and the caller does not know whether the write took place,
// so every write is idempotent.
import type { TargetFile } from '../tuf/metadata.ts';

/** One statement about one target path. */
export type Change =
  | { readonly op: 'add' | 'put'; readonly path: string; readonly target: TargetFile }
  | { readonly op: 'remove'; readonly path: string };

/** All changes of one event appear in the same snapshot, or none does. */
export interface UploadEvent {
  readonly id: string;
  readonly changes: readonly Change[];
}

export interface AcceptedEvent extends UploadEvent {
  /** Order of acceptance: 1, 2, 3 … without promise of being gapless. */
  readonly position: number;
  /** Milliseconds since the epoch. */
  readonly acceptedAt: number;
}

export type EventState =
  | { readonly state: 'accepted' }
  | { readonly state: 'published'; readonly snapshot: number }
  | { readonly state: 'rejected'; readonly code: string; readonly reason: string };

export interface Receipt {
  readonly id: string;
  readonly position: number;
  readonly state: EventState;
}

export interface Rejection {
  readonly position: number;
  readonly code: string;
  readonly reason: string;
}

/** Bins whose numbers follow each other: those of a layout, or some of them. */
export interface BinRange {
  readonly first: number;
  readonly count: number;
}

export interface BinVersion {
  readonly bin: number;
  readonly version: number;
}

/** What a publication is going to write, decided before anything is written; recovery reads it back and goes on. */
export interface Intent {
  /** Version of the snapshot: head + 1. */
  readonly snapshot: number;
  readonly timestamp: number;
  /** Time T of the plan, milliseconds since the epoch: all signed times derive from it. */
  readonly at: number;
  /** `expires` of what is signed: recorded, so that a changed setting cannot change the bytes of a recovered version. */
  readonly expires: { readonly timestamp: string; readonly snapshot: string; readonly bin: string };
  /** Versions of the offline roles that this snapshot names. */
  readonly roles: { readonly root: number; readonly targets: number; readonly bins: number };
  /** Positions of the events that this publication settles, ascending; `rejected` are among them. */
  readonly events: readonly number[];
  readonly rejected: readonly Rejection[];
  /** Every bin written, ascending, with its new version: touched by an event, or renewed. */
  readonly bins: readonly BinVersion[];
  /** Ids of the online keys that sign each of `bins`, decided here, so that recovery signs with the same. */
  readonly keyids?: readonly string[];
  /** Set when this publication renders simple index pages: in which form (src/simple/index-page.ts). */
  readonly pages?: number;
  /** Set when this publication changes the offline roles: SHA-256 of the ceremony bundle they come from. */
  readonly bundle?: string;
  /** Set with `bundle`: the newest root file, as text. It becomes the service's trust anchor. */
  readonly trustedRoot?: string;
  /** Set when this publication adds files that were prepared by back-signing: their order, and paths left out of it. */
  readonly backsign?: BacksignedFiles;
  /** Set when `bins` are those of a layout that is going to replace the current one, or does so now. */
  readonly rebin?: { readonly count: number; readonly generation: number };
  /** Set with `bundle` by an import: what was trusted until then, and is public until the publication is finished. */
  readonly replaces?: Pick<Head, 'roles' | 'trustedRoot'>;
}

/** What back-signing adds to the bins of a publication. */
export interface BacksignedFiles {
  /** SHA-256 of the order's content, which names the prepared files and their digest. */
  readonly order: string;
  /** Paths that were removed while the files were being prepared: the removal is the newer statement. */
  readonly except: readonly string[];
}

/** A file as it stands in the store. */
export interface SignedFile {
  /** Of the whole file, lower-case hex. */
  readonly sha256: string;
  /** Whose signatures it bears. */
  readonly keyids: readonly string[];
}

/** A record of the audit log, as it is kept (./audit-record.ts says what is in it). */
export interface AuditLine {
  readonly number: number;
  /** SHA-256 of `text`. */
  readonly hash: string;
  /** Canonical JSON, without a line break. */
  readonly text: string;
}

/** A record's place in the chain, for the log. */
export interface AuditMark {
  readonly number: number;
  readonly hash: string;
  readonly kind: 'began' | 'announced' | 'resumed' | 'reconciling' | 'helping' | 'signed' | 'adopted';
  readonly snapshot: number;
}

/** What the online key has signed for a publication. */
export interface SignedFiles {
  readonly snapshot: SignedFile;
  readonly timestamp: SignedFile;
  /** SHA-256 of the file of each of `intent.bins`, in their order. */
  readonly bins: readonly string[];
}

export interface Head {
  readonly snapshot: number;
  readonly timestamp: number;
  readonly at: number;
  readonly roles: Intent['roles'];
  /** The root file that this service trusts; the store is not asked. */
  readonly trustedRoot: string;
  /** The publication at the head, when it was committed but not finished: it must be completed first. */
  readonly unfinished?: Intent;
}

/** What a publication did to one target path. */
export interface TargetChange {
  readonly op: 'added' | 'replaced' | 'removed';
  readonly path: string;
  /** Present unless removed. */
  readonly target?: TargetFile;
  /** What the path named before; absent when added. */
  readonly previous?: TargetFile;
}

export interface Lease {
  readonly holder: string;
  /** Fencing token: grows each time the lease changes hands. */
  readonly epoch: number;
  /** Milliseconds since the epoch. */
  readonly until: number;
}

export interface LeaseRequest {
  /** Names this process for people and for itself: `host:pid:start`. */
  readonly holder: string;
  /** 0 releases a lease that `holder` has. */
  readonly ttlMs: number;
  readonly now: number;
  /** A holder that the caller knows to be dead: its lease ends at once. */
  readonly takeOverFrom?: string;
}

/** What an operator asks of whichever process publishes. */
export type OrderKind = 'import' | 'import-compromised' | 'renew' | 'renew-all' | 'backsign';

/** An order that no publisher has settled yet. */
export interface Order {
  /** 1, 2, 3 … in the order in which they were placed, without promise of being gapless. */
  readonly number: number;
  readonly kind: OrderKind;
  /** SHA-256 of its content. */
  readonly digest: string;
  /** Milliseconds since the epoch. */
  readonly placedAt: number;
}

/** How an order ended; `snapshot` is the publication that carried it out, or found nothing left to do. */
export type OrderOutcome =
  | { readonly state: 'done'; readonly snapshot: number }
  | { readonly state: 'refused'; readonly code: string; readonly reason: string };

export type OrderState = { readonly state: 'open' } | OrderOutcome;

export interface Ledger {
  /**
   * Accepts events, all or none, in this order. An id that is known with the same changes answers its first receipt.
   * @throws CountersignError `event-conflict` when an id is known with other changes (nothing is accepted).
   */
  append(events: readonly UploadEvent[], now: number): Promise<Receipt[]>;

  /** The events after `position` that no finished publication has settled, ascending, at most `limit`. */
  read(position: number, limit: number): Promise<AcceptedEvent[]>;

  /**
   * Takes, keeps or releases the right to publish. A lease that ends more than two `ttlMs` from `now` counts as
   * ended: no clock that agrees with ours wrote it.
   * @throws CountersignError `lease-lost` when another holder has it; details name `holder` and `until`.
   */
  lease(request: LeaseRequest): Promise<Lease>;

  /**
   * The commit point: moves the head to `intent.snapshot`, for the current lease only. The first intent (snapshot 1,
   * with `bundle` and `trustedRoot`) founds the repository. The same transaction announces in the audit log what is
   * going to be signed: nothing is signed that was not announced.
   * @throws CountersignError `head-moved` unless the head is finished and `intent.snapshot - 1` (details name the
   *   head), `lease-lost` when `epoch` is no longer the current lease's.
   */
  advance(epoch: number, intent: Intent): Promise<AuditMark>;

  /**
   * Announces in the audit log that the holder of the lease is going to sign something else than what it has just
   * committed: what a predecessor committed (`resumed`), or a timestamp for what the store shows (`reconciling`).
   * @throws CountersignError `lease-lost` when `epoch` is no longer the current lease's.
   */
  announce(epoch: number, kind: 'resumed' | 'reconciling', intent: Intent, now: number): Promise<AuditMark>;

  /**
   * Settles the publication: its events are published or rejected, its changes readable, what was signed recorded in
   * the audit log. Idempotent, not fenced. Undefined: it was settled before.
   */
  finish(
    intent: Intent,
    changes: readonly TargetChange[],
    signed: SignedFiles,
    now: number,
  ): Promise<AuditMark | undefined>;

  /**
   * Places an order and answers its number. `content`: the bundle to import, or where prepared
   * files are, as text; else empty. While one of the same
   * kind and content is open, it is the same order.
   */
  placeOrder(kind: OrderKind, content: string, now: number): Promise<number>;

  /** The orders that are open, ascending. */
  openOrders(): Promise<Order[]>;

  /** The content of an open order with this digest (SHA-256, lower-case hex); undefined when there is none. */
  orderContent(digest: string): Promise<string | undefined>;

  /** Settles an order; its content is forgotten. Idempotent: the first outcome stays. Not fenced. */
  settleOrder(number: number, outcome: OrderOutcome, now: number): Promise<void>;
}

/** What a store shows to be public and its ledger does not know of, because an older ledger was restored from a backup. */
export interface Adoption {
  /** The version of the head that it follows. An unfinished head is settled with it. */
  readonly follows: number;
  /**
   * The publication that the ledger is to stand at, as far as it can be told; `events` are those of this ledger that it
   * settles. `trustedRoot` is set when the root is newer than the head's; `bundle` is not known.
   */
  readonly intent: Intent;
  /** Every bin in which it differs from the head; `intent.bins` says the same versions. */
  readonly bins: readonly BinState[];
  /** Snapshot and timestamp as they stand in the store, for the audit log. */
  readonly snapshot: SignedFile;
  readonly timestamp: SignedFile;
}

/** What only an operator does with a ledger, in an emergency (src/publish/reconcile.ts). */
export interface Restoration {
  /**
   * Moves the head to what was published after the ledger's backup was made, for the current lease only: finished, its
   * events settled, its bins known. Changes up to it are not kept (`changes-expired`).
   * @throws CountersignError `head-moved` unless the head is `follows` and the adoption is ahead of it (details name
   *   the head), `lease-lost` when `epoch` is no longer the current lease's.
   */
  adopt(epoch: number, adoption: Adoption, now: number): Promise<AuditMark>;
}

export interface BinState {
  readonly bin: number;
  readonly version: number;
  /** Of the published file, lower-case hex: what the store must answer when the bin is edited next. */
  readonly sha256: string;
  /** Time T of the publication that signed it, milliseconds since the epoch. */
  readonly signedAt: number;
  /** Milliseconds since the epoch. */
  readonly expires: number;
  /** `keyids` of the publication that signed it; empty when that publication named none. */
  readonly keyids: readonly string[];
}

export interface SnapshotChanges {
  readonly snapshot: number;
  /** Time T of the publication, milliseconds since the epoch. */
  readonly at: number;
  readonly bins: readonly BinVersion[];
  readonly changes: readonly TargetChange[];
}

/** Is told what other processes did to the ledger. Its functions must not throw. */
export interface LedgerWatcher {
  /** Events were accepted, or an order was placed. */
  appended(): void;
  /** A publication was finished. */
  finished(): void;
}

export interface History {
  /** The latest publication, or undefined before bootstrap. */
  head(): Promise<Head | undefined>;

  /** State of the events with these ids; unknown ids are absent. */
  events(ids: readonly string[]): Promise<Map<string, Receipt>>;

  /** What finished publications after snapshot `after` changed, ascending, at most `limit` publications. */
  changes(after: number, limit: number): Promise<SnapshotChanges[]>;

  /** What `path` named in finished snapshots after `since` but names no longer, newest first. */
  formerTargets(path: string, since: number): Promise<TargetFile[]>;

  /** Counts, for status pages and backpressure. */
  backlog(): Promise<{ readonly events: number; readonly oldestAcceptedAt?: number }>;

  /**
   * Version and lifetime of every bin that was ever published, former and coming layouts included, in order of `bin`;
   * with `range` of those in it.
   */
  bins(range?: BinRange): Promise<BinState[]>;

  /** The newest snapshot that was finished at or before time `ms`, if any. */
  snapshotAt(ms: number): Promise<number | undefined>;

  /** What became of an order; undefined when it is unknown or forgotten. */
  orderState(number: number): Promise<OrderState | undefined>;

  /** The records of the audit log after `number`, ascending, at most `limit`. None is ever forgotten. */
  auditLines(number: number, limit: number): Promise<AuditLine[]>;

  /** The newest record of the audit log; undefined while nothing was signed. */
  auditHead(): Promise<Pick<AuditLine, 'number' | 'hash'> | undefined>;

  /** The current lease, ended or not. */
  currentLease(): Promise<Lease | undefined>;

  /**
   * Forgets settled events and changes of publications finished before `ms`, and orders settled before `ms`; returns how
   * many events went.
   */
  prune(ms: number): Promise<number>;

  /**
   * Tells `watcher` soon after another process wrote to the ledger, until the function that is returned is called, or
   * the ledger is closed. A hint: it may come for nothing, late, or once for many writes; after a connection was lost it
   * comes for what may have been missed. What this ledger object itself wrote is not told.
   */
  watch(watcher: LedgerWatcher): () => void;

  /** Releases files and connections. */
  close(): Promise<void>;
}
