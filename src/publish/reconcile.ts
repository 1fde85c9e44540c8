// A ledger that was restored from a backup is behind its store. Publishing on it would use versions twice; so the
// publisher refuses, and an operator reconciles the two: what the store shows is verified as a client would verify it,
// held to what the ledger still knows, shown, and then taken over. What is taken over is exactly what was shown.
//
// A store that is behind its ledger is another matter: that one was rolled back, and is never followed.
import { sha256Hex } from '../lib/bytes.ts';
import type { Clock } from '../lib/clock.ts';
import { mapConcurrent } from '../lib/concurrency.ts';
import { CountersignError } from '../lib/errors.ts';
import type { BinState, Head, History, Intent, Ledger, Restoration } from '../ledger/ledger.ts';
import type { ObjectStore } from '../storage/store.ts';
import { TIMESTAMP_NAME } from '../tuf/layout.ts';
import { parseExpires } from '../tuf/lifetimes.ts';
import { publicFile, told, type KeyUse } from './key-use.ts';
import { takeLease, type LeaseTaker } from './lease.ts';
import { compareBins, type UnknownTarget } from './reconcile-bins.ts';
import { settleWaiting } from './reconcile-events.ts';
import { readStoreHead, type StoreHead } from './reconcile-store.ts';
import { sealTimestamp } from './seal.ts';
import type { Lifetimes } from './settings.ts';
import { expiresAt } from './plan.ts';
import { signersNamedBy, type Signers } from './signers.ts';
import { replaceTimestamp } from './write.ts';

/** Objects removed at once. */
const REMOVALS_IN_FLIGHT = 16;

export interface ReconcilePorts extends LeaseTaker, KeyUse {
  readonly ledger: Ledger & History & Restoration;
  readonly store: ObjectStore;
  readonly clock: Clock;
  readonly lifetimes: Lifetimes;
  /** A snapshot that was seen elsewhere (a log, a mirror, a client): a store that shows less was rolled back. */
  readonly atLeast?: number;
  /** Told of every target that is public and that the ledger does not know of. */
  readonly tell?: (target: UnknownTarget) => void;
  readonly progress?: (done: number, total: number) => void;
}

/** What the store shows and the ledger lacks. */
export interface Gap {
  readonly head: Head;
  readonly store: StoreHead;
  readonly intent: Intent;
  readonly bins: readonly BinState[];
  /** Bins whose former content was collected: their targets are told as `listed`. */
  readonly withoutBase: readonly string[];
  /** Ids of events that the ledger held and that are rejected now. */
  readonly superseded: readonly string[];
  /** Events that go on waiting. */
  readonly waiting: number;
  /** Names all of this: an adoption takes over what has this name, or nothing. */
  readonly name: string;
}

/**
 * Looks what the ledger lacks; changes nothing. Undefined: nothing, they are at the same publication.
 * @throws CountersignError `reconcile-refused` when the store is behind, forked or rolled back, `not-bootstrapped`; what
 *   a client would find wrong with the store.
 */
export async function findGap(ports: ReconcilePorts): Promise<Gap | undefined> {
  const { ledger, store, lifetimes } = ports;
  const head = await ledger.head();
  if (head === undefined || head.unfinished?.snapshot === 1) {
    throw new CountersignError('not-bootstrapped', 'the ledger holds no repository that could be reconciled');
  }
  const found = await readStoreHead(store, head, ports.atLeast);
  if (found === undefined) return undefined;
  const { snapshot, timestamp, roles } = found;
  const known = await ledger.bins();
  const { bins, withoutBase } = await compareBins({
    store,
    trust: roles.binTrust,
    snapshot,
    known,
    lifetimeMs: lifetimes.binMs,
    tell: ports.tell ?? (() => undefined),
    ...(ports.progress === undefined ? {} : { progress: ports.progress }),
  });
  // Signed times are whole seconds: the moment of the publication lies within the one after.
  const signedAt = parseExpires(timestamp.expires) - lifetimes.timestampMs + 1000;
  const publishedAt = Math.max(head.at, signedAt);
  const settled = await settleWaiting({
    ledger,
    store,
    snapshot,
    changedBins: new Set(bins.map(({ bin }) => bin)),
    publishedAt,
    unfinished: head.unfinished,
  });
  const intent: Intent = {
    snapshot: snapshot.version,
    timestamp: timestamp.version,
    at: Math.max(head.at, Math.min(ports.clock.now(), publishedAt)),
    expires: { timestamp: timestamp.expires, snapshot: snapshot.expires, bin: snapshot.expires },
    roles: roles.versions,
    events: settled.events,
    rejected: settled.rejected,
    bins: bins.map(({ bin, version }) => ({ bin, version })),
    ...(found.trustedRoot === head.trustedRoot ? {} : { trustedRoot: found.trustedRoot }),
  };
  const { superseded, waiting } = settled;
  const content = [head.snapshot, { ...intent, at: 0 }, bins, found.writtenAhead, found.unpublished];
  const name = sha256Hex(JSON.stringify(content)).slice(0, 16);
  return { head, store: found, intent, bins, withoutBase, superseded, waiting, name };
}

/**
 * Moves the ledger to what the store shows. `openSigners` is called when a snapshot must be made public first.
 * @throws CountersignError `lease-lost` while a service publishes, `head-moved`, `reconcile-refused` when the store has
 *   changed since it was looked at; the errors of the ports. May be run again after any of them.
 */
export async function adoptGap(
  gap: Gap,
  ports: ReconcilePorts,
  openSigners: () => Promise<Signers>,
): Promise<void> {
  const { ledger, store, clock, lifetimes } = ports;
  const lease = await takeLease(ledger, clock, ports);
  try {
    const { writtenAhead, unpublished, roles } = gap.store;
    if (unpublished !== undefined) {
      // Its bins are there: it was the last step that was missing. The version after the next was never used for sure.
      const signers = signersNamedBy(await openSigners(), roles.timestampTrust);
      told(ports, await ledger.announce(lease.epoch, 'reconciling', gap.intent, clock.now()));
      const { timestamp } = expiresAt(clock.now(), lifetimes);
      const sealed = await sealTimestamp(signers, roles, gap.intent.timestamp, timestamp, unpublished);
      await replaceTimestamp(store, roles, sealed, gap.store.published);
    }
    await mapConcurrent(writtenAhead, REMOVALS_IN_FLIGHT, (name) => store.remove(name));
    const now = await readStoreHead(store, gap.head, undefined);
    if (now?.timestamp.version !== gap.intent.timestamp || now.snapshot.version !== gap.intent.snapshot) {
      throw new CountersignError(
        'reconcile-refused',
        `${TIMESTAMP_NAME} has changed since it was looked at: somebody else publishes into this store`,
      );
    }
    const { intent, bins } = gap;
    const { epoch } = await takeLease(ledger, clock, ports);
    const files = { snapshot: now.snapshotFile, timestamp: publicFile(now.published) };
    const adoption = { follows: gap.head.snapshot, intent, bins, ...files };
    told(ports, await ledger.adopt(epoch, adoption, clock.now()));
  } finally {
    await ledger.lease({ holder: ports.holder, ttlMs: 0, now: clock.now() }).catch(() => undefined);
  }
}
