// The publisher: one loop that holds the lease or stands by, and publishes while there is something to publish. The
// next batch is whatever arrived while the last one was published. (docs/life-of-an-upload.md)
//
// Next: ./term.ts, ./batch.ts
import { CountersignError, FatalError, hasCode, messageOf, type ErrorCode } from '../lib/errors.ts';
import type { Metrics } from '../lib/metrics.ts';
import { parseExpires } from '../tuf/lifetimes.ts';
import type { Lease } from '../ledger/ledger.ts';
import { AlteredBins } from './altered-bins.ts';
import { keyProgress } from './key-progress.ts';
import { auditLog } from './key-use.ts';
import { checkStillHeld, LEASE_TTL_MS, takeLease, type LeaseTaker } from './lease.ts';
import { readPublicState } from './public-state.ts';
import { RenewalTable } from './renewals.ts';
import type { PublisherStatus } from './status.ts';
import { Term, type PublicationReport, type TermPorts } from './term.ts';
import type { PublicationWaiter } from './waiter.ts';

/** Milliseconds between two looks into the ledger for events that another process accepted. */
const POLL_MS = 100;

/** Milliseconds: pause after an error, doubled each time up to the limit. */
const FIRST_PAUSE_MS = 100;
const LONGEST_PAUSE_MS = 5000;

export interface PublisherPorts extends Omit<TermPorts, 'altered'>, LeaseTaker {
  readonly metrics: Metrics;
  readonly waiter: PublicationWaiter;
}

type Problem = NonNullable<PublisherStatus['problem']>;

export class Publisher {
  readonly #ports: PublisherPorts;
  readonly #altered = new AlteredBins();
  readonly #stopping = new AbortController();
  #woken = new AbortController();
  #role: PublisherStatus['role'] = 'starting';
  #problem: Problem | undefined;
  #term: Term | undefined;
  /** What is public, while this process stands by or has not come to publish. */
  #observed: Pick<Term, 'published' | 'renewals' | 'nextKey'> | undefined;
  #last: PublisherStatus['lastPublication'];
  #loop: Promise<void> | undefined;

  constructor(ports: PublisherPorts) {
    this.#ports = ports;
  }

  /** Begins to publish, or to stand by. Returns at once. */
  start(): void {
    this.#loop ??= this.#run();
  }

  /** Events were accepted: do not sleep on. */
  wake(): void {
    this.#woken.abort();
  }

  /** Finishes the publication in hand, gives the lease back. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    this.wake();
    await this.#loop;
  }

  status(): PublisherStatus {
    const now = this.#ports.clock.now();
    const known = this.#term ?? this.#observed;
    return {
      role: this.#role,
      ...(this.#problem === undefined ? {} : { problem: this.#problem }),
      ...(known === undefined ? {} : { published: describePublished(known) }),
      alteredBins: this.#altered.list(),
      renewalsDue: known?.renewals.dueCount(now) ?? 0,
      ...(known?.nextKey && { nextKey: { keyid: known.nextKey.keyid, binsSigned: known.nextKey.count } }),
      ...(this.#last === undefined ? {} : { lastPublication: this.#last }),
    };
  }

  async #run(): Promise<void> {
    let pauseMs = FIRST_PAUSE_MS;
    while (!this.#stopping.signal.aborted) {
      try {
        const lease = await takeLease(this.#ports.ledger, this.#ports.clock, this.#ports);
        await this.#serve(lease, () => {
          pauseMs = FIRST_PAUSE_MS;
        });
      } catch (error) {
        this.#note(error);
        if (error instanceof FatalError) break;
        if (this.#role === 'standby' || this.#term === undefined) await this.#observe();
        // Standing by is no failure: the first one after a take-over is not to pay for it.
        const standsBy = hasCode(error, 'lease-lost');
        await this.#ports.clock.sleep(standsBy ? LEASE_TTL_MS / 6 : pauseMs, this.#stopping.signal);
        pauseMs = standsBy ? FIRST_PAUSE_MS : Math.min(pauseMs * 2, LONGEST_PAUSE_MS);
      }
    }
    await this.#releaseLease();
  }

  /** One term: until the service stops, the lease is lost or something fails. */
  async #serve(lease: Lease, onPublished: () => void): Promise<void> {
    const over = new AbortController();
    const heartbeat = this.#keepLease(over);
    try {
      const recorded = auditLog(this.#ports.log, this.#ports.metrics);
      this.#term = await Term.begin({ ...this.#ports, altered: this.#altered, recorded }, lease);
      this.#enter('publishing', undefined);
      this.#measureExpiry(this.#term);
      while (!this.#stopping.signal.aborted && !over.signal.aborted) {
        this.#woken = new AbortController();
        const report = await this.#term.publish();
        if (report !== undefined) {
          this.#report(report);
          onPublished();
        } else {
          await this.#ports.clock.sleep(
            this.#altered.size === 0 ? POLL_MS : POLL_MS * 10,
            this.#woken.signal,
          );
        }
      }
    } catch (error) {
      // What looks like a stranger's doing may be the work of a publisher that took over.
      if (error instanceof FatalError) await checkStillHeld(this.#ports.history, lease);
      throw error;
    } finally {
      over.abort();
      await heartbeat;
    }
  }

  /** Looks at what is public without publishing, so that this process can say how fresh it is. */
  async #observe(): Promise<void> {
    const { history, store, settings, log, nextSigner } = this.#ports;
    try {
      const head = await history.head();
      if (head !== undefined && head.snapshot === this.#observed?.published.snapshot.version) return;
      const { published, bins } = await readPublicState(history, store);
      const renewals = new RenewalTable(bins, settings.lifetimes.binMs);
      const nextKey = keyProgress(nextSigner, bins);
      this.#observed = { published, renewals, nextKey };
      this.#measureExpiry(this.#observed);
    } catch (error) {
      // The publisher's own affair: it has read the same, and says what is wrong.
      log.debug({ err: messageOf(error) }, 'what is public could not be read while standing by');
    }
  }

  async #keepLease(over: AbortController): Promise<void> {
    const { ledger, holder, clock, log } = this.#ports;
    for (;;) {
      await clock.sleep(LEASE_TTL_MS / 3, over.signal);
      if (over.signal.aborted) return;
      try {
        await ledger.lease({ holder, ttlMs: LEASE_TTL_MS, now: clock.now() });
      } catch (error) {
        log.warn({ err: messageOf(error) }, 'the publisher lease could not be kept');
        if (hasCode(error, 'lease-lost')) over.abort();
      }
    }
  }

  async #releaseLease(): Promise<void> {
    const { ledger, holder, clock, log } = this.#ports;
    try {
      await ledger.lease({ holder, ttlMs: 0, now: clock.now() });
    } catch (error) {
      log.warn({ err: messageOf(error) }, 'the publisher lease could not be released; it ends by itself');
    }
    if (this.#role !== 'stopped') this.#enter('standby', undefined);
  }

  #note(error: unknown): void {
    const known = error instanceof CountersignError;
    const code: ErrorCode = known ? error.code : 'internal';
    this.#ports.metrics.errors.inc({ code });
    const problem = { code, message: messageOf(error) };
    if (error instanceof FatalError) {
      this.#ports.log.fatal({ code }, `publication stopped: ${problem.message}`);
      this.#enter('stopped', problem);
    } else if (hasCode(error, 'lease-lost', 'head-moved')) {
      if (this.#problem?.message !== problem.message) {
        this.#ports.log.info({ code }, `standing by: ${problem.message}`);
      }
      this.#enter('standby', problem);
    } else {
      this.#ports.log.error(
        { code, ...(known ? {} : { err: error }) },
        `publication waits: ${problem.message}`,
      );
      this.#enter('held', problem);
    }
  }

  #enter(role: PublisherStatus['role'], problem: Problem | undefined): void {
    this.#role = role;
    this.#problem = problem;
    if (role === 'standby') this.#term = undefined;
    this.#ports.metrics.publisherActive.set(role === 'publishing' ? 1 : 0);
  }

  /** Also of what others have published: an alert on what expires must not wait for a publication of this process. */
  #measureExpiry(known: Pick<Term, 'published' | 'renewals'>): void {
    const { timestamp, snapshot, earliestBinExpires } = describePublished(known);
    const { expirySeconds } = this.#ports.metrics;
    expirySeconds.set({ role: 'timestamp' }, timestamp.expires / 1000);
    expirySeconds.set({ role: 'snapshot' }, snapshot.expires / 1000);
    expirySeconds.set({ role: 'bin' }, earliestBinExpires / 1000);
  }

  #report({ plan, events, startedAt, durationMs }: PublicationReport): void {
    const { metrics, log, waiter, clock } = this.#ports;
    waiter.settled(events.map(({ id }) => id));
    const { intent, changes } = plan;
    const rejected = intent.rejected.length;
    this.#last = {
      snapshot: intent.snapshot,
      at: startedAt,
      durationMs,
      events: events.length,
      bins: intent.bins.length,
    };
    metrics.publications.inc();
    metrics.publicationSeconds.observe(durationMs / 1000);
    metrics.snapshotVersion.set(intent.snapshot);
    metrics.eventsSettled.inc({ state: 'published' }, events.length - rejected);
    metrics.eventsSettled.inc({ state: 'rejected' }, rejected);
    for (const { acceptedAt } of events) metrics.eventLatency.observe((clock.now() - acceptedAt) / 1000);
    const touched = new Set(changes.map(({ path }) => this.#term?.published.snapshot.layout.indexOf(path)));
    const keys = intent.keyids?.length ?? 1;
    metrics.signatures.inc({ role: 'bin' }, keys * intent.bins.length);
    for (const role of ['snapshot', 'timestamp'] as const) metrics.signatures.inc({ role }, keys);
    metrics.binsSigned.inc({ reason: 'event' }, touched.size);
    metrics.binsSigned.inc({ reason: 'renewal' }, Math.max(0, intent.bins.length - touched.size));
    if (this.#term !== undefined) this.#measureExpiry(this.#term);
    metrics.alteredBins.set(this.#altered.size);
    log.info(
      { snapshot: intent.snapshot, events: events.length, rejected, bins: intent.bins.length, durationMs },
      'published',
    );
  }
}

function describePublished({
  published,
  renewals,
}: Pick<Term, 'published' | 'renewals'>): NonNullable<PublisherStatus['published']> {
  const { roles, snapshot, timestamp } = published;
  const role = ({ version, expires }: { version: number; expires: string }) => ({
    version,
    expires: parseExpires(expires),
  });
  return {
    timestamp: role(timestamp?.envelope.signed ?? { version: 0, expires: snapshot.expires }),
    snapshot: role(snapshot),
    root: role(roles.root),
    targets: role(roles.targets),
    bins: role(roles.bins),
    earliestBinExpires: renewals.earliestExpiry,
    binCount: snapshot.layout.count,
    layouts: snapshot.layouts,
    format: roles.binTrust.format,
  };
}
