// One publisher's time in office: from taking the lease to losing it. It begins with reading and checking everything
// that is public, finishes what a predecessor left, and then publishes batch by batch. After any error a new term
// begins, so that start-up, recovery and normal work are the same code.
import { CountersignError, FatalError } from '../lib/errors.ts';
import type { Logger } from '../lib/log.ts';
import type { AcceptedEvent, Head, History, Lease } from '../ledger/ledger.ts';
import { parseExpires, renewalAge } from '../tuf/lifetimes.ts';
import type { AlteredBins } from './altered-bins.ts';
import { gatherBatch, waitingEvents, type BatchSource } from './batch.ts';
import { commit, type CommitPorts, type Published } from './commit.ts';
import { plan, type Plan } from './plan.ts';
import { readPublicState } from './public-state.ts';
import { recover } from './recover.ts';
import { RenewalTable } from './renewals.ts';
import type { PublishSettings } from './settings.ts';
import type { OfflineRoles } from './verified-reads.ts';

/** Milliseconds that the clock may be behind the last publication: a correction by NTP, not a wrong clock. */
const CLOCK_TOLERANCE_MS = 60_000;

export interface TermPorts extends CommitPorts {
  readonly history: History;
  readonly settings: PublishSettings;
  readonly altered: AlteredBins;
  readonly log: Logger;
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
  readonly renewals: RenewalTable;
  #head: Head;
  #published: Published;
  #startedAt = Number.NEGATIVE_INFINITY;

  private constructor(
    ports: TermPorts,
    lease: Lease,
    head: Head,
    published: Published,
    renewals: RenewalTable,
  ) {
    this.#ports = ports;
    this.#lease = lease;
    this.#head = head;
    this.#published = published;
    this.renewals = renewals;
  }

  /**
   * Reads what is public, checks it against the ledger, and completes an unfinished publication.
   * @throws CountersignError `not-bootstrapped`, `key-mismatch`; FatalError when the store is not what the ledger says.
   */
  static async begin(ports: TermPorts, lease: Lease): Promise<Term> {
    const state = await readPublicState(ports.history, ports.store);
    const { head } = state;
    let { published } = state;
    checkSigner(published.roles, ports.signer.keyid);
    checkTimestamp(head, published.timestamp?.envelope.signed.version);
    if (head.unfinished !== undefined) {
      const source = sourceOf(ports, published);
      ports.log.info({ snapshot: head.snapshot }, 'completing an unfinished publication');
      published = await recover(ports, published, source, head.unfinished).catch(async (error: unknown) => {
        await checkUnfinished(ports.history, head, error);
        throw error;
      });
    }
    const { lifetimes } = ports.settings;
    const renewals = new RenewalTable(await ports.history.bins(), lifetimes.binMs);
    return new Term(ports, lease, withoutIntent(head), published, renewals);
  }

  get published(): Published {
    return this.#published;
  }

  /**
   * Publishes what waits: events, renewals, or fresh timestamps. Undefined when there is nothing to do.
   * @throws any error of `commit`; the term is over then.
   */
  async publish(): Promise<PublicationReport | undefined> {
    const { clock, settings } = this.#ports;
    const now = this.#time();
    if (now - this.#startedAt < settings.minIntervalMs) return undefined;
    const source = sourceOf(this.#ports, this.#published);
    const waiting = await waitingEvents(source, settings.maxEvents, now);
    const { altered } = this.#ports;
    const due = this.renewals.next(now, waiting.length > 0, (bin) => altered.isHeld(bin, now));
    if (waiting.length === 0 && due.length === 0 && !this.#expiring(now)) return undefined;
    const batch = await gatherBatch(source, waiting, due, now);
    if (batch.events.length === 0 && batch.renewals.length === 0 && !this.#expiring(now)) return undefined;
    const { snapshot } = this.#published;
    const planned = plan({
      head: this.#head,
      snapshot,
      events: batch.events,
      lookup: (path) => batch.lookup(path),
      sizeOf: (bin) => batch.sizeOf(bin),
      renewals: batch.renewals,
      now,
      lifetimes: settings.lifetimes,
    });
    this.#startedAt = now;
    this.#published = await commit(this.#ports, this.#lease, this.#published, planned, (bin) =>
      batch.document(bin),
    );
    const { intent } = planned;
    this.#head = { ...this.#head, snapshot: intent.snapshot, timestamp: intent.timestamp, at: intent.at };
    const expires = parseExpires(intent.expires.bin);
    this.renewals.signed(intent.bins, intent.at, expires, batch.events.length > 0);
    return { plan: planned, events: batch.events, startedAt: now, durationMs: clock.now() - now };
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
 * The key that this process signs with must be enough, alone, for every online role.
 * @throws CountersignError `key-mismatch` that names both keys.
 */
export function checkSigner(
  { root, bins, binTrust, snapshotTrust, timestampTrust }: OfflineRoles,
  keyid: string,
): void {
  for (const [role, trust, version] of [
    ['timestamp', timestampTrust, root.version],
    ['snapshot', snapshotTrust, root.version],
    ['every bin', binTrust, bins.version],
  ] as const) {
    if (trust.keyids.includes(keyid) && trust.threshold === 1) continue;
    throw new CountersignError(
      'key-mismatch',
      `the signer has key ${keyid}; for ${role}, ${role === 'every bin' ? 'bins' : 'root'} version ${version} names ` +
        `${trust.keyids.join(', ')} with threshold ${trust.threshold}`,
    );
  }
}

function sourceOf({ ledger, store, altered, log }: TermPorts, published: Published): BatchSource {
  const { roles, snapshot, digests } = published;
  return { ledger, store, roles, snapshot, digests, altered, log };
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
        ? 'the ledger is older than the store: restore the newer one'
        : 'the store was rolled back: restore the newer object'),
  );
}
