// The embedded ledger: one SQLite file, for one machine. This file decides what is one transaction; the tables'
// own files say what is written.
import { CountersignError } from '../lib/errors.ts';
import { draftEvent, type EventDraft } from './event-draft.ts';
import { GroupCommit, type Outcome } from './group-commit.ts';
import type {
  AcceptedEvent,
  Adoption,
  AuditLine,
  AuditMark,
  BinRange,
  BinVersion,
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
import type { TargetFile } from '../tuf/metadata.ts';
import { adoption as adopted, announcement, signature } from './audit-record.ts';
import { adoptionTable, type AdoptionTable } from './sqlite-adoption.ts';
import { auditTable, type AuditTable } from './sqlite-audit.ts';
import { SqliteConnection } from './sqlite-connection.ts';
import { eventTable, type EventTable } from './sqlite-events.ts';
import { changeTable, type ChangeTable } from './sqlite-history.ts';
import { leaseTable, type LeaseTable } from './sqlite-lease.ts';
import { orderTable, type OrderTable } from './sqlite-orders.ts';
import { pruning, type Pruning } from './sqlite-pruning.ts';
import { publicationTable, type PublicationTable } from './sqlite-publications.ts';
import type { DoneShare, SharedWork, ShareRequest, TakenShare } from './shared-work.ts';
import { ensureSchema } from './sqlite-schema.ts';
import { shareTable, type ShareTable } from './sqlite-shares.ts';
import { SqliteWatch } from './sqlite-watch.ts';

/** Events in one transaction of intake: about 100 ms in which nothing else runs. */
const GROUP_EVENTS = 4_000;

interface AppendJob {
  readonly drafts: readonly EventDraft[];
  readonly now: number;
}

/**
 * Opens the ledger in the file `path`, creating it (mode 0600) when there is none; its directory must exist. Several
 * processes may have it open. `:memory:` is a ledger that ends with `close`.
 * @throws CountersignError `ledger-unavailable` when the file cannot be opened or made durable, `ledger-invalid` when
 *   it is not a ledger, or one of a newer version.
 */
export async function openSqliteLedger(path: string): Promise<SqliteLedger> {
  return new SqliteLedger(await SqliteConnection.open(path, ensureSchema));
}

export class SqliteLedger implements Ledger, History, Restoration, SharedWork {
  readonly #connection: SqliteConnection;
  readonly #events: EventTable;
  readonly #leases: LeaseTable;
  readonly #publications: PublicationTable;
  readonly #changes: ChangeTable;
  readonly #orders: OrderTable;
  readonly #adoptions: AdoptionTable;
  readonly #audit: AuditTable;
  readonly #shares: ShareTable;
  readonly #pruning: Pruning;
  readonly #watch: SqliteWatch;
  readonly #intake: GroupCommit<AppendJob, Receipt[]>;
  #closing = false;

  /** `connection` belongs to the ledger from here on; its schema must be in place. */
  constructor(connection: SqliteConnection) {
    this.#connection = connection;
    this.#events = eventTable(connection);
    this.#leases = leaseTable(connection);
    this.#publications = publicationTable(connection);
    this.#changes = changeTable(connection);
    this.#orders = orderTable(connection);
    this.#adoptions = adoptionTable(connection);
    this.#audit = auditTable(connection);
    this.#shares = shareTable(connection, this.#leases, this.#audit);
    this.#pruning = pruning(connection);
    this.#watch = new SqliteWatch(connection);
    this.#intake = new GroupCommit({
      commit: (jobs) => connection.write(() => jobs.map((job) => this.#accept(job))),
      weigh: (job) => job.drafts.length,
      maxWeight: GROUP_EVENTS,
    });
  }

  async append(events: readonly UploadEvent[], now: number): Promise<Receipt[]> {
    if (this.#closing)
      throw new CountersignError('ledger-unavailable', `ledger ${this.#connection.path} is closed`);
    return this.#intake.submit({ drafts: events.map(draftEvent), now });
  }

  read(position: number, limit: number): Promise<AcceptedEvent[]> {
    return this.#reading(() => this.#events.pending(position, limit));
  }

  /** When `ttlMs` is 0 and `holder` has no lease to release, nothing changes and the answer is the lease as it stands. */
  lease(request: LeaseRequest): Promise<Lease> {
    return this.#writing(() => this.#leases.request(request));
  }

  advance(epoch: number, intent: Intent): Promise<AuditMark> {
    return this.#writing(() => {
      const lease = this.#leases.fence(epoch);
      this.#publications.advance(intent);
      return this.#audit.append(announcement('announced', intent, lease), intent.snapshot - 1, intent.at);
    });
  }

  announce(epoch: number, kind: 'resumed' | 'reconciling', intent: Intent, now: number): Promise<AuditMark> {
    return this.#writing(() => {
      const lease = this.#leases.fence(epoch);
      return this.#audit.append(announcement(kind, intent, lease), intent.snapshot - 1, now);
    });
  }

  finish(
    intent: Intent,
    changes: readonly TargetChange[],
    signed: SignedFiles,
    now: number,
  ): Promise<AuditMark | undefined> {
    return this.#writing(() => {
      if (this.#publications.settling(intent) === 'finished') return undefined;
      this.#changes.record(intent.snapshot, changes);
      this.#events.settle(intent.snapshot, intent.events, intent.rejected);
      this.#publications.finish(intent, signed, now);
      const announced = this.#audit.announcementOf(intent.snapshot);
      return this.#audit.append(signature(intent, signed, announced), intent.snapshot - 1, now);
    });
  }

  adopt(epoch: number, adoption: Adoption, now: number): Promise<AuditMark> {
    return this.#writing(() => {
      const lease = this.#leases.fence(epoch);
      this.#adoptions.move(adoption, now);
      const { snapshot, events, rejected } = adoption.intent;
      this.#events.settle(snapshot, events, rejected);
      return this.#audit.append(adopted(adoption, lease), adoption.follows, now);
    });
  }

  placeOrder(kind: OrderKind, content: string, now: number): Promise<number> {
    return this.#writing(() => this.#orders.place(kind, content, now));
  }

  openOrders(): Promise<Order[]> {
    return this.#reading(() => this.#orders.open());
  }

  orderContent(digest: string): Promise<string | undefined> {
    return this.#reading(() => this.#orders.content(digest));
  }

  settleOrder(number: number, outcome: OrderOutcome, now: number): Promise<void> {
    return this.#writing(() => {
      this.#orders.settle(number, outcome, now);
    });
  }

  orderState(number: number): Promise<OrderState | undefined> {
    return this.#reading(() => this.#orders.state(number));
  }

  offerShares(snapshot: number, shares: readonly (readonly BinVersion[])[]): Promise<void> {
    return this.#writing(() => {
      this.#shares.offer(snapshot, shares);
    });
  }

  takeShare(request: ShareRequest): Promise<TakenShare | undefined> {
    return this.#writing(() => this.#shares.take(request));
  }

  shareDone(share: DoneShare): Promise<void> {
    return this.#writing(() => {
      this.#shares.done(share);
    });
  }

  doneShares(snapshot: number): Promise<DoneShare[]> {
    return this.#reading(() => this.#shares.doneOf(snapshot));
  }

  head(): Promise<Head | undefined> {
    return this.#reading(() => this.#publications.head());
  }

  events(ids: readonly string[]): Promise<Map<string, Receipt>> {
    return this.#reading(() => this.#events.receipts(ids));
  }

  changes(after: number, limit: number): Promise<SnapshotChanges[]> {
    return this.#reading(() => this.#changes.after(after, limit));
  }

  formerTargets(path: string, since: number): Promise<TargetFile[]> {
    return this.#reading(() => this.#changes.former(path, since));
  }

  backlog(): Promise<{ readonly events: number; readonly oldestAcceptedAt?: number }> {
    return this.#reading(() => this.#events.backlog());
  }

  bins(range?: BinRange): Promise<BinState[]> {
    return this.#reading(() => this.#publications.bins(range));
  }

  snapshotAt(ms: number): Promise<number | undefined> {
    return this.#reading(() => this.#changes.snapshotAt(ms));
  }

  auditLines(number: number, limit: number): Promise<AuditLine[]> {
    return this.#reading(() => this.#audit.lines(number, limit));
  }

  auditHead(): Promise<Pick<AuditLine, 'number' | 'hash'> | undefined> {
    return this.#reading(() => this.#audit.head());
  }

  currentLease(): Promise<Lease | undefined> {
    return this.#reading(() => this.#leases.current());
  }

  watch(watcher: LedgerWatcher): () => void {
    return this.#watch.add(watcher);
  }

  async prune(ms: number): Promise<number> {
    let events = 0;
    await this.#writing(() => {
      this.#orders.forget(ms);
    });
    for (;;) {
      const slice = await this.#writing(() => this.#pruning.slice(ms));
      events += slice.events;
      if (slice.done) return events;
      await new Promise<void>((resolve) => {
        setImmediate(resolve);
      });
    }
  }

  /** Waits for the events that `append` was given before. May be called twice. */
  async close(): Promise<void> {
    this.#closing = true;
    await this.#intake.drained();
    this.#watch.end();
    this.#connection.close();
  }

  #accept(job: AppendJob): Outcome<Receipt[]> {
    try {
      return { result: this.#events.accept(job.drafts, job.now) };
    } catch (error) {
      // A conflict was found before anything was written: the others in this transaction are not touched by it.
      if (error instanceof CountersignError) return { error };
      throw error;
    }
  }

  #reading<T>(work: () => T): Promise<T> {
    return new Promise((resolve) => {
      resolve(this.#connection.read(work));
    });
  }

  #writing<T>(work: () => T): Promise<T> {
    return new Promise((resolve) => {
      resolve(this.#connection.write(work));
    });
  }
}
