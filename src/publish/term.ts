// One publisher's time in office: from taking the lease to losing it. It begins with reading and checking everything
// that is public, finishes what a predecessor left, and then publishes batch by batch. After any error a new term
// begins, so that start-up, recovery and normal work are the same code.
import { CountersignError, FatalError } from '../lib/errors.ts';
import type { Logger } from '../lib/log.ts';
import { returnMemory } from '../lib/memory.ts';
import type { AcceptedEvent, BinState, Head, History, Intent, Lease, Order } from '../ledger/ledger.ts';
import { parseExpires, renewalAge } from '../tuf/lifetimes.ts';
import type { AlteredBins } from './altered-bins.ts';
import { gatherBatch, waitingEvents, type BatchSource } from './batch.ts';
import { binsHere, type BinDesk } from './bin-desk.ts';
import { commit, type CommitPorts, type Published } from './commit.ts';
import { checkNothingForeign } from './foreign-objects.ts';
import { ImportDesk } from './import-desk.ts';
import { completeImport, planImport } from './import-publication.ts';
import { keyProgress, type KeyProgress } from './key-progress.ts';
import { told } from './key-use.ts';
import { RECONCILE } from './ledger-behind.ts';
import { plan, type Plan } from './plan.ts';
import { isReached } from '../signing/late-signer.ts';
import type { BacksignDesk } from './prepared-files.ts';
import { readPublicState } from './public-state.ts';
import { checkRoom, completePreparation, rebinSources } from './rebin-publication.ts';
import { overwritingStore } from './overwriting-store.ts';
import { recover } from './recover.ts';
import { RenewalTable } from './renewals.ts';
import type { PublishSettings } from './settings.ts';
import { reachedKeyids, signersNamedBy, type Signers } from './signers.ts';
import type { OfflineRoles } from './verified-reads.ts';

/** Milliseconds that the clock may be behind the last publication: a correction by NTP, not a wrong clock. */
const CLOCK_TOLERANCE_MS = 60_000;

/** Events that the publication which ends a compromise settles at most; memory, and more than anybody decides by hand. */
const MAX_EVENTS_OF_RECOVERY = 1_000_000;

export interface TermPorts extends CommitPorts {
  readonly history: History;
  readonly settings: PublishSettings;
  readonly altered: AlteredBins;
  readonly log: Logger;
  /** Who reads, signs and writes bins; without it this thread does. */
  readonly bins?: BinDesk;
  /** Who prepared what an order to back-sign adds; without it such orders wait for another process. */
  readonly backsign?: BacksignDesk;
}

/** What one publication did. */
export interface PublicationReport {
  readonly plan: Plan;
  readonly events: readonly AcceptedEvent[];
  readonly startedAt: number;
  readonly durationMs: number;
}

export class Term {
  readonly #ports: TermPorts;
  readonly #lease: Lease;
  readonly #desk: ImportDesk;
  renewals: RenewalTable;
  /** Present while a key is being replaced, once it was reached. */
  nextKey: KeyProgress | undefined;
  #head: Head;
  #published: Published;
  #startedAt = Number.NEGATIVE_INFINITY;
  /** Whether the publication before was one of back-signing: then it is the turn of uploads and renewals. */
  #backsigned = false;
  /** The same of a publication that prepared bins of another layout. */
  #prepared = false;
  /** Number of the order to renew every bin that is being carried out. */
  #renewingAll: number | undefined;

  private constructor(
    ports: TermPorts,
    lease: Lease,
    head: Head,
    published: Published,
    bins: readonly BinState[],
  ) {
    this.#ports = ports;
    this.#desk = new ImportDesk(ports);
    this.#lease = lease;
    this.#head = head;
    this.#published = published;
    this.renewals = new RenewalTable(bins, ports.settings.lifetimes.binMs, ports.settings.minIntervalMs);
    this.nextKey = keyProgress(ports.nextSigner, bins);
  }

  /**
   * Reads what is public, checks it against the ledger, and completes an unfinished publication.
   * @throws CountersignError `not-bootstrapped`, `key-mismatch`; FatalError when the store is not what the ledger says.
   */
  static async begin(ports: TermPorts, lease: Lease): Promise<Term> {
    const compromise = (await ports.ledger.openOrders()).find(isCompromise);
    const timestamp = compromise === undefined ? 'verified' : 'ignored';
    const state = await readPublicState(ports.history, ports.store, { timestamp });
    const { head } = state;
    let { published, bins } = state;
    const { unfinished } = head;
    if (compromise === undefined) {
      // While an import is being finished, it is the roles to come that this process must be able to sign.
      if (unfinished?.replaces === undefined) checkSigner(published.roles, ports);
      checkTimestamp(head, published.timestamp?.envelope.signed.version);
    }
    if (unfinished !== undefined) {
      ports.log.info({ snapshot: head.snapshot }, 'completing an unfinished publication');
      told(ports, await ports.ledger.announce(lease.epoch, 'resumed', unfinished, ports.clock.now()));
      const store = compromise === undefined ? ports.store : overwritingStore(ports.store);
      published = await finish({ ...ports, store }, published, unfinished).catch(async (error: unknown) => {
        await checkUnfinished(ports.history, head, error);
        throw error;
      });
      if (unfinished.rebin === undefined) bins = await ports.history.bins(published.snapshot.layout);
      else ({ published, bins } = await readPublicState(ports.history, ports.store));
    }
    const term = new Term(ports, lease, withoutIntent(head), published, bins);
    if (compromise === undefined) {
      checkSigner(published.roles, ports);
      return term;
    }
    // Before anything else is read or signed: what is public may be the thief's. Then everything is checked as always.
    await term.#import(compromise, term.#time());
    return Term.begin(ports, lease);
  }

  get published(): Published {
    return this.#published;
  }

  /**
   * Publishes what waits: events, renewals, or fresh timestamps. Undefined when there is nothing to do.
   * @throws any error of `commit`; the term is over then.
   */
  async publish(): Promise<PublicationReport | undefined> {
    const now = this.#time();
    const { ledger, history, nextSigner } = this.#ports;
    if (this.nextKey === undefined && nextSigner !== undefined && isReached(nextSigner)) {
      this.nextKey = keyProgress(nextSigner, await history.bins(this.#published.snapshot.layout));
    }
    const orders = await ledger.openOrders();
    const left = this.#prepared;
    this.#prepared = false;
    let waiting = false;
    for (const order of orders.filter(left ? isCompromise : isImport)) {
      if (waiting && !isCompromise(order)) continue;
      const report = await this.#import(order, now);
      if (report !== undefined) return report;
      waiting ||= this.#desk.waits(order, now);
    }
    const report = await this.#publishWaiting(orders, now);
    // The turn that was left to uploads and renewals: when they do not need it, the import goes on at once.
    return report === undefined && left ? this.publish() : report;
  }

  async #publishWaiting(orders: readonly Order[], now: number): Promise<PublicationReport | undefined> {
    const { clock, settings } = this.#ports;
    if (now - this.#startedAt < settings.minIntervalMs) return undefined;
    const backsigned = await this.#backsign(orders, now);
    if (backsigned !== undefined) return backsigned;
    const renewal = await this.#renewalOrders(orders);
    const source = sourceOf(this.#ports, this.#published);
    const waiting = await waitingEvents(source, settings.maxEvents, now);
    const { altered } = this.#ports;
    const due = this.renewals.next(now, waiting.length > 0, (bin) => altered.isHeld(bin, now));
    const expiring = renewal !== undefined || this.#expiring(now);
    if (waiting.length === 0 && due.length === 0 && !expiring) return undefined;
    const batch = await gatherBatch(source, waiting, due, now);
    if (batch.events.length === 0 && batch.renewals.length === 0 && !expiring) return undefined;
    const { snapshot, roles } = this.#published;
    const planned = plan({
      head: this.#head,
      snapshot,
      events: batch.events,
      lookup: (path) => batch.lookup(path),
      sizeOf: (bin) => batch.sizeOf(bin),
      ...(batch.pages === undefined ? {} : { pages: batch.pages }),
      renewals: batch.renewals,
      now,
      lifetimes: settings.lifetimes,
      keyids: signersNamedBy(this.#ports, roles.binTrust).map(({ keyid }) => keyid),
    });
    this.#startedAt = now;
    this.#published = await commit(this.#ports, this.#lease, this.#published, planned, source.bins);
    // The snapshot before was this term's alone, and is in nobody's hands any more.
    returnMemory(snapshot.signed);
    this.#follow(planned.intent, batch.events.length > 0);
    if (renewal !== undefined) await this.#settle(renewal);
    return { plan: planned, events: batch.events, startedAt: now, durationMs: clock.now() - now };
  }

  /** Publishes the next step of an import; undefined when there is none now. */
  async #import(order: Order, now: number): Promise<PublicationReport | undefined> {
    const { ledger, clock, settings, store } = this.#ports;
    const published = this.#published;
    const { trustedRoot } = this.#head;
    const turn = await this.#desk.next(order, { ...this.#ports, published, trustedRoot }, now);
    if (turn === undefined) return undefined;
    const { rebin } = turn.step;
    const preparing = rebin?.switches === false;
    const compromised = isCompromise(order);
    const source = sourceOf(this.#ports, published);
    const read = rebin === undefined ? turn.step.bins : rebinSources(rebin, published);
    // PEP 458 "In the event of a key compromise": targets are restored first, then everything is signed again. So what
    // "countersign recover" has decided goes into the same publication.
    const waiting = compromised ? await waitingEvents(source, MAX_EVENTS_OF_RECOVERY, now) : [];
    const batch = await gatherBatch(source, waiting, read, now);
    try {
      checkAllRead(read, batch.renewals, this.#ports.altered);
      if (rebin !== undefined) checkRoom(rebin, published, (bin) => batch.sizeOf(bin));
      if (compromised) {
        await checkNothingForeign(store, this.#head, await this.#ports.history.bins(), published.snapshot);
      }
    } catch (error) {
      if (await this.#desk.refuse(order, error)) return undefined;
      throw error;
    }
    const { lifetimes } = settings;
    const input = { head: this.#head, published, signers: this.#ports, now, lifetimes, batch };
    const planned = planImport(turn, turn.step, input);
    // What only prepares bins does not keep uploads waiting for another interval.
    if (!preparing) this.#startedAt = now;
    this.#prepared = preparing;
    told(this.#ports, await ledger.advance(this.#lease.epoch, planned.intent)); // COMMIT POINT
    this.#published =
      rebin !== undefined && preparing
        ? await completePreparation(this.#ports, published, planned.intent, rebin.layout, source.bins)
        : await completeImport(this.#ports, published, planned, turn.bundle, source.bins, compromised);
    this.#follow(planned.intent, batch.events.length > 0);
    if (rebin?.switches === true) await this.#readAnew();
    this.#desk.published(turn);
    return { plan: planned, events: batch.events, startedAt: now, durationMs: clock.now() - now };
  }

  /** The bins are others now: everything is known of them as at the beginning of a term. */
  async #readAnew(): Promise<void> {
    const { history, store, settings, nextSigner } = this.#ports;
    const { published, bins } = await readPublicState(history, store);
    this.#published = published;
    this.renewals = new RenewalTable(bins, settings.lifetimes.binMs, settings.minIntervalMs);
    this.nextKey = keyProgress(nextSigner, bins);
  }

  /** Adds files that were prepared for the oldest order to back-sign; every other turn is left to everything else. */
  async #backsign(orders: readonly Order[], now: number): Promise<PublicationReport | undefined> {
    const { ledger, clock, backsign: desk } = this.#ports;
    const order = orders.find(({ kind }) => kind === 'backsign');
    this.#backsigned = !this.#backsigned && order !== undefined && desk !== undefined;
    if (!this.#backsigned || order === undefined || desk === undefined) return undefined;
    const published = this.#published;
    const intent = await desk.next(order, this.#ports, published, this.#head, now);
    if (intent === undefined) return undefined;
    this.#startedAt = now;
    told(this.#ports, await ledger.advance(this.#lease.epoch, intent)); // COMMIT POINT
    this.#published = await desk.complete(this.#ports, published, intent);
    this.#follow(intent, false);
    return { plan: { intent, changes: [] }, events: [], startedAt: now, durationMs: clock.now() - now };
  }

  /** Takes in what operators asked to be renewed. Answers the order that the next publication settles, if there is one. */
  async #renewalOrders(orders: readonly Order[]): Promise<Order | undefined> {
    const all = orders.find(({ kind }) => kind === 'renew-all');
    if (all !== undefined && all.number !== this.#renewingAll) {
      this.#renewingAll = all.number;
      this.renewals.order(all.placedAt);
    }
    if (all !== undefined && this.renewals.ordered === 0) await this.#settle(all);
    return orders.find(({ kind }) => kind === 'renew');
  }

  async #settle({ number }: Order): Promise<void> {
    const { ledger, clock } = this.#ports;
    await ledger.settleOrder(number, { state: 'done', snapshot: this.#head.snapshot }, clock.now());
  }

  /** What is known here after a publication. */
  #follow(intent: Intent, withEvents: boolean): void {
    const { snapshot, timestamp, at, roles, trustedRoot = this.#head.trustedRoot } = intent;
    this.#head = { snapshot, timestamp, at, roles, trustedRoot };
    this.renewals.signed(intent.bins, at, parseExpires(intent.expires.bin), withEvents);
    this.nextKey?.signed(intent.bins, intent.keyids ?? []);
  }

  /** Time T of a publication: never before the head's. */
  #time(): number {
    const now = this.#ports.clock.now();
    const behind = this.#head.at - now;
    if (behind <= 0) return now;
    if (behind <= CLOCK_TOLERANCE_MS) return this.#head.at;
    throw new CountersignError(
      'clock-backwards',
      `the clock says ${new Date(now).toISOString()}, the last publication was made at ` +
        `${new Date(this.#head.at).toISOString()}; nothing is published until the clock has passed that time`,
    );
  }

  /** True when timestamp or snapshot has lived half of its life. */
  #expiring(now: number): boolean {
    const { snapshot, timestamp } = this.#published;
    const { lifetimes } = this.#ports.settings;
    const isDue = (expires: string, lifetimeMs: number): boolean => {
      const age = Math.min(renewalAge(lifetimeMs), renewalAge(parseExpires(expires) - this.#head.at));
      return now >= this.#head.at + age;
    };
    return (
      isDue(snapshot.expires, lifetimes.snapshotMs) ||
      (timestamp !== undefined && isDue(timestamp.envelope.signed.expires, lifetimes.timestampMs))
    );
  }
}

/**
 * The publisher before may still be at work, and its last publication is as good as ours: the ledger does not fence
 * the end of a publication. What then looks like damage is only that it came first.
 * @throws CountersignError `head-moved`: begin again.
 */
async function checkUnfinished(history: History, head: Head, cause: unknown): Promise<void> {
  const now = await history.head();
  if (now?.snapshot === head.snapshot && now.unfinished !== undefined) return;
  const message = `publication ${head.snapshot} was finished by the publisher before`;
  throw new CountersignError('head-moved', message, { cause });
}

/**
 * A key of this process must be enough, alone, for every online role.
 * @throws CountersignError `key-mismatch` that names the keys.
 */
export function checkSigner(
  { root, bins, binTrust, snapshotTrust, timestampTrust }: OfflineRoles,
  signers: Signers,
): void {
  for (const [role, trust, version] of [
    ['timestamp', timestampTrust, root.version],
    ['snapshot', snapshotTrust, root.version],
    ['every bin', binTrust, bins.version],
  ] as const) {
    if (signersNamedBy(signers, trust).length > 0 && trust.threshold === 1) continue;
    throw new CountersignError(
      'key-mismatch',
      `the signer has key ${reachedKeyids(signers).join(' and the next one ')}; for ` +
        `${role}, ${role === 'every bin' ? 'bins' : 'root'} version ${version} names ${trust.keyids.join(', ')} with ` +
        `threshold ${trust.threshold}`,
    );
  }
}

/** @throws CountersignError `bin-altered`. */
function checkAllRead(wanted: readonly number[], read: readonly number[], altered: AlteredBins): void {
  if (read.length === wanted.length) return;
  const reasons = altered.list().map(({ message }) => message);
  throw new CountersignError(
    'bin-altered',
    `${wanted.length - read.length} of ${wanted.length} bins to be signed again are not what was published: ` +
      reasons.join('; '),
  );
}

/** Finishes what a predecessor committed. @throws as `recover`; `backsign-state` where prepared files are out of reach. */
function finish(ports: TermPorts, published: Published, intent: Intent): Promise<Published> {
  if (intent.backsign === undefined) return recover(ports, published, sourceOf(ports, published), intent);
  if (ports.backsign !== undefined) return ports.backsign.complete(ports, published, intent);
  throw new CountersignError(
    'backsign-state',
    `publication ${intent.snapshot} adds files that were prepared by "countersign backsign", which must finish it`,
  );
}

function isImport({ kind }: Order): boolean {
  return kind === 'import' || kind === 'import-compromised';
}

function isCompromise({ kind }: Order): boolean {
  return kind === 'import-compromised';
}

function sourceOf(ports: TermPorts, { roles, snapshot, digests }: Published): BatchSource {
  const { ledger, store, signer, nextSigner, bins: desk = binsHere, altered, log, settings } = ports;
  const signers = { signer, ...(nextSigner && { nextSigner }) };
  const bins = desk.begin({ store, roles, signers });
  return { ledger, store, snapshot, digests, bins, altered, log, renderPages: settings.renderPages ?? false };
}

function withoutIntent({ snapshot, timestamp, at, roles, trustedRoot }: Head): Head {
  return { snapshot, timestamp, at, roles, trustedRoot };
}

/** The store must be exactly where the ledger left it; one step behind only while that step is being completed. */
function checkTimestamp(head: Head, version: number | undefined): void {
  const lowest = head.unfinished === undefined ? head.timestamp : head.timestamp - 1;
  if (version !== undefined && version >= lowest && version <= head.timestamp) return;
  const found = version === undefined ? 'no timestamp.json' : `timestamp version ${version}`;
  throw new FatalError(
    'timestamp-conflict',
    `the store has ${found}, the ledger says version ${head.timestamp} was published; ` +
      (version !== undefined && version > head.timestamp
        ? RECONCILE
        : 'the store was rolled back: bring it forward from a backup or a mirror'),
  );
}
