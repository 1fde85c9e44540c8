// Orders to import, one after the other: judged, carried out step by step, and settled. A refusal is an answer to the
// operator; what cannot be reached now (the store, the signer) is not, and is tried again by the next term.
//
// Next: ./import.ts, ./import-publication.ts
import { hasCode } from '../lib/errors.ts';
import type { History, Ledger, Order } from '../ledger/ledger.ts';
import type { Logger } from '../lib/log.ts';
import type { Clock } from '../lib/clock.ts';
import { nextImportStep, type ImportContext, type ImportStep } from './import.ts';
import { orderedBundle, type ImportedBundle } from './import-publication.ts';

/**
 * Milliseconds from a root that goes ahead to what needs it. A client asks for roots first and for everything else a few
 * round trips later: whoever asked before the root was there has come to its end by then.
 */
export const ROOT_AHEAD_MS = 60_000;

/** Errors that say something about the bundle or the repository, and not about this moment. */
const ANSWERS = [
  'bundle-invalid',
  'bundle-conflict',
  'key-mismatch',
  'key-overlap-missing',
  'bin-altered',
  'immutable-conflict',
  'metadata-too-large',
] as const;

export interface DeskPorts {
  readonly ledger: Ledger;
  readonly history: History;
  readonly clock: Clock;
  readonly log: Logger;
}

export interface ImportTurn extends ImportedBundle {
  readonly order: Order;
  readonly step: ImportStep;
}

export class ImportDesk {
  readonly #ports: DeskPorts;
  /** Orders from before may have begun in another term: how long ago their root was published, nobody knows. */
  readonly #begunAt: number;
  readonly #rootsAhead = new Map<number, number>();
  /** How often bins that are prepared already were made anew, because uploads had changed what they are made of. */
  readonly #resyncs = new Map<number, number>();
  /** Until when an order waits for its root to be known: it is not looked at before. */
  readonly #waiting = new Map<number, number>();

  constructor(ports: DeskPorts) {
    this.#ports = ports;
    this.#begunAt = ports.clock.now();
  }

  /**
   * What is to be published now for an order; undefined when it is settled, or waits for its root to be known.
   * @throws errors of ledger and store; never a refusal.
   */
  async next(
    order: Order,
    context: Omit<ImportContext, 'bins' | 'compromised' | 'now' | 'resyncs'>,
    now: number,
  ): Promise<ImportTurn | undefined> {
    const { ledger, history } = this.#ports;
    const { published } = context;
    const compromised = order.kind === 'import-compromised';
    if (this.waits(order, now)) return undefined;
    try {
      const imported = await orderedBundle(ledger, order.digest, now);
      const step = await nextImportStep(imported.bundle, {
        ...context,
        bins: (range) => history.bins(range),
        compromised,
        now,
        resyncs: this.#resyncs.get(order.number) ?? 0,
      });
      if (step === undefined) {
        await this.#settle(order, { state: 'done', snapshot: published.snapshot.version });
        return undefined;
      }
      if (step.rebin?.resyncs === true) {
        this.#resyncs.set(order.number, (this.#resyncs.get(order.number) ?? 0) + 1);
      }
      const needsRoot = !isAhead(step) && step.versions.root === published.roles.versions.root;
      if (needsRoot && !compromised && now < this.#earliest(order)) {
        this.#waiting.set(order.number, this.#earliest(order));
        return undefined;
      }
      return { ...imported, order, step };
    } catch (error) {
      if (!(await this.refuse(order, error))) throw error;
      return undefined;
    }
  }

  /** Whether an order waits for its root to be known: what was ordered after it builds on it, and waits as well. */
  waits({ number }: Order, now: number): boolean {
    return now < (this.#waiting.get(number) ?? now);
  }

  /** A step was published. */
  published({ order, step }: ImportTurn): void {
    const bins = step.rebin && { bins: step.rebin.bins.length };
    const message = isAhead(step) ? 'bins of the layout to come are prepared' : 'imported';
    this.#ports.log.info({ order: order.number, ...step.versions, ...bins }, message);
    if (step.more && !isAhead(step)) this.#rootsAhead.set(order.number, this.#ports.clock.now());
  }

  /** Settles an order with an error that is an answer; false when it is none. */
  async refuse(order: Order, error: unknown): Promise<boolean> {
    if (!hasCode(error, ...ANSWERS)) return false;
    await this.#settle(order, { state: 'refused', code: error.code, reason: error.message });
    this.#ports.log.error({ order: order.number, code: error.code }, `import refused: ${error.message}`);
    return true;
  }

  #earliest({ number, placedAt }: Order): number {
    const since = this.#rootsAhead.get(number) ?? (placedAt < this.#begunAt ? this.#begunAt : undefined);
    return since === undefined ? Number.NEGATIVE_INFINITY : since + ROOT_AHEAD_MS;
  }

  async #settle(order: Order, outcome: Parameters<Ledger['settleOrder']>[1]): Promise<void> {
    await this.#ports.ledger.settleOrder(order.number, outcome, this.#ports.clock.now());
  }
}

/** Whether a step only prepares bins that nobody reads yet. */
function isAhead({ rebin }: ImportStep): boolean {
  return rebin?.switches === false;
}
