// The ledger of several nodes: a PostgreSQL database. This file decides what is one transaction; the tables' own files
// say what is written.
import { CountersignError } from '../lib/errors.ts';
import type { TargetFile } from '../tuf/metadata.ts';
import { adoption as adopted, announcement, signature } from './audit-record.ts';
import { draftEvent } from './event-draft.ts';
import { GroupCommit } from './group-commit.ts';
import type {
  AcceptedEvent,
  Adoption,
  AuditLine,
  AuditMark,
  BinVersion,
  BinRange,
  BinState,
  Head,
  History,
  Intent,
  Lease,
  LeaseRequest,
  Ledger,
  LedgerWatcher,
  Order,
  OrderKind,
  OrderOutcome,
  OrderState,
  Receipt,
  Restoration,
  SignedFiles,
  SnapshotChanges,
  TargetChange,
  UploadEvent,
} from './ledger.ts';
import { adoptHead } from './postgres-adoption.ts';
import * as audit from './postgres-audit.ts';
import { limitsFor, PostgresConnection } from './postgres-connection.ts';
import * as events from './postgres-events.ts';
import * as history from './postgres-history.ts';
import { currentLease, fenceLease, requestLease } from './postgres-lease.ts';
import { PostgresListener } from './postgres-listener.ts';
import type { PostgresAccess } from './postgres-location.ts';
import * as orders from './postgres-orders.ts';
import { pruneSlice } from './postgres-pruning.ts';
import * as publications from './postgres-publications.ts';
import { ensurePostgresSchema } from './postgres-schema.ts';
import * as shares from './postgres-shares.ts';
import type { DoneShare, SharedWork, ShareRequest, TakenShare } from './shared-work.ts';

/** Events in one transaction of intake; the other nodes' intake waits for it. */
const GROUP_EVENTS = 4_000;

/** Milliseconds: a heartbeat that takes longer than the lease lives is of no use. */
const LEASE_LIMIT_MS = 3_000;

/**
 * Opens the ledger, creating its tables when there are none. Any number of processes may have it open.
 * @throws CountersignError `ledger-unavailable` when the server cannot be reached or does not keep what it confirms,
 *   `ledger-invalid` when the tables are not a ledger's, or those of a newer version, `config-invalid`.
 */
export async function openPostgresLedger(access: PostgresAccess): Promise<PostgresLedger> {
  return new PostgresLedger(access, await PostgresConnection.open(access, ensurePostgresSchema));
}

export class PostgresLedger implements Ledger, History, Restoration, SharedWork {
  readonly #connection: PostgresConnection;
  readonly #listener: PostgresListener;
  readonly #intake: GroupCommit<events.AppendJob, Receipt[]>;
  #closing = false;

  /** `connection` belongs to the ledger from here on; its schema must be in place. */
  constructor(access: PostgresAccess, connection: PostgresConnection) {
    this.#connection = connection;
    this.#listener = new PostgresListener(access, connection);
    this.#intake = new GroupCommit({
      commit: (jobs) =>
        connection.write((query) => events.acceptEvents(query, jobs, this.#listener.notice('appended'))),
      weigh: (job) => job.drafts.length,
      maxWeight: GROUP_EVENTS,
    });
  }

  async append(given: readonly UploadEvent[], now: number): Promise<Receipt[]> {
    if (this.#closing)
      throw new CountersignError('ledger-unavailable', `ledger ${this.#connection.uri} is closed`);
    return this.#intake.submit({ drafts: given.map(draftEvent), now });
  }

  read(position: number, limit: number): Promise<AcceptedEvent[]> {
    return this.#connection.read((query) =>
      events.pendingEvents(query, position, limit, this.#connection.uri),
    );
  }

  /** When `ttlMs` is 0 and `holder` has no lease to release, nothing changes and the answer is the lease as it stands. */
  lease(request: LeaseRequest): Promise<Lease> {
    return this.#connection.write((query) => requestLease(query, request), { transactionMs: LEASE_LIMIT_MS });
  }

  advance(epoch: number, intent: Intent): Promise<AuditMark> {
    return this.#connection.write(async (query) => {
      const lease = await fenceLease(query, epoch);
      await publications.advanceHead(query, intent, this.#connection.uri);
      const body = announcement('announced', intent, lease);
      return audit.appendAudit(query, body, intent.snapshot - 1, intent.at);
    }, limitsFor(intent.events.length));
  }

  announce(epoch: number, kind: 'resumed' | 'reconciling', intent: Intent, now: number): Promise<AuditMark> {
    return this.#connection.write(async (query) => {
      const lease = await fenceLease(query, epoch);
      await publications.lockedHead(query);
      return audit.appendAudit(query, announcement(kind, intent, lease), intent.snapshot - 1, now);
    }, limitsFor(intent.events.length));
  }

  finish(
    intent: Intent,
    changes: readonly TargetChange[],
    signed: SignedFiles,
    now: number,
  ): Promise<AuditMark | undefined> {
    return this.#connection.write(
      async (query) => {
        if ((await publications.settling(query, intent)) === 'finished') return undefined;
        await history.recordChanges(query, intent.snapshot, changes);
        await publications.finishPublication(query, intent, signed, now, this.#listener.notice('finished'));
        await events.settleEvents(query, intent.snapshot, intent.events, intent.rejected);
        const announced = await audit.announcementOf(query, intent.snapshot);
        return audit.appendAudit(query, signature(intent, signed, announced), intent.snapshot - 1, now);
      },
      limitsFor(intent.events.length + changes.length),
    );
  }

  adopt(epoch: number, adoption: Adoption, now: number): Promise<AuditMark> {
    return this.#connection.write(async (query) => {
      const lease = await fenceLease(query, epoch);
      await adoptHead(query, adoption, now, this.#connection.uri);
      const { snapshot, events: positions, rejected } = adoption.intent;
      await events.settleEvents(query, snapshot, positions, rejected);
      return audit.appendAudit(query, adopted(adoption, lease), adoption.follows, now);
    }, limitsFor(adoption.intent.events.length));
  }

  placeOrder(kind: OrderKind, content: string, now: number): Promise<number> {
    return this.#connection.write((query) =>
      orders.placeOrder(query, kind, content, now, this.#listener.notice('appended')),
    );
  }

  openOrders(): Promise<Order[]> {
    return this.#connection.read(orders.openOrders);
  }

  orderContent(digest: string): Promise<string | undefined> {
    return this.#connection.read((query) => orders.orderContent(query, digest));
  }

  settleOrder(number: number, outcome: OrderOutcome, now: number): Promise<void> {
    return this.#connection.write((query) => orders.settleOrder(query, number, outcome, now));
  }

  orderState(number: number): Promise<OrderState | undefined> {
    return this.#connection.read((query) => orders.orderState(query, number, this.#connection.uri));
  }

  offerShares(snapshot: number, offered: readonly (readonly BinVersion[])[]): Promise<void> {
    return this.#connection.write((query) =>
      shares.offerShares(query, snapshot, offered, this.#listener.notice('appended')),
    );
  }

  takeShare(request: ShareRequest): Promise<TakenShare | undefined> {
    return this.#connection.write((query) => shares.takeShare(query, request));
  }

  shareDone(share: DoneShare): Promise<void> {
    return this.#connection.write((query) => shares.shareDone(query, share));
  }

  doneShares(snapshot: number): Promise<DoneShare[]> {
    return this.#connection.read((query) => shares.doneShares(query, snapshot));
  }

  head(): Promise<Head | undefined> {
    return this.#connection.read((query) => publications.readHead(query, this.#connection.uri));
  }

  events(ids: readonly string[]): Promise<Map<string, Receipt>> {
    return this.#connection.read((query) => events.eventReceipts(query, ids));
  }

  changes(after: number, limit: number): Promise<SnapshotChanges[]> {
    return this.#connection.read((query) => history.changesAfter(query, after, limit, this.#connection.uri));
  }

  formerTargets(path: string, since: number): Promise<TargetFile[]> {
    return this.#connection.read((query) => history.formerTargets(query, path, since, this.#connection.uri));
  }

  backlog(): Promise<{ readonly events: number; readonly oldestAcceptedAt?: number }> {
    return this.#connection.read(events.backlogOf);
  }

  bins(range?: BinRange): Promise<BinState[]> {
    return this.#connection.read((query) => publications.readBins(query, range));
  }

  snapshotAt(ms: number): Promise<number | undefined> {
    return this.#connection.read((query) => history.snapshotAt(query, ms));
  }

  auditLines(number: number, limit: number): Promise<AuditLine[]> {
    return this.#connection.read((query) => audit.auditLines(query, number, limit));
  }

  auditHead(): Promise<Pick<AuditLine, 'number' | 'hash'> | undefined> {
    return this.#connection.read(audit.auditHead);
  }

  currentLease(): Promise<Lease | undefined> {
    return this.#connection.read(currentLease);
  }

  watch(watcher: LedgerWatcher): () => void {
    return this.#listener.watch(watcher);
  }

  async prune(ms: number): Promise<number> {
    await this.#connection.write((query) => orders.forgetOrders(query, ms));
    for (let count = 0; ;) {
      const slice = await this.#connection.write((query) => pruneSlice(query, ms));
      count += slice.events;
      if (slice.done) return count;
    }
  }

  /** Waits for the events that `append` was given before. May be called twice. */
  async close(): Promise<void> {
    this.#closing = true;
    await this.#intake.drained();
    await this.#listener.close();
    await this.#connection.close();
  }
}
