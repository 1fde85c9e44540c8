// Asks the publisher for something, whichever process that is: the order waits in the ledger. Where no service runs, this
// process publishes until the order is settled, and then leaves.
import type { LoadedConfig } from '../config.ts';
import { CountersignError, ERRORS, type ErrorCode } from '../lib/errors.ts';
import { silentLogger } from '../lib/log.ts';
import { createMetrics } from '../lib/metrics.ts';
import type { History, Ledger, OrderKind } from '../ledger/ledger.ts';
import { trustedOnlineKeys } from '../open-signer.ts';
import type { BacksignDesk } from '../publish/prepared-files.ts';
import { binsOnThreads } from '../publish/bin-threads.ts';
import { Publisher } from '../publish/publisher.ts';
import { PublicationWaiter } from '../publish/waiter.ts';
import { openLedger, openSigners, openStore } from '../open-ports.ts';
import { openBinThreads } from '../open-threads.ts';
import { publishSettings } from '../publish-settings.ts';
import type { Session } from './session.ts';

/** Milliseconds between two looks at the order. */
const POLL_MS = 200;

export interface OrderRequest {
  readonly kind: OrderKind;
  /** The bundle to import, as text. */
  readonly content?: string;
  /** False: answers as soon as the order is durable. */
  readonly wait: boolean;
  /** Looked at again and again while the order is waited for: how far it is. */
  readonly look?: (ledger: History) => Promise<void>;
  /** Of an order to back-sign: who adds the prepared files when this process publishes. */
  readonly backsign?: BacksignDesk;
}

export interface OrderReport {
  readonly order: number;
  /** The publication that carried it out; absent when nobody waited. */
  readonly snapshot?: number;
}

/**
 * Places an order and waits until it is settled.
 * @throws CountersignError the reason for which the publisher refused it; `not-bootstrapped`; `interrupted` when a
 *   person ends the wait (the order stays).
 */
export async function placeOrder(session: Session, request: OrderRequest): Promise<OrderReport> {
  const loaded = await session.load();
  const ledger = await openLedger(loaded.config, loaded.secrets, session.context);
  try {
    if ((await ledger.head()) === undefined) {
      throw new CountersignError('not-bootstrapped', 'the ledger holds no repository');
    }
    const { clock } = session.context;
    const order = await ledger.placeOrder(request.kind, request.content ?? '', clock.now());
    if (!request.wait) return { order };
    const lease = await ledger.currentLease();
    const { isGone } = session.leaseTaker;
    const served = lease !== undefined && lease.until > clock.now() && !isGone(lease.holder);
    if (served) session.note(`order ${order} waits for the publisher ${lease.holder}`);
    const snapshot = served
      ? await settled(session, ledger, order, request)
      : await publishUntilSettled(session, loaded, ledger, order, request);
    return { order, snapshot };
  } finally {
    await ledger.close();
  }
}

async function publishUntilSettled(
  session: Session,
  { config, secrets }: LoadedConfig,
  ledger: Ledger & History,
  order: number,
  request: OrderRequest,
): Promise<number> {
  const { backsign } = request;
  const { clock } = session.context;
  session.note(`no service publishes now: carrying out order ${order} here`);
  const signers = await openSigners(config, secrets, {
    clock,
    trusted: () => trustedOnlineKeys(ledger),
    unattended: true,
    warn: (message) => {
      session.note(`countersign: ${message}`);
    },
  });
  const threads = openBinThreads(config);
  try {
    const publisher = new Publisher({
      ...session.leaseTaker,
      ...signers,
      ledger,
      history: ledger,
      store: await openStore(config, session.context),
      clock,
      log: silentLogger(),
      settings: publishSettings(config),
      metrics: createMetrics(),
      waiter: new PublicationWaiter(ledger, clock),
      bins: binsOnThreads(threads),
      ...(backsign === undefined ? {} : { backsign }),
    });
    publisher.start();
    try {
      return await settled(session, ledger, order, request, publisher);
    } finally {
      await publisher.stop();
    }
  } finally {
    await threads.close();
    await signers.close();
  }
}

/** Waits for the end of an order; answers the snapshot. `publisher`: the one of this process, if it has one. */
async function settled(
  { context: { clock, stopRequested } }: Session,
  ledger: History,
  order: number,
  { look }: OrderRequest,
  publisher?: Publisher,
): Promise<number> {
  const stopping = new AbortController();
  void stopRequested().then(() => {
    stopping.abort();
  });
  for (;;) {
    const state = await ledger.orderState(order);
    await look?.(ledger);
    if (state?.state === 'done') return state.snapshot;
    if (state?.state === 'refused') throw new CountersignError(knownCode(state.code), state.reason);
    const status = publisher?.status();
    if (status?.problem !== undefined && (status.role === 'stopped' || status.role === 'held')) {
      throw new CountersignError(
        status.problem.code,
        `order ${order} waits in the ledger: ${status.problem.message}`,
      );
    }
    if (stopping.signal.aborted) {
      throw new CountersignError(
        'interrupted',
        `order ${order} waits in the ledger; the service will carry it out`,
      );
    }
    await clock.sleep(POLL_MS, stopping.signal);
  }
}

function knownCode(code: string): ErrorCode {
  return code in ERRORS ? (code as ErrorCode) : 'internal';
}
